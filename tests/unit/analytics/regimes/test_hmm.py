"""The hidden Markov model against every path one by one, and against published regimes."""

from __future__ import annotations

import csv
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trading_platform as tp
from tests.support.judges.naive import hmm as naive
from trading_platform.analytics.regimes.fit import ALIKE, FEWEST, STILL
from trading_platform.analytics.regimes.hmm import GaussianHmm
from trading_platform.analytics.regimes.kernels import expectation
from trading_platform.domain.errors import UsageError, WorkError

TWO = naive.Model([0.3, 0.7], [[0.9, 0.1], [0.25, 0.75]], [0.1, -0.3], [0.5, 4.0])
THREE = naive.Model(
    [0.2, 0.5, 0.3], [[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], [0.0, 1.0, -1.0], [0.2, 1.0, 9.0]
)
X = [0.2, -0.4, 3.0, -2.5, 0.1, 0.0, 6.0]
both = pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])


@both
def test_filter_likelihood_and_path_equal_every_path_counted(oracle):
    """Filter, log-likelihood and Viterbi equal the sums and the best over all paths."""
    model = GaussianHmm.of(*oracle)
    np.testing.assert_allclose(model.filter(X), naive.filtered(oracle, X), rtol=1e-12)
    assert model.log_likelihood(X) == pytest.approx(naive.log_likelihood(oracle, X), rel=1e-12)
    assert model.viterbi(X).tolist() == naive.viterbi(oracle, X)


def test_the_filter_looks_back_only():
    """Later observations change no earlier row."""
    model = GaussianHmm.of(*THREE)
    np.testing.assert_array_equal(model.filter([*X[:4], 99.0])[:4], model.filter(X)[:4])


def test_an_outlier_of_a_thousand_deviations_is_filtered():
    """Densities that underflow still give probabilities that add up to 1."""
    rows = GaussianHmm.of(*THREE).filter([0.0, 1e4, -1e5, 0.0])
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    assert np.isfinite(GaussianHmm.of(*THREE).log_likelihood([0.0, 1e4]))


def test_a_missing_observation_does_not_step():
    """NaN gives a row of NaN and leaves the filter where it was."""
    model = GaussianHmm.of(*TWO)
    rows = model.filter([0.2, np.nan, 3.0])
    assert np.isnan(rows[1]).all()
    np.testing.assert_array_equal(rows[[0, 2]], model.filter([0.2, 3.0]))


def test_states_are_ordered_by_volatility():
    """Whatever order parameters are given in, state 0 is the calmest."""
    given = GaussianHmm.of([0.7, 0.3], [[0.75, 0.25], [0.1, 0.9]], [-0.3, 0.1], [4.0, 0.5])
    expected = GaussianHmm.of(*TWO)
    for name in ("start", "transition", "means", "variances"):
        np.testing.assert_array_equal(getattr(given, name), getattr(expected, name))
    assert given.model_version == expected.model_version
    assert given.states == 2


def test_a_model_survives_json():
    """JSON keeps every bit, and the version names the content."""
    model = GaussianHmm.of(*THREE)
    again = GaussianHmm.from_json(model.to_json())
    assert again.to_json() == model.to_json()
    np.testing.assert_array_equal(again.filter(X), model.filter(X))
    assert again.model_version == model.model_version != GaussianHmm.of(*TWO).model_version
    for wrong in (b"", b"{}", b"[]", model.to_json().replace(b"0.2", b"0.9"), model.to_json()[:-5]):
        with pytest.raises(WorkError, match="not a gaussian_hmm"):
            GaussianHmm.from_json(wrong)


@pytest.mark.parametrize(
    "parameters",
    [
        ([0.5, 0.6], [[0.9, 0.1], [0.1, 0.9]], [0, 0], [1, 2]),
        ([0.5, 0.5], [[0.9, 0.2], [0.1, 0.9]], [0, 0], [1, 2]),
        ([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [0, 0], [1, 0]),
        ([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [0, np.nan], [1, 2]),
        ([0.5, 0.5], [[0.9, 0.1]], [0, 0], [1, 2]),
        ([1.5, -0.5], [[0.9, 0.1], [0.1, 0.9]], [0, 0], [1, 2]),
        ([], [], [], []),
        ([0.1] * 10, np.full((10, 10), 0.1), [0] * 10, [1] * 10),
    ],
)
def test_impossible_parameters_are_refused(parameters):
    """Probabilities must add up, variances be positive, shapes agree."""
    with pytest.raises(UsageError):
        GaussianHmm.of(*parameters)


def test_dax_regimes_agree_with_the_published_ones(shared_data):
    """A two-state fit of daily DAX returns labels at least 99 % of days as the published model does."""
    with shared_data("regimes/fHMM/dax_model_2n_decoded.csv").open() as file:
        rows = list(csv.DictReader(file))
    x = [float(row["log_return"]) for row in rows]
    model = tp.fit_regimes(x, states=2)
    # The published state 1 is the volatile one.
    published = np.array([1 if float(row["state"]) == 1 else 0 for row in rows])
    assert (model.viterbi(x) == published).mean() > 0.99
    assert np.sqrt(model.variances).tolist() == pytest.approx([0.0094, 0.0231], rel=0.02)
    # The filter sees no later day; the published path does.
    assert (np.argmax(model.filter(x), axis=1) == published).mean() > 0.9


def test_filtered_probabilities_follow_stata_on_fedfunds(shared_data):
    """Stata's predicted probabilities are its filtered ones of the quarter before, moved by its transition."""
    table = pd.read_csv(shared_data("regimes/statsmodels/results_predict_fedfunds.csv"))
    filtered = table[["const_f1", "const_f2"]].to_numpy()
    predicted = table[["const_p1", "const_p2"]].to_numpy()
    transition = np.linalg.lstsq(filtered[:-1], predicted[1:], rcond=None)[0]
    np.testing.assert_allclose(filtered[:-1] @ transition, predicted[1:], atol=1e-6)
    # One variance for both states: what Stata's filter weighed each quarter with gives back the observation …
    means, variance = np.array([3.70877, 9.556793]), 2.107562**2
    odds = np.log(filtered[:, 0] * predicted[:, 1] / (filtered[:, 1] * predicted[:, 0]))
    seen = np.abs(odds) < 12
    x = (means.mean() - odds * variance / (means[1] - means[0]))[seen]
    # … and our filter weighs it the same way, given the same past.
    for value, before, after in zip(x, predicted[seen], filtered[seen], strict=True):
        model = GaussianHmm.of(before / before.sum(), np.eye(2), means, [variance, variance])
        np.testing.assert_allclose(model.filter([value])[0], after, atol=1e-6)


def simulate(rows=4000, seed=7):
    rng = np.random.default_rng(seed)
    states = [0]
    for _ in range(rows - 1):
        states.append(rng.choice(3, p=[[0.97, 0.02, 0.01], [0.02, 0.96, 0.02], [0.01, 0.04, 0.95]][states[-1]]))
    states = np.array(states)
    return states, rng.normal(0, np.array([0.5, 2.0, 7.0])[states])


def test_a_fit_finds_the_model_that_made_the_data():
    """Three simulated regimes are found with their deviations and persistence."""
    states, x = simulate()
    model = tp.fit_regimes(x, states=3, seed=1)
    assert np.sqrt(model.variances).tolist() == pytest.approx([0.5, 2.0, 7.0], rel=0.1)
    assert np.diag(model.transition).tolist() == pytest.approx([0.97, 0.96, 0.95], abs=0.02)
    assert (model.viterbi(x) == states).mean() > 0.9


def test_the_same_seed_gives_the_same_model():
    """A fit is a function of x, states and seed, and of units only by scale."""
    x = simulate(1000)[1]
    left, right = tp.fit_regimes(x, states=2, seed=3), tp.fit_regimes(x.copy(), states=2, seed=3)
    assert left.to_json() == right.to_json()
    scaled = tp.fit_regimes(x * 1e-4 + 5.0, states=2, seed=3)
    np.testing.assert_allclose(scaled.transition, left.transition, atol=1e-3)


def test_more_rounds_never_lower_the_likelihood():
    """Expectation maximisation climbs."""
    x = simulate(1500)[1]
    found = [tp.fit_regimes(x, states=3, rounds=rounds).log_likelihood(x) for rounds in (1, 3, 10, 50, 400)]
    assert all(b >= a - 1e-6 for a, b in zip(found, found[1:], strict=False))


def test_the_least_likely_series_does_not_underflow():
    """Every observation forces the rarest move that a fit allows: the likelihood is still that of the filter."""
    x = np.resize([0.0, 1e3], 500)
    rare = 1e-10
    model = GaussianHmm.of([1 - rare, rare], [[1 - rare, rare], [rare, 1 - rare]], [0.0, 1e3], [1e-6, 1e-6])
    sums = np.empty(12)
    likelihood = expectation(*model.flat, x, np.empty(1000), np.empty(1000), sums)
    assert likelihood == pytest.approx(model.log_likelihood(x), rel=1e-12)
    assert np.isfinite(sums).all()


def test_one_state_is_mean_and_variance():
    """With one state the fit is the sample's own moments."""
    x = simulate(500)[1]
    model = tp.fit_regimes(x, states=1)
    assert model.means[0] == pytest.approx(x.mean())
    assert model.variances[0] == pytest.approx(x.var())
    assert model.viterbi(x).tolist() == [0] * 500


def test_values_that_repeat_do_not_collapse_a_state():
    """Half the values exactly equal: variances stay above the floor, everything finite."""
    x = np.where(np.arange(600) % 2, 0.0, np.random.default_rng(0).normal(size=600))
    model = tp.fit_regimes(x, states=3)
    assert (model.variances > 0).all()
    assert np.isfinite(model.log_likelihood(x))


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        ([1.0] * 5, {}, "need at least 20 values"),
        ([1.0] * 50, {}, "x is constant"),
        ([0.0, np.nan] * 20, {}, "x[1] is nan"),
        (np.zeros((20, 2)), {}, "2 dimensions"),
        (["a"] * 50, {}, "no numbers"),
        (np.arange(50.0), {"model": "garch"}, "no regime model; known: gaussian_hmm"),
        (np.arange(50.0), {"states": True}, "states must be a whole number"),
        (np.arange(50.0), {"states": 2.0}, "states must be a whole number"),
        (np.arange(50.0), {"model": ["gaussian_hmm"]}, "is no regime model"),
        (np.arange(50.0), {"seed": -1}, "seed must be a whole number"),
        (np.arange(50.0), {"seed": None}, "seed must be a whole number"),
        (np.arange(50.0), {"rounds": 0}, "rounds must be a whole number from 1"),
        (np.arange(50.0), {"tolerance": float("nan")}, "tolerance must be a number from 0 on"),
        (["1.5"] * 50, {}, "x holds no numbers"),
        ([True, False] * 25, {}, "x holds no numbers"),
        (np.arange(50).astype("datetime64[s]"), {}, "x holds no numbers"),
        (np.arange(50) * 1j, {}, "x holds no numbers"),
        ([[1.0], [2.0, 3.0]], {}, "x holds no numbers"),
        ({"x": 1.0}, {}, "x is dict of 0 dimensions"),
        (None, {}, "x is NoneType of 0 dimensions"),
        ((x for x in range(50)), {}, "x is generator of 0 dimensions"),
        (pd.DataFrame({"x": np.arange(50.0)}), {}, "x is DataFrame of 2 dimensions"),
        ([*range(49), None], {}, "x[49] is nan"),
        (pd.Series(np.arange(50.0), pd.date_range("2024", periods=50)[::-1]), {}, "x[1] is out of order"),
        (pd.Series(np.arange(50.0), [pd.NaT, *pd.date_range("2024", periods=49)]), {}, "holds a null where a time"),
        (np.arange(50.0), {"states": 0}, "from 1 to 5"),
        (np.arange(500.0), {"states": 9}, "from 1 to 5"),
        (np.array([-1e200, 1e200] * 20), {}, "spans more than 1e+140"),
        (np.array([-1.7e308, 1.7e308] * 20), {}, "spans more than 1e+140"),
    ],
)
def test_what_cannot_be_fitted_says_why(x, options, words):
    """One line says what is wrong."""
    with pytest.raises(UsageError) as raised:
        tp.fit_regimes(x, **options)
    assert words in str(raised.value)


NOISE = np.random.default_rng(0).normal(size=1000)
STEPS = np.round(NOISE)


@pytest.mark.parametrize("states", [1, 2, 5])
@pytest.mark.parametrize(
    "x",
    [
        *(np.full(1000, value) for value in (0.1, 5.0, -5.0, 1e300, -1.7e308, 1e-300, 5e-324, 0.0, 7)),
        *(value * (1 + np.finfo(float).eps * STEPS) for value in (0.1, 5.0, 1e300, 1e-300)),
        5.0 + 1e-12 * NOISE,
        np.where(STEPS > 0, 0.1, np.nextafter(0.1, 1)),
        np.where(STEPS > 0, 0.1 + 0.2, 0.3),
        5e-324 * STEPS,
        1e-200 * NOISE,
        np.full(1000, 0.1) - np.full(1000, 0.1).mean(),
        np.diff(np.log(60_000 * (1 + np.finfo(float).eps * STEPS))),
        np.append(np.full(999, 0.1), 7.0),
        np.append(np.zeros(996), [1e-4, -1e-4, 1e300, -1e300]),
        np.append(np.full(999, 0.1), np.nan),
    ],
)
def test_a_series_of_one_value_up_to_rounding_is_refused(x, states):
    """What differs by rounding only, or in a handful of values, has no regimes, whatever its value: one sentence."""
    with pytest.raises(UsageError, match=r"^(x is constant: all|x\[999\] is nan)[^\n]*$"):
        tp.fit_regimes(x, states=states)


@pytest.mark.parametrize(
    "x",
    [
        1e-6 * NOISE,
        1e-12 * NOISE,
        1e-3 + 1e-8 * NOISE,
        60_000.0 + 0.01 * STEPS,
        1.0 + 1e-9 * NOISE,
        1e130 * NOISE,
        np.where(NOISE > 2, 1e-4, 0.0),
        np.repeat([1.0, 2.0], 500),
    ],
)
def test_small_moves_are_moves(x):
    """Returns of a millionth, around nought or a small mean, prices a tick apart and two levels are fitted."""
    model = tp.fit_regimes(x)
    assert (model.variances >= 1e-7 * x.var()).all()
    assert (model.variances <= 10 * x.var()).all()
    assert np.isfinite(model.log_likelihood(x))


def test_at_the_bounds_of_what_differs():
    """Ten digits alike are one value, nine are not; so are values within 1e-14; five values a state must differ."""
    level = np.where(np.arange(1000) % 2, 1.0, 1.0 + 0.99 * ALIKE)
    for x in (level, level * 1e100, np.where(np.arange(1000) % 2, 0.0, 0.99 * STILL)):
        with pytest.raises(UsageError, match="x is constant"):
            tp.fit_regimes(x, states=1)
    for x in (np.where(level > 1, 1.0 + 1.01 * ALIKE, 1.0), np.where(level > 1, 1.01 * STILL, 0.0)):
        assert tp.fit_regimes(x, states=1).variances[0] == pytest.approx(x.var())
    for states in (1, 2):
        few = np.zeros(1000)
        few[: FEWEST * states - 1] = 1.0
        with pytest.raises(UsageError, match=f"all but {FEWEST * states - 1} of its 1000 values are 0"):
            tp.fit_regimes(few, states=states)
        few[FEWEST * states] = 1.0
        assert tp.fit_regimes(few, states=states).states == states


def test_a_series_of_any_library_will_do():
    """Lists, Decimals, pandas, polars and Arrow: one series of numbers gives one model."""
    x = np.random.default_rng(3).normal(size=200).round(6)
    expected = tp.fit_regimes(x).to_json()
    nullable = pd.Series(x, dtype="Float64")
    for given in (x.tolist(), pd.Series(x), nullable, pl.Series(x), pa.array(x), [Decimal(str(one)) for one in x]):
        assert tp.fit_regimes(given, states=np.int64(2)).to_json() == expected
