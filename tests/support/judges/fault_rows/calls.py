"""The catalogue's faults: calls."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

CLI = "tests/unit/test_cli.py::"
CALLS = "tests/unit/analytics/test_notebook.py::"
MAKE = "tests/unit/analytics/test_bars_from_frames.py::"
STREAMS = "tests/unit/analytics/test_streams.py::"
GRID = "tests/integration/test_grid.py::"
READERS = "tests/unit/api/test_readers.py::"

ROWS: dict[str, Row] = {
    "A1": Row(
        "a frame that cannot be meant: other sides, seconds for ns, several markets, no order, a column twice",
        "refused by `make_bars` and `compute` in one sentence that says what to change; nothing is computed",
        (
            MAKE + "test_what_cannot_be_folded_says_why",
            MAKE + "test_integers_of_another_unit_are_refused",
            MAKE + "test_rows_out_of_order_are_refused",
            CALLS + "test_rows_that_cannot_be_meant_are_refused",
        ),
    ),
    "A2": Row(
        "a trade stands in a frame twice, alike or not",
        "counted once; with another price, quantity, side or time refused by its id",
        (
            MAKE + "test_a_trade_that_comes_twice_counts_once",
            MAKE + "test_a_trade_that_comes_twice_and_differs_is_refused",
        ),
    ),
    "A3": Row(
        "nobody knows the taker of a trade",
        "what takers bought in its bar is missing, not 0, in frames and in the lake; imbalance bars are refused",
        (
            MAKE + "test_one_unknown_side_leaves_its_bars_taker_sums_missing",
            "tests/property/test_stored_bars.py::test_the_lake_holds_these_bars",
        ),
    ),
    "A4": Row(
        "a venue, symbol, timeframe or data directory is misspelt",
        "refused with the nearest name that is stored, not answered with an empty frame",
        (
            READERS + "test_a_name_that_is_not_stored_is_refused_with_the_nearest",
            READERS + "test_a_timeframe_that_is_not_stored_is_refused",
            READERS + "test_a_directory_that_is_not_there_is_refused_and_not_made",
        ),
    ),
    "A5": Row(
        "a stream's state is damaged, cut or longer",
        "refused, every bit of it, nested inputs and many symbols included",
        (STREAMS + "test_every_flipped_bit_of_a_state_is_refused",),
    ),
    "A6": Row(
        "intervals without a trade have no row, and indicators of the rows differ from the stored ones",
        "`compute(…, grid=True)` and `stream(…, grid=…)` step them as the lake does, to the same bits",
        (
            GRID + "test_compute_on_the_grid_equals_the_stored_indicators",
            GRID + "test_a_stream_on_the_grid_equals_the_stored_indicators",
        ),
    ),
    "A7": Row(
        "objects, columns and frames of any other kind are given to a public call",
        "a result or one line; no error of another library passes out",
        (
            "tests/property/test_junk.py::test_make_bars_answers_or_refuses",
            "tests/property/test_junk.py::test_compute_answers_or_refuses",
            "tests/property/test_junk.py::test_the_other_calls_on_junk",
            "tests/property/test_junk.py::test_readers_answer_or_refuse",
        ),
    ),
    "A8": Row(
        "an argument of a command is junk: a number beyond all bounds, no UTF-8, a folder for a file",
        "one line, exit 2; nothing is made",
        (CLI + "test_junk_is_refused_in_one_line",),
    ),
    "A9": Row(
        "stdout or stderr is closed, or its disk full",
        "a result that cannot be written is a failure in one line; what stderr cannot take is lost, work goes on",
        (
            CLI + "test_a_result_that_cannot_be_written_is_a_failure",
            CLI + "test_without_a_place_for_errors_the_work_goes_on",
        ),
    ),
    "A10": Row(
        "an address in the settings holds a password or a token",
        "masked in `settings`, logs and errors; no child process has it among its words",
        (
            CLI + "test_credentials_are_masked_in_errors_and_settings",
            "tests/unit/commands/support/test_stack.py::test_addresses_are_not_among_the_words_of_a_process",
        ),
    ),
}
