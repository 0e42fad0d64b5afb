"""A client never sends more than the venue allows: what it says waits, its own pings do not."""

from __future__ import annotations

from websockets.protocol import State
from websockets.uri import parse_uri

from trading_platform.ingest.transport.rate_limited_protocol import RateLimitedProtocol

S = 10**9


def test_messages_beyond_the_allowance_are_not_sent() -> None:
    """Of five a second, four may be said at once; the fifth is kept for a ping, the rest can be said later."""
    now_ns = 0
    limited = RateLimitedProtocol(parse_uri("ws://localhost/"), state=State.OPEN, per_second=5, clock_ns=lambda: now_ns)
    assert [limited.try_send_text(b"hi") for _ in range(6)] == [True] * 4 + [False] * 2
    limited.send_ping(b"")
    assert len(limited.data_to_send()) == 5
    now_ns = S
    assert not limited.try_send_text(b"hi")
    now_ns = 2 * S
    assert limited.try_send_text(b"hi")


def test_nothing_is_said_on_a_connection_that_is_not_open() -> None:
    """It may be connecting or closing: what is to be said stays unsaid, and no error ends the recorder."""
    limited = RateLimitedProtocol(parse_uri("ws://localhost/"), per_second=5)
    assert not limited.try_send_text(b"hi")
