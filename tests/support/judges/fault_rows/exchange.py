"""The catalogue's faults: exchange."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

EXCHANGE = "tests/fault/test_catalogue_exchange.py::"
SESSION = "tests/integration/test_session.py::"
DECIDES = "tests/unit/ingest/recorder/test_session.py::"
REST = "tests/unit/ingest/recovery/test_rest_client.py::"
BUDGET = "tests/unit/ingest/recovery/test_rest_client_budget.py::"
CONNECTS = "tests/unit/ingest/rate_limits/test_connect_policy.py::"
NUMBERINGS = "tests/integration/test_numberings.py::"
BY_MESSAGE = "tests/integration/test_subscribed_by_message.py::"
SUBSCRIBED = "tests/unit/ingest/recorder/test_subscriptions.py::"
SILENCE = "tests/unit/ingest/liveness/test_stale_symbols.py::"
BINANCE = "tests/unit/venues/test_binance.py::"

ROWS: dict[str, Row] = {
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
}
