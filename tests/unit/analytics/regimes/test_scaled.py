"""Regimes over stored bars: scaled returns, lookback, days, and the state that is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.judges.naive import hmm as naive
from trading_platform.analytics.regimes import scaled
from trading_platform.analytics.regimes.default import DEFAULT
from trading_platform.analytics.regimes.hmm import GaussianHmm
from trading_platform.analytics.regimes.scaled import LABELS, LOOKBACK, SEED, SPAN, ScaledModel
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import WorkError

MINUTE = 60_000_000_000
PER_DAY = DAY_NS // MINUTE


def closes(rows, seed=0):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 1e-3, rows)))


def go(model, state, close, slots, day=0, counts=None):
    start = day * DAY_NS
    counts = np.isfinite(close).astype(int) if counts is None else counts
    bars = {"ts_open": start + np.asarray(slots) * MINUTE, "close": close, "trade_count": counts}
    return scaled.run_day(model, state, bars, day_start_ns=start, timeframe_ns=MINUTE, end_ns=start + DAY_NS)


def twin(close):
    """Scaled returns by the definition."""
    returns = [math.log(b / a) for a, b in zip(close, close[1:], strict=False)]
    scale = sum(r * r for r in returns[:SEED]) / SEED
    out = []
    for r in returns[SEED:]:
        out.append(r / math.sqrt(max(scale, 1e-16)))
        scale += 2 / (SPAN + 1) * (r * r - scale)
    return out


def test_observations_and_probabilities_equal_their_twins():
    """Scaled returns equal the definition; filter and change probability equal every path counted."""
    close = closes(LOOKBACK + 6)
    rows, _ = go(DEFAULT, DEFAULT.start(), close, range(len(close)))
    z = twin(close.tolist())
    observed, _ = scaled.observe_day(
        scaled.new_scale(),
        {"ts_open": np.arange(len(close)) * MINUTE, "close": close, "trade_count": np.ones(len(close))},
        day_start_ns=0, timeframe_ns=MINUTE, end_ns=len(close) * MINUTE,
    )  # fmt: skip
    np.testing.assert_allclose(observed[LOOKBACK:], z, rtol=1e-12)
    oracle = naive.Model(*(getattr(DEFAULT.hmm, n).tolist() for n in ("start", "transition", "means", "variances")))
    np.testing.assert_allclose(rows.probability[LOOKBACK:], naive.filtered(oracle, z), rtol=1e-9)
    np.testing.assert_allclose(rows.change_probability[LOOKBACK:], naive.changed(oracle, z), rtol=1e-9, atol=1e-15)


def test_the_lookback_has_no_regime():
    """Until the scale is seeded there is no state, no label and no probability."""
    close = closes(60)
    rows, _ = go(DEFAULT, DEFAULT.start(), close, range(60))
    assert np.isnan(rows.probability).all(axis=1).tolist() == [i < LOOKBACK for i in range(60)]
    assert (rows.state[:LOOKBACK] == -1).all()
    assert set(rows.label[:LOOKBACK]) == {None}
    assert [DEFAULT.labels[s] for s in rows.state[LOOKBACK:]] == rows.label[LOOKBACK:].tolist()
    np.testing.assert_allclose(rows.probability[LOOKBACK:].sum(axis=1), 1.0)
    assert rows.change_probability[LOOKBACK] == 0.0


def test_volatile_minutes_are_turbulent():
    """A burst of large moves is labelled turbulent, the calm before it is not."""
    close = closes(600)
    close[500:] *= np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-2, 100)))
    rows, _ = go(DEFAULT, DEFAULT.start(), close, range(600))
    assert (rows.label[502:540] == "turbulent").mean() > 0.7
    assert (rows.label[100:500] == "turbulent").mean() < 0.1


def test_days_carry_state_through_bytes():
    """Day by day through bytes gives the bits of one long series."""
    close = closes(3 * PER_DAY)
    state = DEFAULT.start()
    parts = []
    for day in range(3):
        part = close[day * PER_DAY : (day + 1) * PER_DAY]
        rows, state = go(DEFAULT, DEFAULT.from_bytes(DEFAULT.to_bytes(state)), part, range(PER_DAY), day)
        parts.append(rows)
    whole = DEFAULT.start()
    z = np.empty(len(close))
    scaled.scale_run(whole.scale, close, z)
    probability, change = DEFAULT.step(whole, z)
    np.testing.assert_array_equal(np.concatenate([p.probability for p in parts]), probability)
    np.testing.assert_array_equal(np.concatenate([p.change_probability for p in parts]), change)
    assert DEFAULT.to_bytes(state) == DEFAULT.to_bytes(whole)


def test_unknown_rows_do_not_step_and_empty_intervals_do():
    """A row without a trade is unknown; an interval without a row moves by nothing."""
    close = closes(80)
    with_unknown = np.insert(close, 50, np.nan)
    rows, _ = go(DEFAULT, DEFAULT.start(), with_unknown, range(81))
    assert rows.unknown.tolist() == [i == 50 for i in range(81)]
    assert rows.state[50] == -1
    np.testing.assert_array_equal(np.delete(rows.probability, 50, axis=0), whole_day(close))
    repeated = np.insert(close, 50, close[49])
    skipped, _ = go(DEFAULT, DEFAULT.start(), close, [i if i < 50 else i + 1 for i in range(80)])
    np.testing.assert_array_equal(skipped.probability, np.delete(whole_day(repeated), 50, axis=0))


def whole_day(close):
    return go(DEFAULT, DEFAULT.start(), close, range(len(close)))[0].probability


def test_a_given_state_is_left_alone():
    """The given state is unchanged: a day can be computed again."""
    state = DEFAULT.start()
    before = DEFAULT.to_bytes(state)
    go(DEFAULT, state, closes(60), range(60))
    assert DEFAULT.to_bytes(state) == before


def test_a_new_model_keeps_the_scale_and_begins_its_filter_anew():
    """After a promotion the volatility goes on, the probabilities start from the new model."""
    _, state = go(DEFAULT, DEFAULT.start(), closes(60), range(60))
    other = ScaledModel(GaussianHmm.of([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [0, 0], [1, 4]), "other")
    taken = other.from_bytes(DEFAULT.to_bytes(state))
    np.testing.assert_array_equal(taken.scale, state.scale)
    assert not taken.carried.any()
    assert other.labels == ("calm", "turbulent")


def test_torn_state_bytes_are_refused():
    """Bytes that are cut or foreign raise."""
    data = DEFAULT.to_bytes(DEFAULT.start())
    for wrong in [*(data[:i] for i in range(len(data))), data + bytes(8), b"x" * len(data)]:
        with pytest.raises(WorkError, match="not a state"):
            DEFAULT.from_bytes(wrong)


def test_a_market_that_never_moved_is_calm():
    """A flat series has scale 0: every return is 0, and the first tick after it is turbulent, not an error."""
    rows, _ = go(DEFAULT, DEFAULT.start(), np.append(np.full(100, 5.0), 5.01), range(101))
    assert set(rows.label[LOOKBACK + 20 : 100]) == {"calm"}
    assert rows.label[100] == "turbulent"
    assert np.isfinite(rows.probability[LOOKBACK:]).all()


def test_every_number_of_states_has_names():
    """One to five states, each with its own label."""
    assert all(len(set(labels)) == states for states, labels in LABELS.items())
    assert sorted(LABELS) == [1, 2, 3, 4, 5]
