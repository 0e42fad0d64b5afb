"""What is asked of a venue over HTTP, and what its answer means: wait, ask for less, only a person can help. Sans-I/O.

A venue that says more than HTTP does (an error inside a 200, a ban of its own) judges for itself and leaves the rest to
`judged`. What follows is ingest/recovery/rest_client.py for requests, archive_client.py beside it for files, and
ingest/recorder/session.py for streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

Params = tuple[tuple[str, str], ...]
_NOTHING: Mapping[str, float] = MappingProxyType({})


class Request(NamedTuple):
    """One request.

    Attributes
    ----------
    path : begins with a slash, relative to the base.
    params : query parameters in order, unescaped.
    cost : what it takes from the venue's limits, by `RateLimit.what`; one of `requests` unless it says otherwise.
    base : which of the venue's hosts is asked: ``api``, or one that `VenueAdapter.hosts` names.
    headers : sent along.

    Examples
    --------
    >>> Request("/api/v3/time", cost={"weight": 1})
    Request(path='/api/v3/time', params=(), cost={'weight': 1}, method='GET', base='api', headers=())
    """

    path: str
    params: Params = ()
    cost: Mapping[str, float] = _NOTHING
    method: Literal["GET", "POST"] = "GET"
    base: str = "api"
    headers: Params = ()


class Answer(NamedTuple):
    """What a venue answered, before anyone judged it.

    Attributes
    ----------
    headers : by their names in lower case.
    retry_after_s : what the standard header of that name means, None if it is absent or means nothing.
    to : what was asked for: ``request`` for data, ``file`` for one of the archive, whose body is not handed over,
        ``stream`` for a stream, which this is not.
    """

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    retry_after_s: float | None = None
    to: Literal["request", "file", "stream"] = "request"


Kind = Literal["ok", "retry", "rate_limited", "banned", "refused", "absent"]
"""It holds what was asked for; the venue is not well; we ask too often; nobody here may ask for a time; no; there is no
such file."""

About = Literal["request", "length", "client", "either"]
"""What a refusal is about: what was asked for; how long its address is; who asks, or the address as a whole, so that
asking again changes nothing by itself; the latter or the former, which only shows when others are served."""


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """What an answer means.

    Attributes
    ----------
    retry_after_s : how long the venue asks to wait, None if it does not say so.
    used : what the venue says that everyone at this address has spent, by `RateLimit.what`.
    reason : in words, one line.
    about : what a refusal is about.
    """

    kind: Kind
    retry_after_s: float | None = None
    used: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    about: About = "request"


_TOO_LONG = frozenset({413, 414, 431})
_CLIENT = frozenset({401, 405, 407, 426, 451})
_EITHER = frozenset({403, 404, 410})
_TROUBLE = frozenset({408, 425})
_OF_THE_REQUEST = frozenset({400, 404, 410, 422, 451})
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


def judged(answer: Answer) -> AnswerVerdict:
    """Return what an answer means by HTTP alone.

    Examples
    --------
    >>> [judged(Answer(status)).kind for status in (200, 429, 503, 400)]
    ['ok', 'rate_limited', 'retry', 'refused']
    >>> [judged(Answer(status)).about for status in (400, 403)]
    ['request', 'client']
    >>> [judged(Answer(status, to="file")).kind for status in (206, 404, 503, 403)]
    ['ok', 'absent', 'retry', 'refused']
    >>> [judged(Answer(status, to="stream")).about for status in (414, 400, 451, 403)]
    ['length', 'request', 'client', 'either']
    """
    if answer.to == "stream":
        return _judged_stream(answer)
    return _judged_file(answer) if answer.to == "file" else _judged_request(answer)


def _judged_file(answer: Answer) -> AnswerVerdict:
    if answer.status == 206:
        return AnswerVerdict("ok")
    if answer.status == 404:
        return AnswerVerdict("absent", reason="HTTP 404")
    if answer.status in _TROUBLE:
        return AnswerVerdict("retry", answer.retry_after_s, reason=f"HTTP {answer.status}")
    return _judged_request(answer)


def _judged_request(answer: Answer) -> AnswerVerdict:
    status, reason = answer.status, f"HTTP {answer.status}"
    if status == 200:
        return AnswerVerdict("ok")
    if status == 429:
        return AnswerVerdict("rate_limited", answer.retry_after_s, reason=reason)
    if status >= 500 or status == 408:
        return AnswerVerdict("retry", answer.retry_after_s, reason=reason)
    return AnswerVerdict("refused", reason=reason, about="request" if status in _OF_THE_REQUEST else "client")


def _judged_stream(answer: Answer) -> AnswerVerdict:
    status, reason = answer.status, in_words(answer.status, answer.headers.get("location"))
    if status == 429:
        return AnswerVerdict("rate_limited", answer.retry_after_s, reason=reason)
    if status in _TOO_LONG:
        return AnswerVerdict("refused", reason=reason, about="length")
    if status in _EITHER:
        return AnswerVerdict("refused", reason=reason, about="either")
    if status in _CLIENT or 300 <= status < 400:
        return AnswerVerdict("refused", reason=reason, about="client")
    if 400 <= status < 500 and status not in _TROUBLE:
        return AnswerVerdict("refused", reason=reason)
    return AnswerVerdict("retry", answer.retry_after_s, reason=reason)


def in_words(status: int, location: str | None = None) -> str:
    """Return a status in answer to the opening of a stream in words; of where it points to, the host alone.

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
