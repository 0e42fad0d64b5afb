"""Ask a venue over REST: within our share of its limit, honouring every refusal, trying again what a network causes.

What to ask is venues/, what the answers mean is decode.py. Time, sleep and randomness are handed in.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

import httpx

from trading_platform.domain.errors import Banned, RateLimited, RequestRefused, VenueError, VenueUnavailable
from trading_platform.domain.venue import Request, VenueAdapter
from trading_platform.ingest.breaker import Breaker
from trading_platform.ingest.refusals import Refusals
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

AFTER_429_S = 60.0
LONGEST_REFUSAL_S = 7 * 86_400.0
"""No Retry-After is believed beyond this: a broken header must not end asking for ever."""
ATTEMPTS = 10
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
TIMEOUT_S = 10.0
LONGEST_ANSWER_S = 60.0
MOST_BYTES = 15 << 20
"""Of a body, unpacked: a record of the log holds no more than 16 MB; the longest listing has ten."""
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_FINAL = frozenset({400, 404, 410, 422, 451})


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
    refusals : what was refused to anybody on this machine, and is from now on.
    transport : the network; the real one unless given.
    """

    def __init__(
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
        refusals: Refusals | None = None,
        api_key: str | None = None,
        longest_wait_s: float = 150.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._adapter = adapter
        self._budget = share * adapter.weight_per_minute
        self._wall_ns, self._monotonic, self._wait, self._rng = wall_ns, monotonic, wait, rng
        # A wait is a matter of the monotonic clock, also one that was told by the wall clock.
        self._banned_until = monotonic() + (banned_until_ns - wall_ns()) / 1e9
        self._on_ban, self._refusals = on_ban, refusals
        self._longest_wait_s = longest_wait_s
        self._not_before = 0.0
        self._spent: deque[tuple[float, int]] = deque()
        self._failures = 0
        self._breaker = Breaker()
        headers = {"X-MBX-APIKEY": api_key} if api_key else {}
        # trust_env: a proxy or a .netrc of the user's must not see what we ask, nor answer for the venue.
        self._http = httpx.Client(
            base_url=base_url, timeout=TIMEOUT_S, headers=headers, trust_env=False, transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, request: Request) -> bytes:
        """Return the body of a successful answer.

        Raises
        ------
        RateLimited, Banned : if the venue asks for a longer wait than `longest_wait_s`.
        VenueUnavailable : after so many failures in a row.
        RequestRefused : if the venue finds fault with the request itself: asking again would not help.
        VenueError : on any other refusal (4xx), say of our key.
        Stopped : if told to stop while waiting.
        """
        venue = self._adapter.name
        for _ in range(ATTEMPTS):
            self._hold(request)
            try:
                answer = self._read(request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                self._failed(f"{venue}: {type(error).__name__}")
                continue
            self._note_weight(answer)
            if answer.status_code == 200:
                self._failures = 0
                self._breaker.worked()
                self._show_breaker()
                return answer.content
            self._refused(answer)
        raise VenueUnavailable(f"{venue}: no answer to {request.path} in {ATTEMPTS} attempts")

    def _read(self, request: Request) -> httpx.Response:
        """Return an answer, read whole within bounds of size and time: a body need not end."""
        ends = self._monotonic() + LONGEST_ANSWER_S
        parts, size = [], 0
        with self._http.stream("GET", request.path, params=list(request.params)) as answer:
            for part in answer.iter_bytes():
                size += len(part)
                if size > MOST_BYTES or self._monotonic() > ends:
                    raise httpx.ReadError(f"{size} bytes and no end")
                parts.append(part)
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_THE_WIRE]
        return httpx.Response(answer.status_code, headers=headers, content=b"".join(parts), request=answer.request)

    def _hold(self, request: Request) -> None:
        """Wait until the request may be sent."""
        # Again after each wait: meanwhile somebody else may have been refused.
        while (wait_s := self._forbidden_s() or self._spent_s(request.weight) or self._resting_s()) > 0:
            self._pause(wait_s)
        self._breaker.trying(self._now_ns())
        self._show_breaker()
        self._spent.append((self._monotonic(), request.weight))

    def _forbidden_s(self) -> float:
        """Return for how long the venue answers nobody here."""
        now = self._monotonic()
        banned_s = self._banned_until - now
        if banned_s > self._longest_wait_s:
            raise Banned(self._adapter.name, banned_s)
        others = 0.0 if self._refusals is None else self._refusals.until()
        limited_s = max(self._not_before, others) - now
        if limited_s > self._longest_wait_s:
            raise RateLimited(self._adapter.name, limited_s)
        return max(0.0, banned_s, limited_s)

    def _spent_s(self, weight: int) -> float:
        """Return for how long our share of the limit is used up."""
        used = self._in_window()
        if not used or used + weight <= self._budget:
            return 0.0
        return max(0.01, self._spent[0][0] + 60.0 - self._monotonic())

    def _resting_s(self) -> float:
        """Return for how long a venue that fails is left alone."""
        now_ns = self._now_ns()
        return 0.0 if self._breaker.admits(now_ns) else (self._breaker.ready_ns(now_ns) - now_ns) / 1e9

    def _in_window(self) -> int:
        while self._spent and self._spent[0][0] <= self._monotonic() - 60.0:
            self._spent.popleft()
        return sum(weight for _, weight in self._spent)

    def _note_weight(self, answer: httpx.Response) -> None:
        """Count what others at this address use of the limit as if it were ours."""
        used = self._adapter.used_weight(answer.headers)
        others = 0 if used is None else used - self._in_window()
        if others > 0:
            self._spent.append((self._monotonic(), others))

    def _refused(self, answer: httpx.Response) -> None:
        venue, status = self._adapter.name, answer.status_code
        retry_after = _seconds(answer.headers.get("Retry-After"))
        if status in {429, 418}:
            self._breaker.worked()  # it answers; the wait says all there is to say
        if status == 429:
            wait = max(AFTER_429_S, retry_after or 0.0)
            self._not_before = self._monotonic() + wait + self._rng.uniform(0, 0.1 * wait)
            self._tell(self._not_before)
            log.warning("rate limited", venue=venue, wait_s=round(wait, 1))
        elif status == 418:
            wait = max(120.0, retry_after or 0.0)
            self._banned_until = self._monotonic() + wait
            self._tell(self._banned_until)
            self._on_ban(self._wall_ns() + int(wait * 1e9))
            log.error("banned by the venue", venue=venue, retry_after_s=retry_after)
        elif status >= 500 or status == 408:
            self._failed(f"{venue}: HTTP {status}")
        else:
            kind = RequestRefused if status in _FINAL else VenueError
            raise kind(f"{venue}: HTTP {status} for {answer.request.url.path}: {answer.text[:200]}")

    def _tell(self, until: float) -> None:
        if self._refusals is not None:
            self._refusals.refused(until)

    def _failed(self, reason: str) -> None:
        """Wait with full jitter; the breaker rests the venue after several failures in a row."""
        self._failures += 1
        self._breaker.failed(self._now_ns())
        self._show_breaker()
        wait = self._rng.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._failures))
        log.warning("request failed", reason=reason, failures=self._failures, wait_s=round(wait, 2))
        self._pause(wait)

    def _now_ns(self) -> int:
        return int(self._monotonic() * 1e9)

    def _show_breaker(self) -> None:
        metrics.BREAKER_STATE.labels(f"rest-{self._adapter.name}").set(self._breaker.state(self._now_ns()))

    def _pause(self, seconds: float) -> None:
        if self._wait(seconds):
            raise Stopped(f"{self._adapter.name}: stopped while waiting")


def _seconds(text: str | None) -> float | None:
    if text is None or not text.isascii() or not text.isdecimal():
        return None
    return min(float(text), LONGEST_REFUSAL_S)
