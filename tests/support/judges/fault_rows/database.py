"""The catalogue's faults: database."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

BASE = "tests/integration/database/test_database_faults.py::"
SINK = "tests/integration/database/test_sink.py::"

ROWS: dict[str, Row] = {
    "T1": Row(
        "the database is away: at the start, for a while, or its sessions are ended",
        "recording starts and goes on; the log keeps what it lacks; after five failures it is tried every 30 s, and"
        " `sink_lag_seconds` grows",
        (
            "tests/integration/database/test_database_away.py::test_recording_starts_without_its_database",
            SINK + "test_a_server_that_is_away_loses_nothing",
            BASE + "test_a_database_that_is_away_is_left_alone_and_its_lag_grows",
        ),
    ),
    "T2": Row(
        "kill -9 of the server in the middle of a COPY",
        "nothing of it is there after the restart; then everything is, once",
        (BASE + "test_a_server_killed_within_a_copy_keeps_nothing_of_it",),
    ),
    "T3": Row(
        "whoever writes dies in the middle of live trades or of a leaf",
        "its transaction is undone; the next one begins where the position is",
        (
            BASE + "test_a_writer_that_dies_within_a_copy_leaves_nothing",
            "tests/integration/database/test_ingest_feeds_database.py::test_lake_and_database_are_equal_after_a_kill",
        ),
    ),
    "T4": Row(
        "the server commits and its answer is lost",
        "found covered by the next attempt: nothing comes twice",
        (BASE + "test_a_commit_whose_answer_is_lost_is_done_once", SINK + "test_writing_again_changes_nothing"),
    ),
    "T5": Row(
        "a black hole that acknowledges every packet; a slow line",
        "the transaction is cut off after its time; latency only costs time",
        (BASE + "test_a_black_hole_is_given_up_and_a_slow_line_is_not",),
    ),
    "T6": Row(
        "a lock is held, a query takes long, no connection is free",
        "one named error after a bounded wait; the next round does the work",
        (
            SINK + "test_a_lock_that_is_held_costs_one_round",
            SINK + "test_a_statement_is_bounded",
            BASE + "test_an_exhausted_pool_names_itself_and_others_go_on",
        ),
    ),
    "T7": Row(
        "live the database took a trade that the lake has otherwise: a later copy, another day, no trade at all",
        "the day's leaf leaves the lake's rows; a file that is taken out takes its rows with it",
        (
            SINK + "test_a_copy_with_an_earlier_time_wins_as_in_the_lake",
            SINK + "test_a_trade_of_another_day_is_moved",
            SINK + "test_an_id_without_a_trade_stays_out",
            SINK + "test_a_leaf_that_is_taken_out_of_the_lake_is_taken_out_here",
        ),
    ),
}
