"""The catalogue of faults: each row with what shows of it and the tests that prove it; docs/faults.md is made from it.

``python -m tests.support.judges.fault_catalogue`` writes the tables into the page; tests/unit/test_catalogue.py holds
both to the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[3] / "docs" / "faults.md"
NETWORK = "tests/fault/test_catalogue_network.py::"
LINKS = "tests/fault/test_catalogue_links.py::"
EXCHANGE = "tests/fault/test_catalogue_exchange.py::"
PROCESS = "tests/fault/test_catalogue_process.py::"
CLOCK = "tests/fault/test_catalogue_clock.py::"
SESSION = "tests/integration/test_session.py::"
DECIDES = "tests/unit/ingest/recorder/test_session.py::"
DAILY = "tests/integration/test_archive_days.py::"
FILES = "tests/unit/ingest/recovery/test_archive_files.py::"
REST = "tests/unit/ingest/recovery/test_rest_client.py::"
PUBLISHER = "tests/unit/ingest/processor/test_publisher.py::"
OUT_OF_ORDER = "tests/integration/test_rest_out_of_order.py::"
DOUBT = "tests/unit/completeness/test_answer_checks.py::"
BUDGET = "tests/unit/ingest/recovery/test_rest_client_budget.py::"
CONNECTS = "tests/unit/ingest/rate_limits/test_connect_policy.py::"
REFUSED = "tests/unit/ingest/test_refused.py::"
MANY = "tests/integration/test_many_symbols.py::"
NOT_RECORDED = "tests/integration/test_not_recorded.py::"
TRANSPORTS = "tests/integration/test_fast_transport.py::"
NUMBERINGS = "tests/integration/test_numberings.py::"
BY_MESSAGE = "tests/integration/test_subscribed_by_message.py::"
SUBSCRIBED = "tests/unit/ingest/recorder/test_subscriptions.py::"
SILENCE = "tests/unit/ingest/liveness/test_stale_symbols.py::"
SUMS = "tests/property/test_exact_sums.py::"
CLI = "tests/unit/test_cli.py::"
ODD = "tests/unit/store/test_odd_paths.py::"
BINANCE = "tests/unit/venues/test_binance.py::"
FLIPPED = "tests/fault/test_flipped_files.py::"
COPIED = "tests/integration/test_as_of_copied.py::"
CALLS = "tests/unit/analytics/test_notebook.py::"
MAKE = "tests/unit/analytics/test_bars_from_frames.py::"
STREAMS = "tests/unit/analytics/test_streams.py::"
GRID = "tests/integration/test_grid.py::"
READERS = "tests/unit/api/test_readers.py::"
QUERY = "tests/unit/commands/test_query.py::"
BASE = "tests/integration/database/test_database_faults.py::"
SINK = "tests/integration/database/test_sink.py::"
GUARD = "tests/unit/orchestration/test_guard.py::"
UI = "tests/integration/test_ui.py::"


class Row(NamedTuple):
    """One fault.

    Attributes
    ----------
    fault : what goes wrong.
    shows : what the platform does, and how a user sees it.
    tests : node ids that prove it.
    """

    fault: str
    shows: str
    tests: tuple[str, ...]


SECTIONS: dict[str, dict[str, Row]] = {
    "Network": {
        "N1": Row(
            "a socket that stays open and goes dead",
            "`lost: stale` within 15 s, a new connection, the gap fetched",
            (
                NETWORK + "test_a_silent_hole_is_noticed_and_filled",
                LINKS + "test_packets_that_go_astray_one_way",
                DECIDES + "test_a_silent_hole_is_noticed_within_fifteen_seconds",
            ),
        ),
        "N2": Row(
            "RST in the middle of a frame",
            "half a frame is no trade; `disconnected`, connected again, the rest fetched",
            (NETWORK + "test_an_end_in_the_middle_of_a_frame_discards_the_piece",),
        ),
        "N3": Row(
            "FIN without a close frame, once or again and again",
            "`closed without a close frame`, connected again with growing waits",
            (
                NETWORK + "test_an_end_in_the_middle_of_a_frame_discards_the_piece",
                NETWORK + "test_cut_again_and_again_nothing_is_lost",
            ),
        ),
        "N4": Row(
            "a partition of one direction",
            "nothing arrives: as N1; only ours is lost: nothing, until nobody has anything to say",
            (
                LINKS + "test_packets_that_go_astray_one_way",
                NETWORK + "test_a_hole_towards_the_venue_loses_nothing",
                NETWORK + "test_a_quiet_market_behind_a_one_way_hole_is_noticed",
            ),
        ),
        "N5": Row(
            "30 % of packets lost",
            "slower; the same connection, no gap",
            (LINKS + "test_a_third_of_all_packets_lost",),
        ),
        "N6": Row(
            "latency and jitter of seconds",
            "the same connection",
            (NETWORK + "test_latency_and_jitter_reconnect_nobody",),
        ),
        "N7": Row(
            "a link of 64 kbit/s",
            "what the wire cannot carry is fetched when it can",
            (LINKS + "test_a_slow_link_is_fetched_behind",),
        ),
        "N8": Row(
            "a link that flaps",
            "waits grow, at most half of the venue's connects are used in any 5 minutes",
            (
                LINKS + "test_a_cable_pulled_out_again_and_again",
                NETWORK + "test_cut_again_and_again_nothing_is_lost",
                DECIDES + "test_an_hour_of_flapping_stays_within_the_budget",
                "tests/fault/test_connect_budget.py::test_a_crash_loop_keeps_the_connect_budget",
            ),
        ),
        "N9": Row(
            "no such name, the wrong address, ::1 refused",
            "`connect: …` in the log, tried again with growing waits, a stop works at once",
            (LINKS + "test_an_address_that_leads_nowhere",),
        ),
        "N10": Row(
            "frames in pieces of a byte, endless and empty fragments",
            "the same trades, or closed with 1009; memory stays",
            (
                NETWORK + "test_a_stream_in_pieces_of_a_byte_is_the_same_stream",
                "tests/fault/test_hostile_peer.py::test_hostile_input_costs_a_connection_and_no_memory",
            ),
        ),
        "N11": Row(
            "large packets vanish (MTU)",
            "as N1: silence decides",
            (LINKS + "test_a_black_hole_for_large_packets",),
        ),
        "N12": Row(
            "a handshake that never ends",
            "given up after 10 s, tried again",
            (NETWORK + "test_a_handshake_that_hangs_is_given_up",),
        ),
        "N13": Row(
            "a close that is never answered",
            "a second, then connected again; a stop takes no longer",
            (
                NETWORK + "test_a_close_that_is_never_answered_costs_a_second",
                NETWORK + "test_a_stop_does_not_wait_for_the_peer",
            ),
        ),
        "N14": Row(
            "every connection lost at once",
            "each waits as long as chance says; few attempts",
            (
                NETWORK + "test_many_connections_cut_at_once_come_back_one_by_one",
                LINKS + "test_a_cable_pulled_out_again_and_again",
            ),
        ),
        "N15": Row(
            "an address too long for the venue or a proxy (413, 414, 431), or more streams than it takes",
            "spread over connections from the start, and split further where that is refused again",
            (
                MANY + "test_a_thousand_symbols_go_over_several_connections",
                MANY + "test_an_address_that_is_refused_as_too_long_is_split",
                MANY + "test_fewer_streams_than_documented_are_asked_for_where_more_are_refused",
                SESSION + "test_each_of_several_connections_is_replaced_by_itself",
            ),
        ),
        "N16": Row(
            "one symbol that the venue refuses, or a venue that refuses everything",
            "`no stream` names the symbol, the others are recorded; a venue is found out with few attempts",
            (
                MANY + "test_a_symbol_that_is_refused_alone_is_named_and_the_others_are_recorded",
                MANY + "test_a_venue_that_refuses_everything_is_found_out_with_few_attempts",
            ),
        ),
        "N17": Row(
            "401, 403, 404, 451: the venue does not serve us",
            "an error in words at each attempt, ever more seldom; a run with `--seconds` ends with exit 1",
            (
                REFUSED + "test_one_symbol_and_final_refusals_are_asked_again_ever_more_seldom",
                NOT_RECORDED + "test_a_run_without_a_stream_fails_with_the_reason",
                NOT_RECORDED + "test_stopped_by_a_signal_it_says_so_and_ends_well",
            ),
        ),
        "N18": Row(
            "subscribed and nothing delivered until the run's end",
            "the symbol is named, exit 1, if REST shows that it traded meanwhile",
            (NOT_RECORDED + "test_a_symbol_that_traded_and_never_came_is_named",),
        ),
        "N19": Row(
            "the stream's address redirects to another host",
            "nothing is asked of that host; the error names it",
            (TRANSPORTS + "test_a_redirect_to_another_host_is_refused",),
        ),
        "N20": Row(
            "a close with 1008 (policy) or 1013 (try again later)",
            "a minute or more without a connect by any connection, and by the next process; `ban` in the log",
            (
                "tests/fault/test_connect_budget.py"
                "::test_a_close_that_pushes_back_binds_all_connections_and_the_next_process",
                REFUSED + "test_a_close_that_pushes_back_is_waited_out_by_all",
            ),
        ),
    },
    "Exchange": {
        "E1": Row(
            "the 24 h cut, `serverShutdown`",
            "another connection has taken over before: `handover`, no gap",
            (
                SESSION + "test_connections_are_replaced_before_the_venues_cut",
                SESSION + "test_a_shutdown_that_is_announced_costs_nothing",
                DECIDES + "test_before_the_venues_cut_another_connection_has_taken_over",
            ),
        ),
        "E2": Row(
            "ids skipped: one, a page, a hundred thousand",
            "one open gap, leased, fetched, filled",
            (
                EXCHANGE + "test_a_sequence_gap_of_any_size_is_filled",
                EXCHANGE + "test_a_hundred_thousand_missing_ids_are_fetched",
                "tests/integration/test_dagster.py::test_missing_trades_are_found_leased_fetched_and_computed",
            ),
        ),
        "E3": Row(
            "trades twice, the last thousand again",
            "one row each",
            (EXCHANGE + "test_repeats_of_the_last_thousand_are_one_copy_each",),
        ),
        "E4": Row(
            "trades out of order by one or a thousand",
            "no gap for good; rows in order of ids",
            (EXCHANGE + "test_disorder_of_any_depth_is_no_gap_for_good",),
        ),
        "E5": Row(
            "ids that start again",
            "a new epoch, old rows untouched; a stray id is kept apart",
            (
                NUMBERINGS + "test_ids_that_start_again_are_an_epoch_of_their_own",
                NUMBERINGS + "test_a_stray_id_is_kept_apart",
            ),
        ),
        "E6": Row(
            "REST and stream disagree: a price, ms and µs",
            "the first copy stays, `conflicts` in `status`; ms and µs of one instant agree",
            (
                EXCHANGE + "test_what_rest_says_otherwise_is_a_conflict_and_no_second_row",
                EXCHANGE + "test_milliseconds_and_microseconds_of_one_trade_agree",
            ),
        ),
        "E7": Row(
            "429, whatever its Retry-After",
            "60 s or longer, and up to a tenth more; at most a week is believed",
            (
                REST + "test_a_429_waits_a_minute_or_longer",
                REST + "test_an_absurd_retry_after_is_not_believed",
                BUDGET + "test_nothing_is_asked_within_a_minute_of_a_429",
                CONNECTS + "test_a_refusal_waits_a_minute_or_longer_if_told",
            ),
        ),
        "E8": Row(
            "418 for days, and a restart",
            "nothing is asked before its end, by any process",
            (
                BUDGET + "test_nothing_is_asked_within_a_ban",
                SESSION + "test_a_ban_is_honoured_by_the_next_process_too",
                "tests/integration/test_recovery.py::test_a_ban_outlives_the_process",
            ),
        ),
        "E9": Row(
            "half an hour of 5xx, or many hours",
            "`circuit_breaker_state` 2; two requests a minute at most, one answer closes it",
            (
                BUDGET + "test_a_storm_of_errors_is_met_with_one_request_in_thirty_seconds",
                REST + "test_one_answer_closes_the_breaker",
                REST + "test_a_venue_that_fails_for_hours_is_still_asked",
            ),
        ),
        "E10": Row(
            "trades that the venue serves no more, or never had",
            "said twice, ten minutes apart: `unrecoverable` (bars incomplete), or `void` between ids that it serves",
            (
                EXCHANGE + "test_ids_beyond_the_venues_memory_are_declared_lost",
                EXCHANGE + "test_ids_that_a_listing_skips_twice_were_never_trades",
            ),
        ),
        "E11": Row(
            "subscribed, and never delivered from the start",
            "the head is asked for; what moved is undertaken, the subscription renewed",
            (
                SILENCE + "test_a_symbol_that_never_delivers_is_found_deaf",
                "tests/integration/test_prober.py::test_what_traded_since_and_was_never_seen_is_undertaken",
            ),
        ),
        "E12": Row(
            "one symbol falls silent, others flow",
            "asked for by REST, never a reconnect; deaf: `handover: subscribed but not delivered`",
            (
                SESSION + "test_a_deaf_subscription_is_renewed_and_nobody_else_loses_a_trade",
                SILENCE + "test_a_head_beyond_what_was_delivered_renews_the_subscription",
            ),
        ),
        "E13": Row(
            "pings are answered, trades stop",
            "as E12, for each symbol by its own rate",
            (
                DECIDES + "test_a_deaf_subscription_is_renewed_without_losing_the_others",
                SILENCE + "test_real_silence_is_noticed_the_sooner_the_busier_the_symbol",
            ),
        ),
        "E14": Row(
            "a symbol is halted or delisted",
            "no reconnect; halted: its end is known; delisted: its end stays unknown, `recover` names the refusal",
            (EXCHANGE + "test_halted_and_delisted_symbols_are_no_outage",),
        ),
        "E15": Row(
            "fields added, renamed, of another type; events never heard of",
            "unknown is ignored; broken is kept with its bytes: `quarantined` in `status`, its id a gap",
            (
                BINANCE + "test_new_fields_are_ignored",
                BINANCE + "test_a_broken_trade_is_a_frame_error",
                BINANCE + "test_a_bad_row_leaves_the_others_alone",
            ),
        ),
        "E16": Row(
            "a flood of pings of 125 bytes",
            "the newest is answered, within five messages a second",
            (
                SESSION + "test_a_ping_flood_is_answered_within_the_allowance",
                "tests/integration/test_fast_transport.py::"
                "test_a_pong_is_a_sign_of_life_and_a_ping_flood_is_answered_within_the_allowance",
            ),
        ),
        "E17": Row(
            "pages of exactly a thousand, short, repeated, or always the same",
            "it ends, and is whole, or the gap stays open",
            (
                EXCHANGE + "test_a_sequence_gap_of_any_size_is_filled",
                EXCHANGE + "test_a_page_that_is_none_or_half_is_asked_for_again",
                EXCHANGE + "test_a_listing_that_ignores_where_to_begin_ends",
            ),
        ),
        "E18": Row(
            "200 with HTML, half a JSON, no gzip, nothing, or no end",
            "a failure, never an empty page; the bytes are kept apart",
            (
                EXCHANGE + "test_a_page_that_is_none_or_half_is_asked_for_again",
                REST + "test_a_body_that_cannot_be_unpacked_is_no_answer",
                REST + "test_an_answer_without_end_is_given_up",
                "tests/integration/test_recovery.py::test_an_answer_that_is_no_page_closes_nothing",
            ),
        ),
        "E19": Row(
            "a burst",
            "taken whole; the processor lags and catches up",
            (
                EXCHANGE + "test_a_burst_is_taken_whole",
                "tests/integration/test_main_line.py::test_the_lake_holds_exactly_the_recorded_trades",
            ),
        ),
        "E20": Row(
            "a trade on a bar's edge, a trade after its bar",
            "`[ts_open, ts_close)`; the bar is computed again, and all that hangs on it",
            (
                "tests/property/test_stored_bars.py::test_bars_are_those_of_the_contract",
                "tests/integration/test_pipeline.py::test_any_order_of_work_gives_the_same_files",
            ),
        ),
        "E21": Row(
            "an id used up without an order-book trade is served as a trade by REST",
            "void for ever, in no file; what was published before that was known is published again without it",
            (
                "tests/integration/test_used_up.py::test_what_rest_serves_before_the_stream_is_decoded",
                "tests/integration/test_used_up.py::test_what_rest_serves_after_the_stream_was_decoded",
                "tests/property/test_lane_order.py::test_any_interleaving_ends_the_same",
            ),
        ),
        "E22": Row(
            "a subscription by message is refused, refused for load, or never answered",
            "`no stream` names the symbol, the others go on; said again after growing waits, if refused in 5 minutes",
            (
                BY_MESSAGE + "test_a_symbol_that_is_not_listed_is_named_and_the_others_are_recorded",
                SUBSCRIBED + "test_a_refusal_for_load_is_tried_again_with_growing_waits",
                SUBSCRIBED + "test_an_answer_that_never_comes_is_asked_for_again_ever_more_seldom",
                SUBSCRIBED + "test_a_connection_that_carries_nothing_is_given_up_with_growing_waits",
            ),
        ),
        "E23": Row(
            "a subscription by message is acknowledged, and never delivers",
            "as E11: a probe shows it, a second connection subscribes before the first one ends",
            (
                BY_MESSAGE + "test_a_subscription_that_is_acknowledged_and_delivers_nothing_is_renewed",
                BY_MESSAGE + "test_a_new_connection_subscribes_before_the_old_one_ends",
            ),
        ),
        "E24": Row(
            "REST tells a trade's time as a double, beside the microsecond of the stream",
            "the copies agree within the double's 300 ns, no conflict; the finer time is kept",
            (
                "tests/property/test_merge.py::test_merge_is_associative",
                "tests/fault/test_exchange_kinds.py::test_the_lake_holds_what_was_issued",
            ),
        ),
        "E25": Row(
            "trades lost of a venue whose ids prove nothing, or a daily file that is late, damaged or lacks some",
            "`unproven` until the day equals the venue's file, which brings what lacks; `gaps list` names the days",
            (
                "tests/fault/test_unproven_ids.py::test_a_day_is_the_truth_or_not_proved",
                "tests/integration/test_text_ids.py::test_a_day_is_reconciled_only_by_an_equal_listing",
                "tests/integration/test_text_ids.py::test_the_larger_multiplicity_holds",
            ),
        ),
    },
    "Process": {
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
    },
    "Clock": {
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
    },
    "Browser": {
        "B1": Row(
            "a page elsewhere asks the UI to change something: by GET, a form, a script, a socket",
            "403, 405 or 415 with the reason in a line; nothing changes",
            (
                GUARD + "test_a_get_changes_nothing",
                GUARD + "test_another_origin_is_refused",
                UI + "test_only_the_uis_own_requests_change_anything",
                UI + "test_in_a_real_browser",
            ),
        ),
        "B2": Row(
            "a name of a page elsewhere is made to lead to this machine (DNS rebinding)",
            "403; names besides the loopback's are those of `UI__HOSTS`",
            (GUARD + "test_another_name_that_leads_here_is_refused", GUARD + "test_hosts_that_the_settings_name_pass"),
        ),
        "B3": Row(
            "a page elsewhere shows the UI in a frame, to have its buttons clicked",
            "the browser shows nothing",
            (GUARD + "test_no_page_may_show_ours_in_a_frame",),
        ),
    },
    "Numbers": {
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
    },
    "Rest": {
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
    },
    "Calls": {
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
    },
    "Database": {
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
                "tests/integration/database/test_ingest_feeds_database.py"
                "::test_lake_and_database_are_equal_after_a_kill",
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
    },
    "Files": {
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
    },
}


def table(rows: dict[str, Row]) -> str:
    """Return the rows as the page shows them."""
    lines = ["| | fault | what is done, and how it shows | proved by |", "|---|---|---|---|"]
    for name, row in rows.items():
        files = dict.fromkeys(test.partition("::")[0].rpartition("/")[2].removesuffix(".py") for test in row.tests)
        lines.append(f"| {name} | {row.fault} | {row.shows} | {', '.join(f'`{file}`' for file in files)} |")
    return "\n".join(lines)


def filled(page: str) -> str:
    """Return the page with each table as it is now; what lies between the tables stays."""
    for section, rows in SECTIONS.items():
        head, mark, rest = page.partition(f"## {section}\n")
        assert mark, f"docs/faults.md has no section {section}"
        intro, _, rest = rest.partition("| | fault |")
        after = rest.partition("\n\n")[2]
        page = f"{head}{mark}{intro}{table(rows)}\n\n{after}"
    return page.rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
