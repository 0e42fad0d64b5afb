"""The rules of stored indicators: the UTC grid, empty and unknown intervals, days, and states as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from trading_platform.analytics import driver
from trading_platform.analytics.driver import Plan, day_starts, run_day
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError, WorkError

HOUR = 3_600_000_000_000
NAMES = ["sma_3", "ema_2__rsi_2", "vwap", "vwap_3", "atr_2", "bbands_3_2", "ema_3__vwap"]


def day_bars(closes, slots, counts=None, day=0):
    """Hourly bars at some slots; a close of None is a row without a trade."""
    held = np.array([c is not None for c in closes])
    close = np.array([np.nan if c is None else float(c) for c in closes])
    return {
        "ts_open": day * DAY_NS + np.array(slots, dtype=np.int64) * HOUR,
        "trade_count": held.astype(np.int64) if counts is None else np.array(counts),
        "open": close, "high": close + 1, "low": close - 1, "close": close,
        "volume": np.where(held, 2.0, 0.0),
    }  # fmt: skip


def go(plan, state, bars, day=0, end=None, timeframe=HOUR):
    start = day * DAY_NS
    end = start + DAY_NS if end is None else end
    return run_day(plan, state, bars, day_start_ns=start, timeframe_ns=timeframe, end_ns=end)


def test_a_known_empty_interval_enters_as_the_previous_close():
    """An interval without a row steps with the previous close, and has no output."""
    plan = Plan(["sma_3"])
    values, unknown, _ = go(plan, plan.start(), day_bars([10, 40], [2, 5]))
    # Hours 2, 3, 4, 5 step: 10, 10, 10, 40.
    assert values["sma_3"].tolist()[1] == 20.0
    assert np.isnan(values["sma_3"][0])
    assert not unknown.any()


def test_a_row_without_a_trade_does_not_step_and_is_unknown():
    """A row that holds nothing is unknown, and the state passes it over."""
    plan = Plan(["sma_2"])
    values, unknown, _ = go(plan, plan.start(), day_bars([10, None, 40], [2, 3, 4]))
    assert unknown.tolist() == [False, True, False]
    assert values["sma_2"].tolist()[2] == 25.0


def test_nothing_steps_before_the_first_trade():
    """Empty intervals before a symbol's first trade are no part of its history."""
    plan = Plan(["sma_2"])
    values, _, _ = go(plan, plan.start(), day_bars([10, 20], [20, 21]))
    assert np.isnan(values["sma_2"][0])
    assert values["sma_2"][1] == 15.0


def test_an_incomplete_bar_steps_with_what_it_holds():
    """Whether a bar is complete does not matter to the step."""
    plan = Plan(["sma_2"])
    values, _, _ = go(plan, plan.start(), day_bars([10, 20], [0, 1], counts=[1, 7]))
    assert values["sma_2"][1] == 15.0


def test_empty_intervals_weigh_nothing_in_a_vwap():
    """A known-empty interval has volume 0."""
    plan = Plan(["vwap_3", "vwap"])
    values, _, _ = go(plan, plan.start(), day_bars([10, 40], [0, 2]))
    assert values["vwap_3"][1] == values["vwap"][1] == 25.0


def test_state_runs_across_days_and_the_session_restarts():
    """Over midnight windows go on, the session VWAP begins anew, inside another indicator it goes on."""
    plan = Plan(["sma_2", "vwap", "ema_1__vwap"])
    _, _, state = go(plan, plan.start(), day_bars([10] * 24, range(24)))
    values, _, _ = go(plan, state, day_bars([40], [0], day=1), day=1)
    assert values["sma_2"].tolist() == [25.0]
    assert values["vwap"].tolist() == [40.0]
    assert values["ema_1__vwap"].tolist() == [(24 * 10 + 40) / 25]


def test_the_previous_close_is_carried_over_midnight():
    """Empty hours at the start of a day step with the last close of the day before, days without a leaf do not."""
    plan = Plan(["sma_3"])
    _, _, state = go(plan, plan.start(), day_bars([10], [23]))
    values, _, _ = go(plan, state, day_bars([40], [2], day=5), day=5)
    assert values["sma_3"].tolist() == [20.0]


def test_daily_bars_never_restart():
    """In daily bars the VWAP runs through."""
    plan = Plan(["vwap"])
    _, _, state = go(plan, plan.start(), day_bars([10], [0]), timeframe=DAY_NS)
    values, _, _ = go(plan, state, day_bars([40], [0], day=1), day=1, timeframe=DAY_NS)
    assert values["vwap"].tolist() == [25.0]


def test_the_running_day_is_stepped_to_its_last_row():
    """The grid may end before midnight."""
    plan = Plan(["sma_2"])
    bars = day_bars([10, 20], [3, 4])
    values, _, state = go(plan, plan.start(), bars, end=5 * HOUR)
    assert values["sma_2"][1] == 15.0
    assert state.last_close == 20.0
    with pytest.raises(UsageError, match="outside the day"):
        go(plan, plan.start(), bars, end=4 * HOUR)


def test_a_day_leaves_the_state_it_was_given_alone():
    """The given state is unchanged: a day can be computed again."""
    plan = Plan(NAMES)
    state = plan.start()
    before = plan.to_bytes(state)
    go(plan, state, day_bars([10, 20, 30], [0, 1, 2]))
    assert plan.to_bytes(state) == before


def test_a_repaired_day_stops_mattering_for_windows():
    """Once its values have left every window, a day with more steps ends in the state of one with fewer."""
    plan = Plan(["sma_3", "bbands_5_2", "vwap_4"])
    rng = np.random.default_rng(0)
    late = list(rng.normal(100, 1, 20))
    _, _, left = go(plan, plan.start(), day_bars([90.5, None, None, 91.25, *late], range(24)))
    _, _, right = go(plan, plan.start(), day_bars([90.5, 90.75, 80.0, 91.25, *late], range(24)))
    assert plan.to_bytes(left) == plan.to_bytes(right)


def test_stored_days_equal_compute_on_a_gapless_series():
    """Day by day on the grid gives the bits of one call over all rows with their times."""
    plan = Plan(NAMES)
    rng = np.random.default_rng(3)
    days = [day_bars(list(rng.normal(100, 1, 24)), range(24), day=day) for day in range(4)]
    state, parts = plan.start(), []
    for day, bars in enumerate(days):
        values, _, state = go(plan, plan.from_bytes(plan.to_bytes(state)), bars, day=day)
        parts.append(values)
    joined = {name: np.concatenate([bars[name] for bars in days]) for name in days[0]}
    whole = plan.run(plan.start(), joined, joined["ts_open"])
    for name, values in whole.items():
        stored = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(stored.view(np.int64), values.view(np.int64), err_msg=name)


@pytest.mark.parametrize("cut", [0, 3, 20, -1])
def test_torn_state_bytes_are_refused(cut):
    """Bytes that are cut, or of another plan, raise."""
    plan = Plan(["sma_3"])
    data = plan.to_bytes(plan.start())
    with pytest.raises(WorkError, match="not a state of sma_3"):
        plan.from_bytes(data[:cut])
    with pytest.raises(WorkError):
        Plan(["sma_4"]).from_bytes(data)
    with pytest.raises(WorkError):
        plan.from_bytes(data + b"x")


def test_names_are_computed_once():
    """Repeated names, and an indicator both shown and inside another, cost nothing twice."""
    plan = driver.plan(["sma_3", "sma_3", "ema_2__sma_3"])
    assert plan.outputs == ("sma_3", "ema_2__sma_3")
    assert len({node.outputs for node in plan.nodes}) == len(plan.nodes)


def test_columns_must_fit():
    """A missing column and columns of different lengths are named."""
    plan = Plan(["atr_2"])
    with pytest.raises(UsageError, match="column 'low' is missing; atr_2 needs it"):
        plan.run(plan.start(), {"high": np.ones(3), "close": np.ones(3)})
    with pytest.raises(UsageError, match="differ in length"):
        plan.run(plan.start(), {"high": np.ones(3), "low": np.ones(2), "close": np.ones(3)})
    with pytest.raises(UsageError, match="a list of names"):
        Plan("rsi_14")


def test_days_begin_where_the_day_changes():
    """A day begins before the first row of a new UTC day, never before the first row of all, never in daily bars."""
    hours = HOUR * np.array([22, 23, 24, 25, 48])
    assert day_starts(np.iinfo(np.int64).min, hours).tolist() == [2, 4]
    assert day_starts(20 * HOUR, hours).tolist() == [2, 4]
    assert day_starts(-HOUR, hours).tolist() == [0, 2, 4]
    daily = DAY_NS * np.arange(4)
    assert day_starts(-DAY_NS, daily).tolist() == []
    assert day_starts(-DAY_NS, daily, daily + DAY_NS).tolist() == []
    assert day_starts(-DAY_NS, daily, daily + HOUR).tolist() == [0, 1, 2, 3]
    assert day_starts(0, np.empty(0, dtype=np.int64)).tolist() == []


def test_two_threads_give_the_bits_of_one(monkeypatch):
    """Many rows are stepped by two threads, each with nodes that read nothing of the other's; the bits are the same."""
    names = [*NAMES, "adx_3", "obv", "sma_4__rsi_2", "ema_2__macd_2_3_2_hist"]
    rng = np.random.default_rng(11)
    close = 100 + np.cumsum(rng.normal(size=5000))
    columns = {"close": close, "high": close + 1, "low": close - rng.random(5000), "volume": rng.random(5000)}
    plan, times = Plan(names), HOUR * np.arange(5000)
    one, two = plan.start(), plan.start()
    expected = plan.run(one, columns, times)
    monkeypatch.setattr(driver, "ROWS_FOR_TWO", 1000)
    found = plan.run(two, columns, times)
    assert [len(half) > 0 for half in plan._halves] == [True, True]
    np.testing.assert_array_equal(one.values.view(np.int64), two.values.view(np.int64))
    for name, values in expected.items():
        np.testing.assert_array_equal(values.view(np.int64), found[name].view(np.int64), err_msg=name)
    assert len(Plan(["sma_3", "ema_2__sma_3"])._halves) == 1
