"""Tell whether a connection is alive, and whether this process was paused. Sans-I/O: what was heard and when, and now.

What a venue understands as a ping is `venues.adapter.KeepAlive`; sending it is the transport's (transport/).
"""

from __future__ import annotations

from typing import Literal

from trading_platform.domain.units import NS_PER_S
from trading_platform.venues.adapter import KeepAlive

PAUSE_S = 5.0
"""Two ticks further apart than this: the process was paused, whatever the sockets say."""


class KeepaliveTimer:
    """Decides when one connection is pinged, and when it counts as dead.

    Anything received counts as a sign of life, a pong too. A ping goes out every interval. The connection is dead after
    `answer_s` without anything after a ping, or `stale_s` without anything at all. Where the venue answers no ping,
    only the latter counts.

    Examples
    --------
    >>> timer = KeepaliveTimer(KeepAlive("ping", b"", 10.0, 5.0, 15.0), now_ns=0)
    >>> timer.tick(9 * 10**9) is None, timer.tick(10 * 10**9)
    (True, 'ping')
    >>> timer.tick(14 * 10**9) is None, timer.tick(15 * 10**9)
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
        if now_ns - self._heard_ns >= terms.stale_s * NS_PER_S:
            return "stale"
        if terms.kind == "none":
            return None
        if self._asked_ns is not None and now_ns - self._asked_ns >= terms.answer_s * NS_PER_S:
            return "stale"
        if now_ns - self._pinged_ns >= terms.interval_s * NS_PER_S:
            self._pinged_ns = now_ns
            self._asked_ns = now_ns if self._asked_ns is None else self._asked_ns
            return "ping"
        return None


class PauseDetector:
    """Recognises that this process, or the whole machine, was paused: SIGSTOP, a suspended laptop.

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
        """Return for how many seconds the process was paused since the last tick, 0 if that is no more than usual."""
        mono, boot = mono_ns - self._last[0], boot_ns - self._last[1]
        self._last = (mono_ns, boot_ns)
        paused_s = max(mono, boot) / NS_PER_S
        return paused_s if paused_s > PAUSE_S else 0.0
