"""What every indicator promises, inherited by being listed in INDICATORS.

Batch, stream and resume give the same bits; outputs equal the naive twin; lookback is exact; nothing looks ahead.
"""

from __future__ import annotations

import itertools
import os
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.judges.naive import bar_indicators, flow_indicators, indicators as basic, more_indicators
from trading_platform.analytics import indicators as folder, own_indicators
from trading_platform.analytics.driver import Plan
from trading_platform.analytics.indicators import INDICATORS as BUILT_IN
from trading_platform.analytics.streams import Stream

MINUTE = 60_000_000_000
ROWS = 400
FIRST = 1_723_161_600_000_000_000 - 150 * MINUTE

# Further parameters beside the defaults, by name in the table; an indicator without a line is tested at its defaults.
FURTHER: dict[str, list[tuple[float, ...]]] = {
    "sma": [(1,), (2,), (7,), (200,)],
    "ema": [(1,), (2,), (50,)],
    "rsi": [(2,), (100,)],
    "macd": [(3, 10, 4), (26, 12, 9), (5, 5, 1)],
    "bbands": [(2, 1), (5, 2.5), (100, 0.5)],
    "atr": [(1,), (50,)],
    "vwap_rolling": [(1,), (3,), (60,)],
    "wma": [(1,), (2,), (60,)],
    "hma": [(2,), (3,), (50,)],
    "dema": [(1,), (5,)],
    "tema": [(1,), (5,)],
    "trix": [(1,), (5,)],
    "kama": [(1, 2, 30), (30, 5, 50)],
    "roc": [(1,), (60,)],
    "mom": [(1,), (60,)],
    "natr": [(1,)],
    "stoch": [(1, 1, 1), (5, 1, 2), (40, 7, 5)],
    "stochrsi": [(14, 14, 1, 3), (2, 1, 1, 1)],
    "willr": [(1,), (60,)],
    "cci": [(2,), (60,)],
    "ppo": [(3, 10, 4), (26, 12, 9)],
    "tsi": [(1, 1), (5, 20)],
    "adx": [(2,), (30,)],
    "plus_di": [(2,), (30,)],
    "minus_di": [(2,), (30,)],
    "aroon": [(2,), (60,)],
    "psar": [(0.1, 0.1), (0.3, 0.2)],
    "supertrend": [(1, 1), (30, 1.5)],
    "keltner": [(1, 20, 1), (50, 3, 2.5)],
    "donchian": [(1,), (2,), (60,)],
    "ultimate": [(28, 7, 14), (1, 2, 3)],
    "mfi": [(2,), (60,)],
    "cmf": [(1,), (60,)],
    "chaikin": [(10, 3), (2, 30)],
    "vwma": [(1,), (60,)],
    "zlema": [(1,), (2,), (35,)],
    "t3": [(1, 0.5), (10, 1)],
    "alma": [(1, 0.5, 2), (40, 0.2, 10)],
    "cmo": [(2,)],
    "fisher": [(2,), (40,)],
    "connorsrsi": [(10, 5, 1)],
    "awesome": [(34, 5), (1, 2)],
    "ichimoku": [(1, 2, 3), (26, 9, 12)],
    "vortex": [(1,), (60,)],
    "linreg": [(2,), (60,)],
    "percentb": [(40, 1)],
    "bbwidth": [(2, 1)],
    "chaikinvol": [(1, 1), (20, 5)],
    "hv": [(2,)],
    "parkinson": [(1,)],
    "garmanklass": [(1,)],
    "yangzhang": [(2,)],
    "ulcer": [(1,), (60,)],
    "force": [(1,)],
    "emv": [(1,)],
    "imbalance": [(1,)],
    "vpin": [(1,)],
    "signcorr": [(1,)],
    "kyle": [(2,), (60,)],
    "amihud": [(1,)],
    "roll": [(2,), (60,)],
    "rv": [(1,)],
    "bipower": [(1,)],
}


OWN = Path(__file__).parents[1] / "support" / "own"
"""A user's file; those of ``TRADING_PLATFORM_INDICATOR_PATHS`` join it, with `naive` in the file as their twin."""
for path in [OWN, *map(Path, filter(None, os.environ.get("TRADING_PLATFORM_INDICATOR_PATHS", "").split(",")))]:
    own_indicators.load_path(path)
INDICATORS = {(n if n in BUILT_IN else one.name): one for n, one in own_indicators.known().items()}


def names():
    for key, indicator in INDICATORS.items():
        for values in [tuple(p.default for p in indicator.parameters), *FURTHER.get(key, [])]:
            yield pytest.param(key, values, id=indicator.spelled(values))


every = pytest.mark.parametrize(("key", "values"), list(names()))


def market(rows=ROWS, seed=1):
    rng = np.random.default_rng(seed)
    close = 60_000 + np.round(np.cumsum(rng.normal(0, 5, rows)), 2)
    opened = close + np.round(rng.normal(0, 2, rows), 2)
    spread = np.round(rng.exponential(3, (2, rows)), 2)
    volume = np.round(rng.exponential(2, rows), 5)
    return {
        "open": opened,
        "high": np.maximum(opened, close) + spread[0],
        "low": np.minimum(opened, close) - spread[1],
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "taker_buy_volume": np.round(volume * rng.random(rows), 5),
    }


TS_OPEN = FIRST + MINUTE * np.arange(ROWS)


def run(plan, state, columns, rows=slice(None)):
    return plan.run(state, {name: values[rows] for name, values in columns.items()}, TS_OPEN[rows])


def same_bits(left, right):
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values.view(np.int64), np.asarray(right[name]).view(np.int64), err_msg=name)


def test_folder_and_table_agree():
    """Every file of the folder is a line of the table and every line a file."""
    assert sorted(m.name for m in pkgutil.iter_modules(folder.__path__)) == sorted(BUILT_IN)


@every
def test_stream_gives_the_bits_of_batch(key, values):
    """Bar by bar gives the same bits as all rows at once."""
    name = INDICATORS[key].spelled(values)
    columns, plan, live = market(), Plan([name]), Stream([name])
    batch = run(plan, plan.start(), columns)
    rows = [
        live.update({"ts_open": int(TS_OPEN[i]), **{c: float(v[i]) for c, v in columns.items()}}) for i in range(ROWS)
    ]
    same_bits(batch, {column: np.array([row[column] for row in rows], dtype=np.float64) for column in batch})


@every
@pytest.mark.parametrize("cuts", [[1, 2, 3], [19, 20, 21], [150, 151], [33, 97, 250, 399]])
def test_split_and_resumed_gives_the_bits_of_batch(key, values, cuts):
    """Cut anywhere, kept as bytes and gone on with, the outputs and the end state keep their bits."""
    plan, columns = Plan([INDICATORS[key].spelled(values)]), market()
    whole_state, state = plan.start(), plan.start()
    whole = run(plan, whole_state, columns)
    parts = []
    for begin, end in zip([0, *cuts], [*cuts, ROWS], strict=True):
        state = plan.from_bytes(plan.to_bytes(state))
        parts.append(run(plan, state, columns, slice(begin, end)))
    same_bits(whole, {column: np.concatenate([part[column] for part in parts]) for column in whole})
    assert plan.to_bytes(state) == plan.to_bytes(whole_state)


def definition(key):
    """The naive twin of an indicator: a function of its name in one of the modules, `naive` in a user's file."""
    if key not in BUILT_IN:
        return sys.modules[INDICATORS[key].step.__module__].naive
    (found,) = [
        getattr(m, key)
        for m in (basic, more_indicators, bar_indicators, flow_indicators)
        if key in vars(m) and here(m, key)
    ]
    return found


def here(module, key):
    return getattr(module, key).__module__ == module.__name__


def twin(key, values, columns):
    bars = {name: array.tolist() for name, array in columns.items()}
    if INDICATORS[key].restarts_daily:
        days = TS_OPEN // (1440 * MINUTE)
        parts = [definition(key)({n: a[days == day].tolist() for n, a in columns.items()}) for day in np.unique(days)]
        return (list(itertools.chain.from_iterable(parts)),)
    of_close = INDICATORS[key].inputs == ("close",)
    found = definition(key)(bars["close"] if of_close else bars, *values)
    return found if isinstance(found, tuple) else (found,)


@every
def test_equals_the_naive_twin(key, values):
    """Outputs equal the definition, computed on lists, to twelve digits."""
    indicator, columns = INDICATORS[key], market()
    plan = Plan([indicator.spelled(values)])
    outputs = run(plan, plan.start(), columns)
    for name, expected in zip(outputs, twin(key, values, columns), strict=True):
        wanted = np.array([np.nan if x is None else x for x in expected])
        # Differences of prices hold the rounding of the prices (7e-12 of 60,000), whatever their own size.
        largest = np.nanmax(np.abs(wanted))
        np.testing.assert_allclose(outputs[name], wanted, rtol=1e-12, atol=largest * 1e-12 + 2e-11, err_msg=name)


@every
def test_lookback_is_exact(key, values):
    """There are as many NaN as the lookback says, at the beginning and nowhere else."""
    plan = Plan([INDICATORS[key].spelled(values)])
    for name, output in run(plan, plan.start(), market()).items():
        assert np.isnan(output).tolist() == [i < plan.lookbacks[name] for i in range(ROWS)], name


@every
def test_nothing_looks_ahead(key, values):
    """Other rows at the end change nothing before them."""
    plan, columns, other = Plan([INDICATORS[key].spelled(values)]), market(), market(seed=2)
    mixed = {name: np.concatenate([array[:300], other[name][300:]]) for name, array in columns.items()}
    left, right = run(plan, plan.start(), columns), run(plan, plan.start(), mixed)
    same_bits({n: a[:300] for n, a in left.items()}, {n: a[:300] for n, a in right.items()})


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_row_does_not_step(key, values, bad):
    """A row with a missing input is NaN, and the other rows are as if it were not there."""
    plan, columns = Plan([INDICATORS[key].spelled(values)]), market()
    rows = np.ones(ROWS, dtype=bool)
    rows[[0, 40, 41, 160, 399]] = False
    harmed = {name: np.where(rows, array, bad) for name, array in columns.items()}
    with_bad, without = run(plan, plan.start(), harmed), run(plan, plan.start(), columns, rows)
    same_bits({n: a[rows] for n, a in with_bad.items()}, without)
    assert all(np.isnan(a[~rows]).all() for a in with_bad.values())


@every
def test_a_flat_market_stays_flat(key, values):
    """Where price and volume never change, outputs after the lookback never change either, and are finite."""
    plan = Plan([INDICATORS[key].spelled(values)])
    prices = {name: np.full(ROWS, 61837.63) for name in market()}
    flat = prices | {n: np.full(ROWS, 0.05 if "taker" in n else 0.1) for n in prices if "volume" in n}
    for name, output in run(plan, plan.start(), flat).items():
        shown = output[plan.lookbacks[name] :]
        assert np.isfinite(shown).all()
        np.testing.assert_allclose(shown, shown[0], rtol=1e-15, err_msg=name)


@every
def test_a_market_without_volume_is_finite(key, values):
    """Without any volume every output after the lookback is a number still."""
    plan, columns = Plan([INDICATORS[key].spelled(values)]), market()
    columns |= {name: np.zeros(ROWS) for name in columns if "volume" in name}
    for name, output in run(plan, plan.start(), columns).items():
        assert np.isfinite(output[plan.lookbacks[name] :]).all(), name


@every
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_tiny_and_huge_prices_have_values(key, values, scale):
    """Coins priced in billionths and currencies in billions have a value wherever others have one."""
    plan = Plan([INDICATORS[key].spelled(values)])
    columns = {n: a if "volume" in n and n != "quote_volume" else a * scale for n, a in market().items()}
    for name, output in run(plan, plan.start(), columns).items():
        assert np.isfinite(output[plan.lookbacks[name] :]).all(), name
        assert np.isnan(output[: plan.lookbacks[name]]).all(), name


@every
def test_inputs_are_never_written(key, values):
    """Read-only columns are enough, and a copy taken before equals them after."""
    plan, columns = Plan([INDICATORS[key].spelled(values)]), market()
    before = {name: array.copy() for name, array in columns.items()}
    for array in columns.values():
        array.flags.writeable = False
    run(plan, plan.start(), columns)
    assert all((columns[name] == before[name]).all() for name in columns)


@every
def test_state_before_the_first_row_is_zeros_and_holds_no_nan(key, values):
    """A fresh state is all zeros, and no state ever holds NaN, so that states compare bit by bit."""
    plan = Plan([INDICATORS[key].spelled(values)])
    state = plan.start()
    assert not state.values.any()
    run(plan, state, market())
    assert np.isfinite(state.values).all()


windowed = pytest.mark.parametrize(("key", "values"), [p for p in names() if INDICATORS[p.values[0]].day_boundary])


@windowed
def test_equal_windows_reach_equal_states(key, values):
    """Two histories that hold the same window are in the same state when a day begins, however long they are."""
    plan, columns = Plan([INDICATORS[key].spelled(values)]), market()
    late = max(plan.lookbacks.values()) + 160
    longer, shorter = plan.start(), plan.start()
    run(plan, longer, columns)
    run(plan, shorter, columns, slice(ROWS - late, ROWS))
    plan.start_day(longer)
    plan.start_day(shorter)
    np.testing.assert_array_equal(longer.values, shorter.values)
