"""What an answer by HTTP means to who asked for a stream: wait, ask for less, or only a person can help. Sans-I/O.

What follows is session.py and connect_policy.py; the socket is websocket.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlsplit

Meaning = Literal["wait", "too long", "asked too much", "final", "trouble"]
"""Come back later; the address is too long; something about what was asked for; it is about us or about the address as
a whole, and asking again changes nothing by itself; the venue itself is not well."""

_TOO_LONG = frozenset({413, 414, 431})
_FINAL = frozenset({401, 403, 404, 405, 407, 410, 426, 451})
_MAYBE_FINAL = frozenset({403, 404, 410})
_TROUBLE = frozenset({408, 425})
_WORDS = {
    200: "a page instead of a stream; check --ws-url",
    400: "the venue does not accept what was asked for",
    401: "the venue asks for credentials",
    403: "the venue refuses this client",
    404: "the venue has no stream at this address; check --ws-url",
    407: "a proxy asks for credentials",
    410: "the venue has given this address up; check --ws-url",
    413: "the venue finds the address too long",
    414: "the venue finds the address too long",
    418: "the venue has banned this client for a time",
    426: "the venue speaks another protocol at this address; check --ws-url",
    429: "the venue sees too many connection attempts",
    431: "the venue finds the address too long",
    451: "the venue does not serve this location",
}


def meaning(status: int, *, serves_others: bool) -> Meaning:
    """Return what a status means.

    Parameters
    ----------
    serves_others : whether another connection to the venue is open: then a 403 or a 404 is about what was asked for.

    Examples
    --------
    >>> [meaning(status, serves_others=False) for status in (414, 400, 451, 429, 503)]
    ['too long', 'asked too much', 'final', 'wait', 'trouble']
    >>> meaning(403, serves_others=False), meaning(403, serves_others=True)
    ('final', 'asked too much')
    """
    if status in {418, 429}:
        return "wait"
    if status in _TOO_LONG:
        return "too long"
    if status in _MAYBE_FINAL and serves_others:
        return "asked too much"
    if status in _FINAL or 300 <= status < 400:
        return "final"
    return "asked too much" if 400 <= status < 500 and status not in _TROUBLE else "trouble"


def in_words(status: int, location: str | None = None) -> str:
    """Return a status with what it means; of where it points to, the host alone.

    >>> in_words(451)
    'HTTP 451: the venue does not serve this location'
    >>> in_words(302, "wss://user:secret@elsewhere.example/stream?key=1")
    'HTTP 302: the venue redirects to wss://elsewhere.example, not followed; if it is meant, give it as --ws-url'
    >>> in_words(503)
    'HTTP 503: service unavailable'
    """
    if 300 <= status < 400 and location is not None:
        where = _host(location)
        words = f"the venue redirects to {where}, not followed; if it is meant, give it as --ws-url"
    else:
        words = _WORDS.get(status) or _phrase(status)
    return f"HTTP {status}: {words}"


def named(symbols: Sequence[str], most: int) -> str:
    """Return symbols as words, the first ones by name.

    >>> named(["A", "B", "C"], 2)
    'A, B and 1 more'
    """
    more = len(symbols) - most
    return ", ".join(symbols[:most]) + (f" and {more} more" if more > 0 else "")


def _host(location: str) -> str:
    try:
        found = urlsplit(location)
        port = "" if found.port is None else f":{found.port}"
    except ValueError:
        return "an address that is none"
    host = (found.hostname or "").encode("ascii", "backslashreplace").decode()
    return f"{found.scheme}://{host}{port}"[:200] if host else "another path"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "a status that is not known"
