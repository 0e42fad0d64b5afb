"""Is a connection alive, and are we? Sans-I/O: what was heard and when -> ping, give up, we slept.

What a venue understands as a ping is `domain.venue.KeepAlive`; sending it is websocket.py.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from trading_platform.venues.adapter import KeepAlive

_S = 1_000_000_000
PAUSE_S = 5.0
"""Two ticks further apart than this: this process did not run, whatever the sockets say."""


class Pulse:
    """Whether one connection lives.

    Anything heard counts, a pong too. A ping goes out every interval; silence after it for as long as an answer may
    take, or for `stale_s` whatever was sent, is the end. Where the venue answers no ping, only the latter counts.

    Examples
    --------
    >>> pulse = Pulse(KeepAlive("ping", b"", 10.0, 5.0, 15.0), now_ns=0)
    >>> pulse.tick(9 * 10**9) is None, pulse.tick(10 * 10**9)
    (True, 'ping')
    >>> pulse.tick(14 * 10**9) is None, pulse.tick(15 * 10**9)
    (True, 'stale')
    """

    def __init__(self, terms: KeepAlive, now_ns: int) -> None:
        self._terms = terms
        self._heard_ns = self._pinged_ns = now_ns
        self._asked_ns: int | None = None

    def heard(self, at_ns: int) -> None:
        """Take note that something arrived then."""
        if at_ns > self._heard_ns:
            self._heard_ns = at_ns
            if self._asked_ns is not None and at_ns > self._asked_ns:
                self._asked_ns = None

    def tick(self, now_ns: int) -> Literal["ping", "stale"] | None:
        """Tell what is due now."""
        terms = self._terms
        if now_ns - self._heard_ns >= terms.stale_s * _S:
            return "stale"
        if terms.kind == "none":
            return None
        if self._asked_ns is not None and now_ns - self._asked_ns >= terms.answer_s * _S:
            return "stale"
        if now_ns - self._pinged_ns >= terms.interval_s * _S:
            self._pinged_ns = now_ns
            self._asked_ns = now_ns if self._asked_ns is None else self._asked_ns
            return "ping"
        return None


class Allowance:
    """So many messages in any second, and not one more.

    One is kept for `urgent` ones: our own ping must not starve behind answers to a flood of theirs.

    Examples
    --------
    >>> allowance = Allowance(2)
    >>> [allowance.take(0), allowance.take(0), allowance.take(0, urgent=True), allowance.take(2 * 10**9)]
    [True, False, True, True]
    """

    # The venue's second does not begin when ours does, and the network delays one message more than the next.
    _WINDOW_NS = int(1.2 * _S)

    def __init__(self, per_second: float) -> None:
        self._most = max(1, int(per_second))
        self._spent: deque[int] = deque()

    def take(self, now_ns: int, *, urgent: bool = False) -> bool:
        """Spend one if there is one; return whether."""
        while self._spent and self._spent[0] <= now_ns - self._WINDOW_NS:
            self._spent.popleft()
        if len(self._spent) >= self._most - (0 if urgent or self._most == 1 else 1):
            return False
        self._spent.append(now_ns)
        return True


class PauseDetector:
    """Recognises that this process, or the whole machine, stood still: SIGSTOP, a suspended laptop.

    Parameters
    ----------
    mono_ns, boot_ns : the two clocks now; only the latter runs on while a machine is suspended.

    Examples
    --------
    >>> own = PauseDetector(0, 0)
    >>> own.tick(10**9, 10**9), own.tick(8 * 10**9, 8 * 10**9), own.tick(9 * 10**9, 3609 * 10**9)
    (0.0, 7.0, 3601.0)
    """

    def __init__(self, mono_ns: int, boot_ns: int) -> None:
        self._last = (mono_ns, boot_ns)

    def tick(self, mono_ns: int, boot_ns: int) -> float:
        """Return for how many seconds we stood still since the last tick, 0 if that is no more than usual."""
        mono, boot = mono_ns - self._last[0], boot_ns - self._last[1]
        self._last = (mono_ns, boot_ns)
        slept_s = max(mono, boot) / _S
        return slept_s if slept_s > PAUSE_S else 0.0
