"""A circuit breaker. Sans-I/O: state + event + time -> whether to try. One for connects, REST and databases alike.

Waiting, and setting the metric `circuit_breaker_state`, is for the owner.
"""

from __future__ import annotations

from typing import Literal

from trading_platform.domain.units import NS_PER_S

State = Literal[0, 1, 2]
CLOSED: State = 0
HALF_OPEN: State = 1
OPEN: State = 2

FAILURES = 5
OPEN_S = 30.0


class Breaker:
    """Closed while things work; open for a while after several failures in a row; then one attempt decides.

    Parameters
    ----------
    failures : so many in a row open it.
    open_s : how long it stays open, on a clock that never goes back.

    Examples
    --------
    >>> breaker = Breaker(failures=2, open_s=30.0)
    >>> for now_ns in (0, 1):
    ...     breaker.failed(now_ns)
    >>> breaker.admits(2), breaker.ready_ns(2) == 1 + 30 * 10**9
    (False, True)
    >>> now_ns = breaker.ready_ns(2)
    >>> breaker.admits(now_ns), breaker.state(now_ns)  # half open: one probe
    (True, 1)
    >>> breaker.trying(now_ns)
    >>> breaker.admits(now_ns)  # and only one
    False
    >>> breaker.worked()
    >>> breaker.state(now_ns)
    0
    """

    def __init__(self, failures: int = FAILURES, open_s: float = OPEN_S) -> None:
        self._most = failures
        self._open_ns = int(open_s * NS_PER_S)
        self._failures = 0
        self._open_until_ns: int | None = None
        self._probing_until_ns: int | None = None

    def state(self, now_ns: int) -> State:
        """Return the metric's value."""
        if self._open_until_ns is None:
            return CLOSED
        return OPEN if now_ns < self._open_until_ns else HALF_OPEN

    def ready_ns(self, now_ns: int) -> int:
        """Return when something may be tried, `now_ns` if at once."""
        if self._open_until_ns is None:
            return now_ns
        return max(now_ns, self._open_until_ns, self._probing_until_ns or 0)

    def admits(self, now_ns: int) -> bool:
        """Tell whether something may be tried now."""
        return self.ready_ns(now_ns) <= now_ns

    def trying(self, now_ns: int) -> None:
        """Take note of an attempt: while half open it is the one probe.

        A probe that never tells how it ended does not block for ever: after `open_s` another may try.
        """
        if self._open_until_ns is not None:
            self._probing_until_ns = now_ns + self._open_ns

    def worked(self) -> None:
        """Take note of a success: closed again."""
        self._failures = 0
        self._open_until_ns = self._probing_until_ns = None

    def failed(self, now_ns: int) -> None:
        """Take note of a failure; the last of several in a row, or a failed probe, opens it."""
        self._failures += 1
        self._probing_until_ns = None
        if self._failures >= self._most:
            self._open_until_ns = now_ns + self._open_ns
