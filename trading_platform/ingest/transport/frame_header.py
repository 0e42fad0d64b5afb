"""What a WebSocket frame's first bytes say: how long it is, and whether it is simple. Pure.

Simple is whole, final, unmasked, uncompressed, text or binary, under 64 KiB, its length in the shortest form: nearly
every frame of a feed. frame_splitter.py (Python) and frame_splitter_jit.py (a kernel) take runs of simple frames out of
what arrives, each with this rule in its own loop, for speed; a property test holds the three equal. Whatever is not
simple is judged by the protocol object of `websockets`.
"""

from __future__ import annotations

HANDSHAKE_END = b"\r\n\r\n"
HANDSHAKE_BYTES = 64 << 10
"""The longest answer to our handshake."""
TEXT, BINARY = 0x81, 0x82

Buffer = bytes | bytearray | memoryview


def frame_size(data: Buffer, at: int, end: int) -> int:
    """Return the size of the frame at `at`, its header included; 0 as long as the header is not whole before `end`.

    A masked frame is refused at its header: the four bytes of the mask are never awaited, nor counted.

    >>> frame_size(bytes([0x81, 2]) + b"hi", 0, 4), frame_size(bytes([0x81, 126, 1, 0]), 0, 4)
    (4, 260)
    >>> frame_size(bytes([0x81]), 0, 1)
    0
    """
    if end - at < 2:
        return 0
    length, begin = data[at + 1] & 127, 2
    if length > 125:
        begin = 4 if length == 126 else 10
        if end - at < begin:
            return 0
        length = int.from_bytes(data[at + 2 : at + begin], "big")
    return begin + length


def is_simple(data: Buffer, at: int) -> bool:
    """Tell whether the frame at `at`, whose header is whole, is simple.

    >>> is_simple(bytes([0x82, 0]), 0), is_simple(bytes([0x89, 0]), 0), is_simple(bytes([0x81, 126, 0, 5]), 0)
    (True, False, False)
    """
    if not TEXT <= data[at] <= BINARY:
        return False
    length = data[at + 1]
    return length < 126 or (length == 126 and (data[at + 2] << 8 | data[at + 3]) > 125)
