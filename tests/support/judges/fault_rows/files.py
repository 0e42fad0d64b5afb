"""The catalogue's faults: files."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

ODD = "tests/unit/store/test_odd_paths.py::"
FLIPPED = "tests/fault/test_flipped_files.py::"
COPIED = "tests/integration/test_as_of_copied.py::"
QUERY = "tests/unit/commands/test_query.py::"

ROWS: dict[str, Row] = {
    "F1": Row(
        "a bit is flipped in a small file that is read back: a state, a model, a mark, what a replay keeps aside",
        "refused in one line, or computed again; a damaged time of a connect counts as now",
        (
            FLIPPED + "test_a_flipped_bit_is_never_a_value",
            FLIPPED + "test_what_is_cut_short_is_never_a_value",
            FLIPPED + "test_a_damaged_time_is_written_anew",
        ),
    ),
    "F2": Row(
        "a lake is copied without its ledger, or beside another one, and asked as of a time",
        "answered from the trades' own receive times; what they cannot tell is refused in one sentence",
        (
            COPIED + "test_a_copied_lake_answers_as_then",
            COPIED + "test_every_view_of_a_copied_lake_answers_as_then",
            COPIED + "test_coverage_needs_the_ledger",
            COPIED + "test_trades_without_a_receive_time_are_refused",
            COPIED + "test_bars_without_their_trades_are_refused",
            COPIED + "test_files_are_not_read_past_the_views",
        ),
    ),
    "F3": Row(
        "a value is missing and passes for a number above all others (NaN)",
        "null in files, views, polars and Arrow; a gate refuses NaN, and files of older code read as null",
        (
            "tests/unit/quality/test_gates.py::test_no_nan_passes",
            "tests/integration/test_pipeline.py::test_no_nan_is_stored",
            QUERY + "test_what_has_no_value_is_null_in_every_format",
        ),
    ),
    "F4": Row(
        "another program guesses types from the lake's folders: `NULL-USDT`, `TRUE-USDT`, `1E5-USDT`",
        "every name stays the text it is in DuckDB, polars, pyarrow and pandas",
        ("tests/unit/store/lake/test_read_directly.py::test_a_filter_on_each_partition_finds_its_rows",),
    ),
    "F5": Row(
        "the ledger's own file is damaged, or gone",
        "one line, exit 1; moved away, `replay --ledger` rebuilds it from the log and names what to compute again",
        (
            FLIPPED + "test_a_damaged_ledger_is_refused_and_made_again",
            FLIPPED + "test_a_flipped_bit_in_the_ledger_is_never_a_bug",
        ),
    ),
    "F6": Row(
        "a data directory has a name that means something to a database, a pattern or an address",
        "all lies below the name as given; what DuckDB or Dagster cannot take is refused in one line, exit 2",
        (
            ODD + "test_whatever_it_is_called_nothing_lies_elsewhere",
            ODD + "test_what_readers_of_a_lake_cannot_take_is_refused",
        ),
    ),
    "F7": Row(
        "a data directory of one simulated market is to take another one, or the exchange's trades",
        "refused by name, exit 2, by `up` before anything starts, by `ingest` and `recover` before a trade is kept",
        (
            "tests/integration/test_simulated_markets.py::test_another_market_is_refused",
            "tests/integration/test_up.py::test_a_demonstration_is_not_continued_by_another_market",
            "tests/unit/commands/support/test_stack.py::test_what_ingest_refuses_ends_the_start_of_a_used_directory",
        ),
    ),
    "F8": Row(
        "a recording is of futures, unpacks without end, or has a line without end",
        "refused in one line; memory stays",
        (
            "tests/unit/simulate/test_recorded_market.py::test_a_bad_recording_is_one_clear_line",
            "tests/unit/simulate/test_recorded_market.py::test_a_real_capture_of_futures_is_refused",
        ),
    ),
    "F9": Row(
        "a check runs while trades are recorded, fetched, published and computed",
        "`verify` tells of nothing that is only on its way, and of everything that is wrong",
        (
            "tests/property/test_verify_while_recording.py::test_a_write_between_any_two_reads_is_no_violation",
            "tests/property/test_verify_while_recording.py::test_verify_in_a_loop_beside_a_recorder",
            "tests/property/test_verify_while_recording.py::test_what_is_violated_is_found_while_others_record",
        ),
    ),
    "F10": Row(
        "50,000 leaves, of which a query can need two",
        "only folders that may match are listed; where that is not certain, all are: the answer is the same",
        (
            "tests/property/test_query_pruning.py::test_few_files_are_read_and_the_answer_is_the_same",
            "tests/property/test_query_pruning.py::test_where_it_is_unsure_nothing_changes",
            "tests/property/test_query_pruning.py::test_random_conditions",
        ),
    ),
    "F11": Row(
        "the ledger is removed and rebuilt from the log, which does not tell live from simulated",
        "kept in a file beside it, under a checksum: the other kind and another simulated market stay refused",
        (
            "tests/unit/store/ledger/test_marks.py::test_a_rebuilt_ledger_knows_what_the_directory_holds",
            "tests/unit/store/ledger/test_marks.py::test_a_damaged_mark_is_not_guessed",
        ),
    ),
    "F12": Row(
        "a flipped bit in the context or the position of a lane in the ledger",
        "refused by its checksum when the lane is decoded on, and named by `verify`; rows of older code bear none",
        (
            "tests/unit/store/ledger/test_lane_context.py::test_a_changed_character_is_refused",
            "tests/unit/store/ledger/test_lane_context.py::test_a_changed_position_is_refused",
        ),
    ),
    "F13": Row(
        "a published file is changed, cut short or removed, or a staged part is damaged, while recording goes on",
        "the next publish, refresh, seal or `replay --leaf` compares the bytes with the ledger, makes the file "
        "again from the log and says so; without the log it is refused, never passed; other files do not wait",
        (
            "tests/integration/test_damaged_leaves.py::test_a_refresh_finds_damage_and_makes_the_file_again",
            "tests/integration/test_damaged_leaves.py::test_the_publisher_goes_on_while_recording",
            "tests/integration/test_damaged_leaves.py::test_a_damaged_part_is_made_again_too",
            "tests/integration/test_damaged_leaves.py::test_what_the_log_gave_up_is_not_made_from_the_rest",
            "tests/integration/test_damaged_leaves.py::test_a_single_file_is_made_again_by_name",
        ),
    ),
}
