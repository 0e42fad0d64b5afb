"""The rule of simple frames is one, in the header's words, in the Python loop and in the kernel."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given, strategies as st
from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from trading_platform.ingest.transport import frame_splitter_jit as jit
from trading_platform.ingest.transport.frame_header import frame_size, is_simple
from trading_platform.ingest.transport.frame_splitter import FrameSplitter

LENGTHS = st.sampled_from([0, 1, 125, 126, 127, 200, 65_535]) | st.integers(0, 300)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return a frame that is often simple, or a header of any kind; lengths in the shortest form or not."""
    first = draw(st.sampled_from([0x81, 0x82, 0x81, 0x82, 0x01, 0x80, 0x83, 0x88, 0x89, 0xC1]))
    size = draw(LENGTHS)
    forms = [bytes((first, 126)) + struct.pack(">H", size), bytes((first, 127)) + struct.pack(">Q", size)]
    forms += [bytes((first, size)), bytes((first, size | 128))] if size < 126 else []
    return draw(st.sampled_from(forms[2:] or forms[:1]) | st.sampled_from(forms)) + bytes(size)


def by_rule(data: bytes) -> tuple[list[bytes], int]:
    """Return the simple frames at the front, and where the rule stops."""
    found, at = [], 0
    while (size := frame_size(data, at, len(data))) and size <= len(data) - at and is_simple(data, at):
        found.append(data[at + (2 if data[at + 1] < 126 else 4) : at + size])
        at += size
    return found, at


def by_loop(data: bytes) -> tuple[list[bytes], int]:
    """Return the same as the Python loop takes it."""
    cutter = FrameSplitter(ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN), lambda data: None)
    at = cutter._cut(data, 0)
    return cutter.take(), at


def by_kernel(data: bytes) -> tuple[list[bytes], int]:
    """Return the same as the kernel takes it (its Python body; test_kernel holds that equal to what is compiled)."""
    lengths, out = np.zeros(4 * len(data) + 4, np.uint8), np.zeros(len(data) + 1, np.uint8)
    told = np.zeros(4, np.int64)
    jit.split.function(np.frombuffer(data, np.uint8), 0, len(data), lengths, out, told)
    sizes = np.frombuffer(lengths[: 4 * told[jit.COUNT]].tobytes(), "<u4")
    ends = np.cumsum(sizes).tolist()
    whole = out.tobytes()
    return [whole[end - size : end] for size, end in zip(sizes.tolist(), ends, strict=True)], int(told[jit.CONSUMED])


@given(st.lists(frames(), max_size=5), st.data())
def test_three_ways_take_the_same_simple_frames(parts: list[bytes], data: st.DataObject) -> None:
    """Of any bytes, cut anywhere, the same frames up to the same place."""
    whole = b"".join(parts)
    cut = whole[: data.draw(st.integers(max(0, len(whole) - 20), len(whole)) | st.integers(0, len(whole)))]
    assert by_rule(cut) == by_loop(cut) == by_kernel(cut)
