"""Find the time spans of a day in which a trade may be missing. Pure: arrays in, time spans out.

Void ids and neighbouring days are pipeline/tick_days.py; bars and their `complete` flag are pipeline/datasets/bars.py.

The rule for a missing id range *m* (neither stored nor void), over all stored trades in the order of their ids:

    P = the latest ts_event among held ids below m        S = the earliest ts_event among held ids above m

The missing trades happened between P and S, so every interval from the one with P to the one with S is touched.
If time rises with the ids, this equals the contract's rule: with a = the greatest held id before `ts_open` and
b = the least held id from `ts_close` on, the bar is complete exactly if nothing is missing between a and b
(``P < ts_close and S >= ts_open`` is ``a < m < b``). If ids and times disagree around m, P lies after S and the
order proves nothing between the two, so [S, P] is touched.
Time outside coverage (before the oldest stored trade, and from the newest on) is uncertain as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


class Spans(NamedTuple):
    """Closed time spans, [first, last] in ns, in any order and possibly overlapping."""

    first: Int64
    last: Int64

    @classmethod
    def none(cls) -> Spans:
        """Return no span."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def whole(cls, start_ns: int, end_ns: int) -> Spans:
        """Return the one span [start, end)."""
        return cls(np.array([start_ns], np.int64), np.array([end_ns - 1], np.int64))

    def and_(self, first: int, last: int) -> Spans:
        """Return these spans plus [first, last]."""
        return Spans(np.append(self.first, first), np.append(self.last, last))


def uncertain_spans(ts_event: Int64, missing: Bool, *, start_ns: int, end_ns: int) -> Spans:
    """Return where in [start, end) a trade may be missing.

    Parameters
    ----------
    ts_event : times of the held trades in the order of their ids; trades of earlier days as `start_ns` - 1,
        of later days as `end_ns`.
    missing : one more than trades: whether an id is missing before the first, between each two, after the last.

    Examples
    --------
    >>> ts = np.array([10, 25, 31, 47])
    >>> uncertain_spans(ts, np.array([False, True, False, False, True]), start_ns=0, end_ns=60)
    Spans(first=array([10, 47]), last=array([25, 59]))
    """
    slots = np.flatnonzero(missing)
    before = np.concatenate(([start_ns - 1], np.maximum.accumulate(ts_event)))[slots]
    after = np.concatenate((np.minimum.accumulate(ts_event[::-1])[::-1], [end_ns]))[slots]
    first = np.maximum(np.minimum(before, after), start_ns)
    last = np.minimum(np.maximum(before, after), end_ns - 1)
    inside = first <= last
    return Spans(first[inside], last[inside])


def touched(spans: Spans, *, start_ns: int, width_ns: int, count: int) -> Bool:
    """Tell for each of `count` intervals of `width_ns` from `start_ns` on whether a span touches it.

    >>> spans = Spans(np.array([10, 47]), np.array([25, 59]))
    >>> touched(spans, start_ns=0, width_ns=10, count=6).astype(int)
    array([0, 1, 1, 0, 1, 1])
    """
    steps = np.zeros(count + 1, np.int64)
    first = (spans.first - start_ns) // width_ns
    last = (spans.last - start_ns) // width_ns
    inside = (first < count) & (last >= 0)
    np.add.at(steps, np.maximum(first[inside], 0), 1)
    np.add.at(steps, np.minimum(last[inside], count - 1) + 1, -1)
    return np.cumsum(steps[:count]) > 0
