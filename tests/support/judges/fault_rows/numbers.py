"""The catalogue's faults: numbers."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

SUMS = "tests/property/test_exact_sums.py::"

ROWS: dict[str, Row] = {
    "V1": Row(
        "sums of more digits than a machine word holds, of any count",
        "exact in `make_bars`, in stored bars and as of an instant; beyond float64 refused in one sentence",
        (
            SUMS + "test_sums_of_a_market_are_exact_however_many_trades",
            SUMS + "test_stored_bars_and_those_as_of_an_instant_are_exact",
            "tests/unit/analytics/test_bars.py::test_so_many_trades_add_up_in_a_bar_without_overflow",
            "tests/unit/analytics/test_bars.py::test_turnover_beyond_float64_is_refused",
        ),
    ),
    "V2": Row(
        "a price of 18 decimals beside one of 15 whole digits",
        "exact all the same, slower",
        (SUMS + "test_sums_are_exact_whatever_scales_meet_in_a_frame",),
    ),
    "V3": Row(
        "a series, or a market, that is constant but for rounding",
        "refused by `fit_regimes` in one sentence; no model is promoted, the shipped one labels",
        (
            "tests/unit/analytics/regimes/test_hmm.py::test_a_series_of_one_value_up_to_rounding_is_refused",
            "tests/unit/pipeline/state/test_regime_models.py::test_a_market_that_stands_still_teaches_nothing",
        ),
    ),
}
