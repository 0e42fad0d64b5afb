"""The fast transport takes from any bytes, however they are cut, what `websockets` itself takes."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from trading_platform.ingest.transport.fast_websocket import BUFFER_BYTES, FrameReceiver

SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 170, 171, 200, 65_535, 65_536, 70_000]) | st.integers(0, 400)
URL = parse_uri("ws://localhost/")


def protocol(*, deflate: bool = False) -> ClientProtocol:
    """Return a protocol object that is past its handshake."""
    opened = ClientProtocol(URL, state=State.OPEN, max_size=1 << 20)
    if deflate:
        opened.extensions = [PerMessageDeflate(False, False, 15, 15)]
    return opened


def messages_of(reference: ClientProtocol) -> list[bytes]:
    """Put together what the protocol object received."""
    messages, message = [], b""
    for event in reference.events_received():
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            message += bytes(event.data)
            if event.fin:
                messages.append(message)
                message = b""
    return messages


def unpack(receiver: FrameReceiver) -> list[bytes]:
    """Take the packed messages apart."""
    packed = receiver.take()
    if packed is None:
        return []
    lengths = struct.unpack(f"<{packed.frame_count}I", packed.lengths)
    messages, at = [], 0
    for length in lengths:
        messages.append(packed.payload[at : at + length])
        at += length
    assert at == len(packed.payload)
    return messages


def encoded(first: int, payload: bytes) -> bytes:
    """Return a server's frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, size))
    elif size < 65_536:
        head = struct.pack(">BBH", first, 126, size)
    else:
        head = struct.pack(">BBQ", first, 127, size)
    return head + payload


def filler(size: int, number: int) -> bytes:
    """Return bytes that show where they belong."""
    return (b"%d," % number * (size // 2 + 1))[:size]


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Return the bytes of a lawful stream, and whether compression was agreed."""
    deflate = draw(st.booleans())
    squeeze = zlib.compressobj(wbits=-15)
    data = bytearray()
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["simple"] * 4 + ["binary", "ping", "pong", "fragments", "squeezed"]))
        payload = filler(draw(SIZES), number)
        if kind in {"simple", "binary"}:
            data += encoded(0x81 if kind == "simple" else 0x82, payload)
        elif kind in {"ping", "pong"}:
            data += encoded(0x89 if kind == "ping" else 0x8A, payload[:125])
        elif kind == "squeezed" and deflate:
            data += encoded(0xC1, (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4])
        else:
            cut = draw(st.integers(0, len(payload)))
            data += encoded(0x01, payload[:cut]) + encoded(0x89, b"between") + encoded(0x80, payload[cut:])
    if draw(st.booleans()):
        data += encoded(0x88, struct.pack(">H", 1000)) + b"nothing after it counts"
    return bytes(data), deflate


@given(streams(), st.data())
def test_any_cut_of_a_stream_gives_the_messages_that_websockets_gives(stream: tuple[bytes, bool], data: st.DataObject):
    """Simple frames, control frames, fragments and compressed ones, in pieces of any size."""
    sent, deflate = stream
    reference = protocol(deflate=deflate)
    reference.receive_data(sent)
    expected = messages_of(reference)
    receiver = FrameReceiver(protocol(deflate=deflate))
    received, at = [], 0
    while at < len(sent):
        size = data.draw(st.sampled_from([1, 2, 3, 7, 100, 5000, len(sent)]))
        if size < 5000 and len(sent) > 20_000 and data.draw(st.booleans()):
            size = 60_000
        receiver.feed(sent[at : at + size])
        received += unpack(receiver)
        at += size
    assert received == expected
    assert receiver.protocol.state == reference.state
    # Masks are random: what is sent back is compared by its sizes.
    assert list(map(len, receiver.protocol.data_to_send())) == list(map(len, reference.data_to_send()))


@given(streams(), st.integers(0, 1 << 30), st.integers(0, 255), st.integers(1, 300))
def test_a_broken_stream_is_refused_as_websockets_refuses_it(
    stream: tuple[bytes, bool], where: int, byte: int, step: int
) -> None:
    """One byte changed: the same messages before the end, and the same code sent to the other side."""
    sent, deflate = stream
    broken = bytearray(sent)
    broken[where % min(len(sent), 300)] = byte
    reference, receiver = protocol(deflate=deflate), FrameReceiver(protocol(deflate=deflate))
    reference.receive_data(bytes(broken))
    expected = messages_of(reference)
    received = []
    for at in range(0, len(broken), step * 50):
        receiver.feed(bytes(broken[at : at + step * 50]))
        received += unpack(receiver)
    assert received == expected
    assert receiver.protocol.close_sent == reference.close_sent
    assert receiver.protocol.state == reference.state


@pytest.mark.parametrize("claimed", [1 << 20 | 1, 200 << 20, (1 << 63) - 1])
def test_a_huge_frame_is_refused_at_its_header(claimed: int) -> None:
    """A frame that claims more than the limit costs its header, not its size."""
    receiver = FrameReceiver(protocol())
    receiver.feed(struct.pack(">BBQ", 0x81, 127, claimed))
    assert receiver.protocol.close_sent is not None
    assert receiver.protocol.close_sent.code == 1009
    for _ in range(64):
        receiver.feed(bytes(BUFFER_BYTES))
    assert receiver.take() is None


def test_endless_fragments_are_refused_at_the_limit() -> None:
    """Fragments that never end are refused once they are too much together."""
    receiver = FrameReceiver(protocol())
    receiver.feed(encoded(0x01, bytes(60_000)))
    fed = 0
    while receiver.protocol.state is State.OPEN:
        receiver.feed(encoded(0x00, bytes(60_000)))
        fed += 60_000
        assert fed <= 2 << 20
    assert receiver.take() is None


def test_a_buffer_that_inflates_without_bound_is_refused() -> None:
    """Many small messages that each inflate to the limit end the connection before they fill the memory."""
    squeeze = zlib.compressobj(wbits=-15)
    bomb = [
        encoded(0xC1, (squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]) for _ in range(60)
    ]
    receiver = FrameReceiver(protocol(deflate=True))
    receiver.feed(b"".join(bomb))
    assert receiver.protocol.state is State.CLOSING
    assert sum(map(len, unpack(receiver))) < 10 << 20
