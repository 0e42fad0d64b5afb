"""A place in a lane of the log. What lies there is store/log/writer.py.

Positions of one lane are ordered; between lanes there is no order.
"""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """A place in a lane: the segment's number and the byte offset in that segment.

    Examples
    --------
    >>> Position(0, 64) < Position(1, 0) < Position(1, 128)
    True
    >>> Position.parse(str(Position(3, 4096)))
    Position(segment=3, offset=4096)
    """

    segment: int
    offset: int

    def __str__(self) -> str:
        return f"{self.segment}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Return the position that `str` printed.

        Raises
        ------
        ValueError : if it is not ``segment:offset``.
        """
        segment, colon, offset = text.partition(":")
        if not (colon and segment.isascii() and segment.isdecimal() and offset.isascii() and offset.isdecimal()):
            raise ValueError(f"{text[:40]!r} is not a position; positions look like 3:4096")
        return cls(int(segment), int(offset))


START = Position(0, 0)
"""Before the first record of any lane."""
