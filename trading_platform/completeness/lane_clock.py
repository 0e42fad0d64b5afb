"""A logical clock for one log lane: times of tail events that never go back, even if the wall clock does. Pure.

The latest fact about a sequence's end counts (gap_detector.py), and facts of different lanes are compared by receive
time. Within a lane the order of its records decides: a clock that was set back must not make a later record look older.
Across lanes, a REST answer bears the time of what was known at its request (`Page.after_ns` in
store/log/control_records.py). If the wall clock never goes back, every time here is the receive time itself.
"""

from __future__ import annotations

import msgspec


class TailClock(msgspec.Struct):
    """The logical clock of one lane; part of its decoder's stored context.

    Examples
    --------
    >>> clock = TailClock()
    >>> clock.event(1_000), clock.frames(1_500), clock.live(1_500), clock.event(2_000)
    (1000, None, 1500, 2000)

    The wall clock is set back; later records still get later times.

    >>> clock.frames(700), clock.live(700), clock.event(900), clock.event(900, after_ns=5_000)
    (None, 2001, 2002, 5001)
    """

    told_ns: int = 0
    latest_ns: int = 0

    def frames(self, ts_recv: int) -> None:
        """Note that frames were received at this time."""
        self.latest_ns = max(self.latest_ns, ts_recv)

    def event(self, ts_recv: int, after_ns: int = 0) -> int:
        """Return the time of an event (from a control record or page), later than all earlier ones of the lane."""
        # In steps of two, so that a `live` time between two events differs from both.
        earlier = max(self.told_ns + 2, self.latest_ns + 1) if ts_recv <= self.latest_ns else 0
        self.told_ns = self.latest_ns = max(ts_recv, earlier, after_ns + 1 if after_ns else 0)
        return self.told_ns

    def live(self, ts_recv: int) -> int:
        """Return the time of the latest sign of life: frames since the last event."""
        return max(ts_recv, self.told_ns + 1)
