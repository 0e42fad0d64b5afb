"""The catalogue's faults: clock."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

CLOCK = "tests/fault/test_catalogue_clock.py::"
NUMBERINGS = "tests/integration/test_numberings.py::"

ROWS: dict[str, Row] = {
    "C1": Row(
        "the wall clock jumps by an hour, or by a second all the time",
        "deadlines do not notice; ends are known and gaps due as before",
        (
            CLOCK + "test_a_wall_clock_that_jumps_moves_no_trade",
            CLOCK + "test_after_a_step_back_the_end_is_found_all_the_same",
            CLOCK + "test_a_gap_is_due_though_the_clock_was_set_back",
        ),
    ),
    "C2": Row(
        "trade times in seconds, in ns, of 1970, of the future",
        "`quarantined` with the reason; the id is a gap and fetched",
        (CLOCK + "test_an_impossible_trade_time_is_kept_apart_and_asked_for",),
    ),
    "C3": Row(
        "leap seconds, leap days, year's ends, daylight saving",
        "days are UTC and half-open, by the exchange's trade time",
        (CLOCK + "test_days_are_utc_and_half_open",),
    ),
    "C4": Row(
        "a first trade that tells a time years before or months after the others",
        "stored as told; the undertaken ids below it are fetched, no epoch begins; another numbering stays apart",
        (
            NUMBERINGS + "test_a_first_trade_of_an_absurd_time_leaves_nothing_below_it_open",
            "tests/unit/completeness/test_epochs.py::test_one_absurd_time_does_not_keep_the_ids_below_open",
            "tests/unit/completeness/test_epochs.py::test_one_absurd_time_does_not_let_another_numbering_in",
        ),
    ),
}
