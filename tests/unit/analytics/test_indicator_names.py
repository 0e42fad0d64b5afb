"""Names of indicators: what they stand for, and one clear line for what they cannot."""

from __future__ import annotations

import pytest

from trading_platform.analytics.indicator_names import parse
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.domain.errors import UsageError


@pytest.mark.parametrize(
    ("name", "columns", "lookback"),
    [
        ("sma_20", ("sma_20",), 19),
        ("macd_12_26_9", ("macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist"), 33),
        ("macd_12_26_9_hist", ("macd_12_26_9_hist",), 33),
        ("bbands_20_2", ("bbands_20_2_upper", "bbands_20_2_middle", "bbands_20_2_lower"), 19),
        ("bbands_20_2p5_lower", ("bbands_20_2p5_lower",), 19),
        ("vwap", ("vwap",), 0),
        ("vwap_20", ("vwap_20",), 19),
        ("ema_9__rsi_14", ("ema_9__rsi_14",), 22),
        ("sma_3__ema_9__macd_12_26_9_signal", ("sma_3__ema_9__macd_12_26_9_signal",), 43),
        ("sma_20__volume", ("sma_20__volume",), 19),
        ("sma_20__quote_volume", ("sma_20__quote_volume",), 19),
        ("ema_9__trade_count", ("ema_9__trade_count",), 8),
        ("bbands_5_2__rsi_2", ("bbands_5_2_upper__rsi_2", "bbands_5_2_middle__rsi_2", "bbands_5_2_lower__rsi_2"), 6),
    ],
)
def test_a_name_stands_for_its_columns(name, columns, lookback):
    """A name is an indicator with all its outputs, or one output, of the bars or of another."""
    assert parse(name).columns == columns
    assert parse(name).lookback == lookback


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smaa_20", "is no indicator; nearest: sma_20"),
        ("rsi", "nearest: rsi_14"),
        ("", "is no indicator"),
        ("RSI_14", "is no indicator"),
        ("rsi_14_upper", "is no indicator"),
        ("rsi_1", "period must be a whole number from 2 to 10000"),
        ("rsi_14p5", "period must be a whole number from 2 to 10000"),
        ("sma_0", "period must be a whole number from 1 to 10000"),
        ("sma_-3", "is no indicator"),
        ("sma_²", "is no indicator"),
        ("sma_020", "is no indicator"),
        ("sma_99999999", "from 1 to 10000"),
        ("bbands_20_0", "deviations must be a number from 0.001 to 100.0"),
        ("bbands_20_2p50", "2p50 is written 2p5"),
        ("ema_9__atr_14__rsi_14", "atr_14 needs high, low, close, so it cannot be taken of rsi_14"),
        ("atr_14__close", "cannot be taken of close"),
        ("ema_9__bbands_20_2", "has several outputs; take one of bbands_20_2_upper"),
        ("ema_9__", "is no indicator"),
        ("__rsi_14", "is no indicator"),
        ("ema_9__ts_open", "ts_open is no series of numbers; take it of a price, a volume or an indicator"),
        ("sma_2__my_signal", "is no indicator"),
        ("atr_14__quote_volume", "atr_14 needs high, low, close, so it cannot be taken of quote_volume"),
        ("ema_9__" * 60 + "rsi_14", "is no indicator; names look like"),
        (3, "is no indicator"),
    ],
)
def test_what_is_no_name_says_why(name, words):
    """A wrong name raises one line that says what to change."""
    with pytest.raises(UsageError) as raised:
        parse(name)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


PROMISED = """
sma_20 ema_20 wma_20 hma_9 dema_20 tema_20 kama_10_2_30 rsi_14 macd_12_26_9{,_signal,_hist}
bbands_20_2{_upper,_middle,_lower} atr_14 natr_14 adx_14 plus_di_14 minus_di_14 stoch_14_3_3{_k,_d}
stochrsi_14_14_3_3{_k,_d} cci_20 willr_14 mfi_14 roc_10 mom_10 obv ad cmf_20 chaikin_3_10 aroon_25{_up,_down,_osc}
psar_0p02_0p2 supertrend_10_3{,_direction} keltner_20_10_2{_upper,_middle,_lower}
donchian_20{_upper,_middle,_lower} ultimate_7_14_28 trix_18 tsi_25_13 ppo_12_26_9{,_signal,_hist} vwap vwap_20
"""


@pytest.mark.parametrize("spelled", PROMISED.split())
def test_the_promised_names_have_the_promised_outputs(spelled):
    """Each name that the outside relies on is an indicator at its defaults, and gives exactly these columns."""
    name, _, outputs = spelled.rstrip("}").partition("{")
    expected = tuple(name + output for output in outputs.split(",")) if outputs else (name,)
    assert parse(name).columns == expected
    for column in expected:
        assert parse(column).column(parse(column).output or "") == column
    if name != "vwap_20":
        assert name in [one.spelled() for one in INDICATORS.values()]
