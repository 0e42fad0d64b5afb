"""The table of indicators: one file each, one line here. Reading a name is analytics/indicator_names.py."""

from __future__ import annotations

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators.ad import AD
from trading_platform.analytics.indicators.adx import ADX
from trading_platform.analytics.indicators.alma import ALMA
from trading_platform.analytics.indicators.amihud import AMIHUD
from trading_platform.analytics.indicators.aroon import AROON
from trading_platform.analytics.indicators.atr import ATR
from trading_platform.analytics.indicators.avwap import AVWAP
from trading_platform.analytics.indicators.awesome import AWESOME
from trading_platform.analytics.indicators.bbands import BBANDS
from trading_platform.analytics.indicators.bbwidth import BBWIDTH
from trading_platform.analytics.indicators.bipower import BIPOWER
from trading_platform.analytics.indicators.cci import CCI
from trading_platform.analytics.indicators.chaikin import CHAIKIN
from trading_platform.analytics.indicators.chaikinvol import CHAIKINVOL
from trading_platform.analytics.indicators.cmf import CMF
from trading_platform.analytics.indicators.cmo import CMO
from trading_platform.analytics.indicators.connorsrsi import CONNORSRSI
from trading_platform.analytics.indicators.cvd import CVD
from trading_platform.analytics.indicators.delta import DELTA
from trading_platform.analytics.indicators.dema import DEMA
from trading_platform.analytics.indicators.donchian import DONCHIAN
from trading_platform.analytics.indicators.ema import EMA
from trading_platform.analytics.indicators.emv import EMV
from trading_platform.analytics.indicators.fisher import FISHER
from trading_platform.analytics.indicators.force import FORCE
from trading_platform.analytics.indicators.garmanklass import GARMANKLASS
from trading_platform.analytics.indicators.hma import HMA
from trading_platform.analytics.indicators.hv import HV
from trading_platform.analytics.indicators.ichimoku import ICHIMOKU
from trading_platform.analytics.indicators.imbalance import IMBALANCE
from trading_platform.analytics.indicators.kama import KAMA
from trading_platform.analytics.indicators.keltner import KELTNER
from trading_platform.analytics.indicators.kyle import KYLE
from trading_platform.analytics.indicators.linreg import LINREG
from trading_platform.analytics.indicators.macd import MACD
from trading_platform.analytics.indicators.mfi import MFI
from trading_platform.analytics.indicators.minus_di import MINUS_DI
from trading_platform.analytics.indicators.mom import MOM
from trading_platform.analytics.indicators.natr import NATR
from trading_platform.analytics.indicators.nvi import NVI
from trading_platform.analytics.indicators.obv import OBV
from trading_platform.analytics.indicators.parkinson import PARKINSON
from trading_platform.analytics.indicators.percentb import PERCENTB
from trading_platform.analytics.indicators.plus_di import PLUS_DI
from trading_platform.analytics.indicators.ppo import PPO
from trading_platform.analytics.indicators.psar import PSAR
from trading_platform.analytics.indicators.pvt import PVT
from trading_platform.analytics.indicators.roc import ROC
from trading_platform.analytics.indicators.roll import ROLL
from trading_platform.analytics.indicators.rsi import RSI
from trading_platform.analytics.indicators.rv import RV
from trading_platform.analytics.indicators.signcorr import SIGNCORR
from trading_platform.analytics.indicators.sma import SMA
from trading_platform.analytics.indicators.stoch import STOCH
from trading_platform.analytics.indicators.stochrsi import STOCHRSI
from trading_platform.analytics.indicators.supertrend import SUPERTREND
from trading_platform.analytics.indicators.t3 import T3
from trading_platform.analytics.indicators.tema import TEMA
from trading_platform.analytics.indicators.trix import TRIX
from trading_platform.analytics.indicators.tsi import TSI
from trading_platform.analytics.indicators.ulcer import ULCER
from trading_platform.analytics.indicators.ultimate import ULTIMATE
from trading_platform.analytics.indicators.vortex import VORTEX
from trading_platform.analytics.indicators.vpin import VPIN
from trading_platform.analytics.indicators.vwap import VWAP
from trading_platform.analytics.indicators.vwap_rolling import VWAP_ROLLING
from trading_platform.analytics.indicators.vwma import VWMA
from trading_platform.analytics.indicators.willr import WILLR
from trading_platform.analytics.indicators.wma import WMA
from trading_platform.analytics.indicators.yangzhang import YANGZHANG
from trading_platform.analytics.indicators.zlema import ZLEMA

INDICATORS: dict[str, Indicator] = {
    "sma": SMA,
    "ema": EMA,
    "wma": WMA,
    "hma": HMA,
    "dema": DEMA,
    "tema": TEMA,
    "kama": KAMA,
    "vwma": VWMA,
    "zlema": ZLEMA,
    "t3": T3,
    "alma": ALMA,
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
    "awesome": AWESOME,
    "cmo": CMO,
    "fisher": FISHER,
    "connorsrsi": CONNORSRSI,
    "trix": TRIX,
    "adx": ADX,
    "plus_di": PLUS_DI,
    "minus_di": MINUS_DI,
    "aroon": AROON,
    "psar": PSAR,
    "supertrend": SUPERTREND,
    "ichimoku": ICHIMOKU,
    "vortex": VORTEX,
    "linreg": LINREG,
    "atr": ATR,
    "natr": NATR,
    "bbands": BBANDS,
    "percentb": PERCENTB,
    "bbwidth": BBWIDTH,
    "keltner": KELTNER,
    "donchian": DONCHIAN,
    "chaikinvol": CHAIKINVOL,
    "hv": HV,
    "parkinson": PARKINSON,
    "garmanklass": GARMANKLASS,
    "yangzhang": YANGZHANG,
    "ulcer": ULCER,
    "obv": OBV,
    "vwap": VWAP,
    "vwap_rolling": VWAP_ROLLING,
    "avwap": AVWAP,
    "mfi": MFI,
    "ad": AD,
    "cmf": CMF,
    "chaikin": CHAIKIN,
    "force": FORCE,
    "emv": EMV,
    "pvt": PVT,
    "nvi": NVI,
    "delta": DELTA,
    "cvd": CVD,
    "imbalance": IMBALANCE,
    "signcorr": SIGNCORR,
    "vpin": VPIN,
    "kyle": KYLE,
    "amihud": AMIHUD,
    "roll": ROLL,
    "rv": RV,
    "bipower": BIPOWER,
}
"""File name to indicator. `vwap` and `vwap_rolling` share a name and differ in their count of parameters."""
