"""Ask a venue over REST: within our share of its limit, honouring every refusal, trying again what a network causes.

What to ask is venues/, what the answers mean is decoder.py. Time, sleep and randomness are handed in. On a real network
each request runs on a thread of its own (call_deadline.py), so that no server, however it behaves, holds up a deadline
or a stop; through a transport that is handed in it runs right here.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import httpx

from trading_platform.domain.backoff import doubled
from trading_platform.domain.errors import Banned, RateLimited, RequestRefused, VenueError, VenueUnavailable
from trading_platform.ingest.rate_limits import retry_after
from trading_platform.ingest.rate_limits.circuit_breaker import Breaker
from trading_platform.ingest.rate_limits.request_weights import Budgets
from trading_platform.ingest.rate_limits.shared_cooldown import Refusals
from trading_platform.processes.call_deadline import Call, GivenUp
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.answers import Answer, AnswerVerdict, Request

log = get_logger(__name__)

AFTER_LIMIT_S = 60.0
AFTER_BAN_S = 120.0
ATTEMPTS = 10
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
TIMEOUT_S = 10.0
"""For one step on the socket: connecting, or the next bytes."""
HEADERS_WITHIN_S = 15.0
"""For everything up to the end of the headers: name, connection, encryption, request."""
LONGEST_ANSWER_S = 60.0
"""For the whole of it."""
MOST_BYTES = 15 << 20
"""Of a body, unpacked: a record of the log holds no more than 16 MB."""
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class Waiter(Protocol):
    """Waits; returns True if somebody wants us to stop instead."""

    def __call__(self, seconds: float, /) -> bool:
        """Wait this long, or until stopped."""


class Stopped(VenueError):
    """We were told to stop while waiting for the venue."""


class RestClient:
    """One venue's REST endpoint.

    Parameters
    ----------
    share : how much of the venue's weight limit we may use; other programs share the address.
    longest_wait_s : a wait beyond this is refused: the answer is the error that asks for it.
    banned_until_ns : wall time before which nothing may be asked, as the log knows it.
    on_ban : told until when (wall ns) the venue answers nothing.
    on_headers : shown the headers of every answer, before anything else is done with it.
    refusals : what was refused to anybody on this machine, and is from now on.
    transport : a network of one's own; the real one unless given.
    """

    def __init__(  # noqa: PLR0913  clock, randomness and limits are handed in by name
        self,
        adapter: VenueAdapter,
        base_url: str,
        *,
        share: float,
        wall_ns: Callable[[], int],
        monotonic: Callable[[], float],
        wait: Waiter,
        rng: random.Random,
        banned_until_ns: int = 0,
        on_ban: Callable[[int], None] = lambda until_ns: None,
        on_headers: Callable[[Mapping[str, str]], None] = lambda headers: None,
        refusals: Refusals | None = None,
        api_key: str | None = None,
        longest_wait_s: float = 150.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._adapter = adapter
        self._budgets = Budgets(share, adapter.limits)
        self._wall_ns, self._monotonic, self._wait, self._rng = wall_ns, monotonic, wait, rng
        # A wait is a matter of the monotonic clock, also one that was told by the wall clock.
        self._banned_until = monotonic() + (banned_until_ns - wall_ns()) / 1e9
        self._on_ban, self._refusals, self._on_headers = on_ban, refusals, on_headers
        self._longest_wait_s = longest_wait_s
        self._not_before = 0.0
        self._failures = 0
        self._breaker = Breaker()
        self._base_url, self._transport = base_url, transport
        self._api_key = api_key
        self._http: httpx.Client | None = None
        self._about = adapter.name

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
        self._http = None

    def get(self, request: Request, about: str | None = None, *, most_bytes: int = MOST_BYTES) -> bytes:
        """Return the body of a successful answer.

        Parameters
        ----------
        about : the symbol that it is about, for errors; the venue's spelling in the request unless given.
        most_bytes : what a body may hold, unpacked.

        Raises
        ------
        RateLimited, Banned : if the venue asks for a longer wait than `longest_wait_s`.
        VenueUnavailable : after so many failures in a row.
        RequestRefused : if the venue finds fault with the request itself: asking again would not help.
        VenueError : on any other refusal (4xx), say of our key.
        Stopped : if told to stop while waiting.
        """
        self._about = _about(self._adapter.name, about, request)
        reason = ""
        for _ in range(ATTEMPTS):
            self._hold(request)
            try:
                answer = self._answer(request, most_bytes)
            except (httpx.TransportError, httpx.DecodingError) as error:
                reason = str(error) or type(error).__name__
                self._failed(reason)
                continue
            self._on_headers(answer.headers)
            verdict = self._adapter.judge(self._told(answer))
            self._budgets.told(verdict.used, self._monotonic())
            metrics.REST_WEIGHT.labels(self._adapter.name).set(self._budgets.used(self._monotonic()))
            if verdict.kind == "ok":
                self._failures = 0
                self._breaker.worked()
                self._show_breaker()
                return answer.content
            reason = verdict.reason
            self._refused(answer, verdict)
        raise VenueUnavailable(f"{self._about}: no answer to {request.path} in {ATTEMPTS} attempts, the last: {reason}")

    def _answer(self, request: Request, most_bytes: int) -> httpx.Response:
        """Return an answer that came whole and in time."""
        if self._http is None:
            # trust_env: a proxy or a .netrc of the user's must not see what we ask, nor answer for the venue.
            self._http = httpx.Client(
                base_url=self._base_url,
                timeout=TIMEOUT_S,
                trust_env=False,
                transport=self._transport,
            )
        http, headers_came = self._http, threading.Event()
        if self._api_key is not None:
            request = self._adapter.authorize(request, self._api_key)
        url = self._url(request)
        ends = self._monotonic() + LONGEST_ANSWER_S
        if self._transport is not None:
            return _read(http, request, url, most_bytes, lambda: self._monotonic() > ends, headers_came)

        def left_s() -> float:
            if self._wait(0.0):
                raise Stopped(f"{self._about}: stopped while asking")
            latest = ends if headers_came.is_set() else ends - LONGEST_ANSWER_S + HEADERS_WITHIN_S
            return latest - self._monotonic()

        call = Call(lambda: _read(http, request, url, most_bytes, lambda: self._monotonic() > ends, headers_came))
        try:
            return call.within(left_s)
        except GivenUp:
            self.close()
            what = "no end of the answer" if headers_came.is_set() else "no answer"
            raise httpx.ReadTimeout(f"{what} in time") from None
        except Stopped:
            self.close()
            raise

    def _url(self, request: Request) -> str:
        """Return where to ask: at another host of the venue's only while the venue itself is asked."""
        adapter = self._adapter
        own = self._base_url == adapter.rest_url
        return adapter.hosts[request.base] + request.path if own and request.base != "api" else request.path

    def _told(self, answer: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        asked_s = retry_after.seconds(headers.get("retry-after"), headers.get("date"), self._wall_ns() / 1e9)
        return Answer(answer.status_code, headers, answer.content, asked_s)

    def _hold(self, request: Request) -> None:
        """Wait until the request may be sent."""
        # Again after each wait: meanwhile somebody else may have been refused.
        while (wait_s := self._forbidden_s() or self._spent_s(request) or self._resting_s()) > 0:
            self._pause(wait_s)
        self._breaker.trying(self._now_ns())
        self._show_breaker()
        self._budgets.spend(request.cost, self._monotonic())

    def _forbidden_s(self) -> float:
        """Return for how long the venue answers nobody here."""
        now = self._monotonic()
        banned_s = self._banned_until - now
        if banned_s > self._longest_wait_s:
            raise Banned(self._about, banned_s)
        others = 0.0 if self._refusals is None else self._refusals.until()
        limited_s = max(self._not_before, others) - now
        if limited_s > self._longest_wait_s:
            raise RateLimited(self._about, limited_s)
        return max(0.0, banned_s, limited_s)

    def _spent_s(self, request: Request) -> float:
        """Return for how long our share of a limit is used up."""
        return self._budgets.wait_s(request.cost, self._monotonic())

    def _resting_s(self) -> float:
        """Return for how long a venue that fails is left alone."""
        now_ns = self._now_ns()
        return 0.0 if self._breaker.admits(now_ns) else (self._breaker.ready_ns(now_ns) - now_ns) / 1e9

    def _refused(self, answer: httpx.Response, verdict: AnswerVerdict) -> None:
        venue, asked_s = self._adapter.name, verdict.retry_after_s
        if verdict.kind in {"rate_limited", "banned"}:
            self._breaker.worked()  # it answers; the wait says all there is to say
        if verdict.kind == "rate_limited":
            wait = max(AFTER_LIMIT_S, asked_s or 0.0)
            self._not_before = self._monotonic() + wait + self._rng.uniform(0, 0.1 * wait)
            self._tell(self._not_before)
            log.warning("rate limited", venue=venue, wait_s=round(wait, 1))
        elif verdict.kind == "banned":
            wait = max(AFTER_BAN_S, asked_s or 0.0)
            self._banned_until = self._monotonic() + wait
            self._tell(self._banned_until)
            self._on_ban(self._wall_ns() + int(wait * 1e9))
            log.error("banned by the venue", venue=venue, retry_after_s=asked_s)
        elif verdict.kind == "retry":
            self._failed(verdict.reason)
        else:
            kind = RequestRefused if verdict.about == "request" else VenueError
            raise kind(f"{self._about}: {verdict.reason} for {answer.request.url.path}: {answer.text[:200]}")

    def _tell(self, until: float) -> None:
        if self._refusals is not None:
            self._refusals.refused(until)

    def _failed(self, reason: str) -> None:
        """Wait with full jitter; the breaker rests the venue after several failures in a row."""
        self._failures += 1
        self._breaker.failed(self._now_ns())
        self._show_breaker()
        wait = self._rng.uniform(0, doubled(FIRST_WAIT_S, self._failures, LONGEST_WAIT_S))
        log.warning("request failed", about=self._about, reason=reason, failures=self._failures, wait_s=round(wait, 2))
        self._pause(wait)

    def _now_ns(self) -> int:
        return int(self._monotonic() * 1e9)

    def _show_breaker(self) -> None:
        metrics.BREAKER_STATE.labels(f"rest-{self._adapter.name}").set(self._breaker.state(self._now_ns()))

    def _pause(self, seconds: float) -> None:
        if self._wait(seconds):
            raise Stopped(f"{self._about}: stopped while waiting")


def _about(venue: str, symbol: str | None, request: Request) -> str:
    """Return what a request is about, in the words of an error."""
    named = symbol or dict(request.params).get("symbol", "")
    return f"{venue} {named}".strip()


def _read(
    http: httpx.Client,
    request: Request,
    url: str,
    most_bytes: int,
    over: Callable[[], bool],
    headers_came: threading.Event,
) -> httpx.Response:
    """Return an answer, read whole within bounds of size and time: a body need not end."""
    parts, size = [], 0
    with http.stream(request.method, url, params=list(request.params), headers=list(request.headers)) as answer:
        headers_came.set()
        for part in answer.iter_bytes():
            size += len(part)
            if size > most_bytes or over():
                raise httpx.ReadError(f"{size:,} bytes and no end")
            parts.append(part)
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_WIRE]
    return httpx.Response(answer.status_code, headers=headers, content=b"".join(parts), request=answer.request)
