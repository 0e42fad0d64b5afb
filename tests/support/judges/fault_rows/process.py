"""The catalogue's faults: process."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

PROCESS = "tests/fault/test_catalogue_process.py::"
SESSION = "tests/integration/test_session.py::"
DECIDES = "tests/unit/ingest/recorder/test_session.py::"

ROWS: dict[str, Row] = {
    "P1": Row(
        "killed with -9 at any moment",
        "started again; what was not yet durable is fetched",
        ("tests/fault/test_kills.py::test_killed_at_random_moments_nothing_is_lost",),
    ),
    "P2": Row(
        "killed at every write, sync, rename, unlink",
        "the next start goes on from it",
        (
            "tests/fault/test_every_operation.py::test_a_crash_at_any_operation_loses_nothing",
            "tests/fault/test_strace.py::test_killed_at_sampled_system_calls_nothing_is_lost",
        ),
    ),
    "P3": Row(
        "publishing or computing killed",
        "whole files before and after; done again",
        (
            "tests/fault/test_publish_stops.py::test_kill_9_at_every_step",
            "tests/fault/test_pipeline_killed.py::test_killed_computations_leave_no_trace",
        ),
    ),
    "P4": Row(
        "stopped (SIGSTOP), the machine suspended",
        "`lost: process was paused for … s`, connected anew, the gap fetched",
        (
            SESSION + "test_a_stopped_recorder_sees_that_it_stood_still",
            DECIDES + "test_a_pause_of_our_own_is_recognised",
        ),
    ),
    "P5": Row(
        "out of memory",
        "as P1; memory stays below its bound under hostile input and load",
        (
            PROCESS + "test_a_recorder_that_runs_out_of_memory_is_started_again",
            "tests/fault/test_hostile_peer.py::test_hostile_input_costs_a_connection_and_no_memory",
        ),
    ),
    "P6": Row(
        "a tenth of a core",
        "the same connection; it lags and catches up",
        (PROCESS + "test_starved_to_a_tenth_of_a_core_it_lives_and_loses_nothing",),
    ),
    "P7": Row(
        "no free descriptor",
        "`Too many open files` in the log, the log goes on, connected when there is one",
        (PROCESS + "test_without_a_free_descriptor_it_waits_and_goes_on",),
    ),
    "P8": Row(
        "a second ingest of the same data",
        "refused in one line that names the first, exit 2",
        ("tests/integration/test_bad_input.py::test_a_second_ingest_names_the_first",),
    ),
    "P9": Row(
        "SIGTERM in a flood, or in the middle of a recovery",
        "in order within 5 s; nothing is asked twice that was answered",
        (
            PROCESS + "test_stopped_in_the_middle_of_a_flood_all_that_came_is_kept",
            PROCESS + "test_stopped_while_it_fetches_recovery_ends_and_goes_on_later",
        ),
    ),
    "P10": Row(
        "an event loop that is blocked",
        "an error after 5 s, the end with every stack after 30 s, started again",
        (
            "tests/unit/ingest/liveness/test_loop_watchdog.py::test_a_process_whose_loop_is_blocked_ends_and_says_where",
            "tests/unit/ingest/liveness/test_loop_watchdog.py::test_thirty_seconds_are_the_end_and_five_a_warning",
        ),
    ),
    "P11": Row(
        "two recorders of one venue, and back again",
        "a lane each, one account, each trade once",
        (PROCESS + "test_two_recorders_of_one_venue_make_one_account",),
    ),
}
