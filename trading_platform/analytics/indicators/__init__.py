"""The table of indicators: one file each, one line here. Reading a name is analytics/indicator_names.py."""

from __future__ import annotations

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators.atr import ATR
from trading_platform.analytics.indicators.bbands import BBANDS
from trading_platform.analytics.indicators.ema import EMA
from trading_platform.analytics.indicators.macd import MACD
from trading_platform.analytics.indicators.rsi import RSI
from trading_platform.analytics.indicators.sma import SMA
from trading_platform.analytics.indicators.vwap import VWAP
from trading_platform.analytics.indicators.vwap_rolling import VWAP_ROLLING

INDICATORS: dict[str, Indicator] = {
    "sma": SMA,
    "ema": EMA,
    "rsi": RSI,
    "macd": MACD,
    "bbands": BBANDS,
    "atr": ATR,
    "vwap": VWAP,
    "vwap_rolling": VWAP_ROLLING,
}
"""File name to indicator. `vwap` and `vwap_rolling` share a name and differ in their count of parameters."""
