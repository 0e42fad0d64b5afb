"""What a transport offers, whichever it is: open connections, the errors of opening and losing one, shared limits.

The two transports are websocket.py (the library `websockets`) and fast_websocket.py (many frames at a time). Deciding
is recorder/session.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import urljoin

from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from trading_platform.ingest.rate_limits.retry_after import seconds
from trading_platform.ingest.transport.delivery import Take
from trading_platform.venues.adapter import KeepAlive
from trading_platform.venues.answers import Answer

MAX_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
# The closing handshake is a courtesy; waiting the library's 10 s for it would keep us from reconnecting.
CLOSE_TIMEOUT_S = 1.0
REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})
MAX_REDIRECTS = 10
"""As the library does it."""


class HandshakeRefused(Exception):
    """The server answered with HTTP instead of a stream; `answer` is for the venue's adapter to judge."""

    def __init__(
        self,
        status: int,
        retry_after_s: float | None,
        location: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.location = location
        named = {name.lower(): value for name, value in headers} | ({} if location is None else {"location": location})
        self.answer = Answer(status, named, body, retry_after_s, "stream")
        super().__init__(f"HTTP {status}")


class ConnectionLost(Exception):
    """The connection could not be made or has ended; the text says why, `code` is that of the other side's close."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.code = code
        super().__init__(reason)


class OpenStream(Protocol):
    """An open connection, whatever the transport."""

    @property
    def heard_s(self) -> float:
        """When anything last arrived, in the event loop's time; now, while we ourselves do not read."""
        ...

    def tick(self, ping: KeepAlive | None) -> None:
        """Send what is owed, and the venue's kind of ping if given one; ignored on a connection that has ended."""
        ...

    def say(self, message: bytes) -> bool:
        """Send a text message if the venue's limit allows one now; return whether it was sent."""
        ...

    def abort(self) -> None:
        """End at once: nothing more will arrive."""
        ...

    async def deliver(self, take: Take) -> None:
        """Give `take` the messages in order, some at a time, as soon as they arrive, until it does not want more.

        They are delivered from the event loop's read callback: no task has to be woken for them first.

        Raises
        ------
        ConnectionLost : when there will be none.
        """
        ...

    async def close(self) -> None:
        """Close, waiting a second at most for the other side; what has arrived can still be received."""
        ...


class Transport(Protocol):
    """What opens connections: `open_stream` of websocket.py or of fast_websocket.py."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[OpenStream]:
        """Connect; raises HandshakeRefused or ConnectionLost."""
        ...


def is_same_origin(url: str, location: str) -> bool:
    """Tell whether a redirect stays with the host that was meant: its name, its port, its encryption.

    >>> is_same_origin("ws://venue.example/stream", "/other"), is_same_origin("ws://a.example/", "ws://a.example:8080/")
    (True, False)
    >>> is_same_origin("ws://venue.example/stream", "http://venue.example/")
    False
    """
    try:
        old, new = parse_uri(url), parse_uri(urljoin(url, location))
    except (InvalidURI, ValueError):
        return False
    return (old.secure, old.host, old.port) == (new.secure, new.host, new.port)


def refusal(error: InvalidStatus) -> HandshakeRefused:
    """Return what a server said instead of opening a stream."""
    response, headers = error.response, error.response.headers
    return HandshakeRefused(
        response.status_code,
        retry_after(error),
        headers.get("Location"),
        headers.raw_items(),
        bytes(response.body or b""),
    )


def retry_after(error: InvalidStatus) -> float | None:
    """Return how long the server asks to wait, None if it does not say so."""
    headers = error.response.headers
    return seconds(headers.get("Retry-After"), headers.get("Date"))
