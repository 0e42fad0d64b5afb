"""Messages in one piece, as the log holds them: no object for each. What receives them is fast_websocket.py."""

from __future__ import annotations

from typing import NamedTuple


class Packed(NamedTuple):
    """Whole messages, in the order of arrival.

    Attributes
    ----------
    frame_count : how many.
    lengths : the size of each, u32 little-endian.
    payload : the messages back to back.
    """

    frame_count: int
    lengths: bytes
    payload: bytes
