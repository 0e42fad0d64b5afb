"""Properties of indicators on any numbers: bounds that the definitions promise, and cuts that change nothing."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, strategies as st

from trading_platform.analytics.driver import Plan

numbers = st.floats(min_value=1e-8, max_value=1e12)
closes = st.lists(numbers | st.sampled_from([1.0, 0.1, 61837.63]), min_size=1, max_size=80).map(np.array)
periods = st.integers(1, 12)


def run(name, close):
    return Plan([name]).run(Plan([name]).start(), {"close": close})


@given(closes, periods)
def test_an_sma_lies_between_minimum_and_maximum_of_its_window(close, period):
    """Whatever came before, a simple mean never leaves its window."""
    (sma,) = run(f"sma_{period}", close).values()
    for i in range(period - 1, len(close)):
        window = close[i + 1 - period : i + 1]
        assert window.min() <= sma[i] <= window.max()


@given(closes, periods)
def test_an_ema_moves_toward_the_price_and_never_past_it(close, period):
    """Each step of an EMA ends between where it was and the new price."""
    (ema,) = run(f"ema_{period}", close).values()
    for i in range(period, len(close)):
        low, high = sorted((ema[i - 1], close[i]))
        assert low - abs(low) * 1e-15 <= ema[i] <= high + abs(high) * 1e-15


@given(closes, st.integers(2, 12))
def test_rsi_lies_between_0_and_100(close, period):
    """RSI never leaves its scale."""
    (rsi,) = run(f"rsi_{period}", close).values()
    assert ((rsi[period:] >= 0) & (rsi[period:] <= 100)).all()


@given(closes, st.integers(2, 12))
def test_bands_hold_their_mean(close, period):
    """The lower band is not above the mean, the mean not above the upper band."""
    upper, middle, lower = (x[period - 1 :] for x in run(f"bbands_{period}_2", close).values())
    assert ((lower <= middle) & (middle <= upper)).all()


@given(closes, st.lists(st.integers(0, 80), max_size=6))
def test_any_cut_gives_the_same_bits(close, cuts):
    """Rows cut into any calls, through bytes, give the bits of one call."""
    plan = Plan(["sma_5", "ema_3__rsi_4", "bbands_4_2", "macd_3_6_2"])
    whole = plan.run(plan.start(), {"close": close})
    state, parts = plan.start(), []
    for part in np.split(close, sorted(min(cut, len(close)) for cut in cuts)):
        state = plan.from_bytes(plan.to_bytes(state))
        parts.append(plan.run(state, {"close": part}))
    for name, values in whole.items():
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(values.view(np.int64), joined.view(np.int64), err_msg=name)


OF_BARS = ["adx_3", "stoch_3_2_2", "psar_0p1_0p5", "cci_3", "supertrend_2_1", "aroon_3", "ultimate_1_2_3", "mfi_2",
           "vortex_2", "ichimoku_1_2_3", "fisher_3", "yangzhang_3", "chaikin_2_3", "kyle_2", "cvd", "nvi"]  # fmt: skip
OF_CLOSE = ["kama_3_2_5", "stochrsi_2_2_2_2", "linreg_3", "connorsrsi_2_2_3", "hma_4", "alma_3_0p5_2", "ulcer_3",
            "percentb_3_1", "roll_2", "bipower_2", "t3_2_0p7", "zlema_4", "tsi_2_3", "trix_2"]  # fmt: skip


@given(
    st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=4)
)
def test_any_cut_of_any_bars_gives_the_same_bits_and_no_state_holds_nan(rows, cuts):
    """One of each kind, of prices of any size: cut anywhere, the same bits, no NaN after the lookback or in a state."""
    first, second, volume = (np.array(column) for column in zip(*rows, strict=True))
    columns = {
        "open": first, "close": second, "high": np.maximum(first, second), "low": np.minimum(first, second),
        "volume": volume, "quote_volume": volume * second, "taker_buy_volume": volume / 3,
    }  # fmt: skip
    plan = Plan([*OF_BARS, *OF_CLOSE])
    whole_state, state, parts = plan.start(), plan.start(), []
    whole = plan.run(whole_state, columns)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for begin, end in itertools.pairwise(edges):
        state = plan.from_bytes(plan.to_bytes(state))
        parts.append(plan.run(state, {name: column[begin:end] for name, column in columns.items()}))
    assert plan.to_bytes(state) == plan.to_bytes(whole_state)
    assert np.isfinite(whole_state.values).all()
    for name, values in whole.items():
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(values.view(np.int64), joined.view(np.int64), err_msg=name)
        assert np.isnan(values).tolist() == [i < plan.lookbacks[name] for i in range(len(rows))], name
