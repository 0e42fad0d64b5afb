"""The catalogue's faults: network."""

from __future__ import annotations

from tests.support.judges.fault_rows.row import Row

NETWORK = "tests/fault/test_catalogue_network.py::"
LINKS = "tests/fault/test_catalogue_links.py::"
SESSION = "tests/integration/test_session.py::"
DECIDES = "tests/unit/ingest/recorder/test_session.py::"
REFUSED = "tests/unit/ingest/test_refused.py::"
MANY = "tests/integration/test_many_symbols.py::"
NOT_RECORDED = "tests/integration/test_not_recorded.py::"
TRANSPORTS = "tests/integration/test_fast_transport.py::"

ROWS: dict[str, Row] = {
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
}
