"""The table of indicators: one file each, one line here. Reading a name is analytics/indicator_names.py."""

from __future__ import annotations

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators.ad import AD
from trading_platform.analytics.indicators.adx import ADX
from trading_platform.analytics.indicators.aroon import AROON
from trading_platform.analytics.indicators.atr import ATR
from trading_platform.analytics.indicators.bbands import BBANDS
from trading_platform.analytics.indicators.cci import CCI
from trading_platform.analytics.indicators.chaikin import CHAIKIN
from trading_platform.analytics.indicators.cmf import CMF
from trading_platform.analytics.indicators.dema import DEMA
from trading_platform.analytics.indicators.donchian import DONCHIAN
from trading_platform.analytics.indicators.ema import EMA
from trading_platform.analytics.indicators.hma import HMA
from trading_platform.analytics.indicators.kama import KAMA
from trading_platform.analytics.indicators.keltner import KELTNER
from trading_platform.analytics.indicators.macd import MACD
from trading_platform.analytics.indicators.mfi import MFI
from trading_platform.analytics.indicators.minus_di import MINUS_DI
from trading_platform.analytics.indicators.mom import MOM
from trading_platform.analytics.indicators.natr import NATR
from trading_platform.analytics.indicators.obv import OBV
from trading_platform.analytics.indicators.plus_di import PLUS_DI
from trading_platform.analytics.indicators.ppo import PPO
from trading_platform.analytics.indicators.psar import PSAR
from trading_platform.analytics.indicators.roc import ROC
from trading_platform.analytics.indicators.rsi import RSI
from trading_platform.analytics.indicators.sma import SMA
from trading_platform.analytics.indicators.stoch import STOCH
from trading_platform.analytics.indicators.stochrsi import STOCHRSI
from trading_platform.analytics.indicators.supertrend import SUPERTREND
from trading_platform.analytics.indicators.tema import TEMA
from trading_platform.analytics.indicators.trix import TRIX
from trading_platform.analytics.indicators.tsi import TSI
from trading_platform.analytics.indicators.ultimate import ULTIMATE
from trading_platform.analytics.indicators.vwap import VWAP
from trading_platform.analytics.indicators.vwap_rolling import VWAP_ROLLING
from trading_platform.analytics.indicators.willr import WILLR
from trading_platform.analytics.indicators.wma import WMA

INDICATORS: dict[str, Indicator] = {
    "sma": SMA,
    "ema": EMA,
    "wma": WMA,
    "hma": HMA,
    "dema": DEMA,
    "tema": TEMA,
    "kama": KAMA,
    "rsi": RSI,
    "stoch": STOCH,
    "stochrsi": STOCHRSI,
    "macd": MACD,
    "ppo": PPO,
    "roc": ROC,
    "mom": MOM,
    "cci": CCI,
    "willr": WILLR,
    "tsi": TSI,
    "ultimate": ULTIMATE,
    "trix": TRIX,
    "adx": ADX,
    "plus_di": PLUS_DI,
    "minus_di": MINUS_DI,
    "aroon": AROON,
    "psar": PSAR,
    "supertrend": SUPERTREND,
    "atr": ATR,
    "natr": NATR,
    "bbands": BBANDS,
    "keltner": KELTNER,
    "donchian": DONCHIAN,
    "obv": OBV,
    "vwap": VWAP,
    "vwap_rolling": VWAP_ROLLING,
    "mfi": MFI,
    "ad": AD,
    "cmf": CMF,
    "chaikin": CHAIKIN,
}
"""File name to indicator. `vwap` and `vwap_rolling` share a name and differ in their count of parameters."""
