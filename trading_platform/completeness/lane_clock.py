"""In which order a lane tells of ends, whatever its writer's wall clock says. Pure.

What was learned last of a sequence's end counts (gap_detector.py), and lanes are compared by receive time. Within a
lane the order of its records is the truth: a clock that is set back must not make old news of what comes later. Across
lanes an answer bears the time of what was known when it was asked for (`control.Page.after_ns`).

Where the clock never goes back, every time told here is the receive time itself.
"""

from __future__ import annotations

import msgspec


class TailClock(msgspec.Struct):
    """The times of one lane's events; part of its decoder's memory.

    Examples
    --------
    >>> clock = TailClock()
    >>> clock.event(1_000), clock.frames(1_500), clock.live(1_500), clock.event(2_000)
    (1000, None, 1500, 2000)

    The clock is set back; what comes later goes on counting as later.

    >>> clock.frames(700), clock.live(700), clock.event(900), clock.event(900, after_ns=5_000)
    (None, 2001, 2002, 5001)
    """

    told_ns: int = 0
    latest_ns: int = 0

    def frames(self, ts_recv: int) -> None:
        """Take note of frames received then."""
        self.latest_ns = max(self.latest_ns, ts_recv)

    def event(self, ts_recv: int, after_ns: int = 0) -> int:
        """Return the time of an event that a control record or a page tells, later than all before it in the lane."""
        # Two apart, so that what is seen alive between two events has a time of its own.
        earlier = max(self.told_ns + 2, self.latest_ns + 1) if ts_recv <= self.latest_ns else 0
        self.told_ns = self.latest_ns = max(ts_recv, earlier, after_ns + 1 if after_ns else 0)
        return self.told_ns

    def live(self, ts_recv: int) -> int:
        """Return the time at which something was last seen alive, of frames since the last event."""
        return max(ts_recv, self.told_ns + 1)
