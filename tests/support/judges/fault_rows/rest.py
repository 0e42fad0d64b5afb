"""The catalogue's faults: rest."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

DAILY = "tests/integration/test_archive_days.py::"
FILES = "tests/unit/ingest/recovery/test_archive_files.py::"
REST = "tests/unit/ingest/recovery/test_rest_client.py::"
PUBLISHER = "tests/unit/ingest/processor/test_publisher.py::"
OUT_OF_ORDER = "tests/integration/test_rest_out_of_order.py::"
DOUBT = "tests/unit/completeness/test_answer_checks.py::"

ROWS: dict[str, Row] = {
    "R1": Row(
        "a REST server that hangs or drips its headers or body",
        "15 s to the end of the headers, 60 s in all; recording begins and every command stops all the same",
        (
            REST + "test_a_request_has_a_deadline_whatever_drips",
            REST + "test_a_stop_does_not_wait_for_a_server",
            OUT_OF_ORDER + "test_recording_begins_and_stops_while_rest_drips",
            OUT_OF_ORDER + "test_a_recovery_stops_while_rest_hangs",
        ),
    ),
    "R2": Row(
        "a listing that comes late, without the symbol",
        "recorded by the name it spells until then; stopped in order, exit 2",
        (OUT_OF_ORDER + "test_a_symbol_that_is_not_listed_ends_a_recording_that_has_begun",),
    ),
    "R3": Row(
        "others at the address use half of the limit",
        "our share stays ours; near the limit all wait",
        (REST + "test_our_share_is_ours_whatever_others_use", REST + "test_near_the_limit_everybody_waits"),
    ),
    "R4": Row(
        "a wrong first trade of a day, page or newest trade",
        "checked against time, range, neighbours and what was delivered; not believed, asked again",
        (
            DOUBT + "test_the_first_trade_of_a_day_is_checked",
            DOUBT + "test_a_page_that_was_not_asked_for_is_kept_apart",
            DOUBT + "test_an_older_head_than_was_delivered_closes_nothing",
            DOUBT + "test_a_head_far_beyond_the_list_opens_no_gap",
        ),
    ),
    "R5": Row(
        "an instrument list of 20 MB",
        "read; in the log in pieces",
        ("tests/unit/ingest/recovery/test_instruments.py::test_a_listing_of_twenty_megabytes_is_read",),
    ),
    "R6": Row(
        "a signal while modules are imported",
        "exit 0, at once",
        ("tests/unit/processes/test_early_signals.py::test_a_command_that_is_being_imported_stops_in_order",),
    ),
    "R7": Row(
        "a stop of 500 symbols on a busy machine",
        "exit 0 within 30 s; what was not staged or published is durable and decoded, named, and published next",
        (
            PUBLISHER + "test_a_stop_breaks_off_the_round_and_the_last_one_goes_on_from_there",
            PUBLISHER + "test_a_stop_ends_when_its_time_is_over_and_leaves_the_rest_to_the_next_start",
            "tests/unit/ingest/processor/test_processor.py::"
            "test_a_stop_without_time_to_stage_leaves_the_lane_to_the_next_start",
        ),
    ),
    "R8": Row(
        "a daily file that is damaged, no zip, a bomb, or of other columns",
        "refused in one line before any of it is logged; asked for once more at the end, then REST",
        (
            DAILY + "test_a_damaged_download_is_tried_again_later",
            DAILY + "test_what_stays_damaged_comes_over_rest",
            FILES + "test_what_is_no_zip_of_one_file_is_refused",
            FILES + "test_what_holds_no_rows_is_refused",
            FILES + "test_a_file_without_an_end_is_refused",
        ),
    ),
    "R9": Row(
        "a daily file with holes, absent, late, or published again",
        "ids decide: REST is asked for what is missing; another file only where the day still lacks something",
        (
            DAILY + "test_holes_stay_open_and_rest_fills_them",
            DAILY + "test_days_without_a_file_come_over_rest",
            DAILY + "test_a_file_published_again_is_fetched_if_the_day_lacks_something",
        ),
    ),
    "R10": Row(
        "a download that breaks, hangs or drips, and kill -9 in the middle of it",
        "goes on where it ended; 15 s to the first byte and 2 min for a MB, a few times, then REST",
        (
            DAILY + "test_a_download_goes_on_where_it_was_interrupted",
            "tests/unit/ingest/recovery/test_archive_client.py::test_no_server_holds_a_download_up",
            "tests/fault/test_archive_killed.py::test_killed_twice_it_goes_on",
        ),
    ),
}
