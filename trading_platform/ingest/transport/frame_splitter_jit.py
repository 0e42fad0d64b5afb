"""Take runs of simple WebSocket frames out of a buffer, many at a time. Pure: no I/O.

What is simple is frame_header.py. At anything else the run ends; that is for the protocol object of `websockets`
(fast_websocket.py). The same in Python, without numba, is frame_splitter.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading_platform.jit.kernel import kernel

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

CONSUMED, COUNT, BYTES, WAITING = 0, 1, 2, 3
"""Places in `told`: up to where the buffer is taken, how many frames, their bytes, whether one is not whole yet."""


@kernel("void(u1[::1], i8, i8, u1[::1], u1[::1], i8[::1])")
def split(buffer: Bytes, at: int, end: int, lengths: Bytes, frames: Bytes, told: Ints) -> None:
    """Take the simple frames at the front of ``buffer[at:end]``.

    Parameters
    ----------
    lengths : written: the length of each frame, u32 little-endian, as the log holds it.
    frames : written: the frames back to back.
    told : written, see CONSUMED.
    """
    count = 0
    written = 0
    waiting = 0
    while True:
        if end - at < 2:
            waiting = 1
            break
        first = buffer[at]
        size = int(buffer[at + 1])
        if not 0x81 <= first <= 0x82 or size > 126:
            break
        begin = at + 2
        if size == 126:
            if end - at < 4:
                waiting = 1
                break
            size = (int(buffer[at + 2]) << 8) | int(buffer[at + 3])
            if size < 126:
                break
            begin = at + 4
        if end - begin < size:
            waiting = 1
            break
        for i in range(size):
            frames[written + i] = buffer[begin + i]
        place = 4 * count
        lengths[place] = size & 255
        lengths[place + 1] = size >> 8
        lengths[place + 2] = 0
        lengths[place + 3] = 0
        count += 1
        written += size
        at = begin + size
    told[0] = at
    told[1] = count
    told[2] = written
    told[3] = waiting
