"""What is cut out of a stream, and what is left to the protocol object, is together what `websockets` itself takes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Response
from websockets.protocol import State

from tests.property.test_frame_receiver import URL, encoded, messages_of, protocol, streams
from trading_platform.ingest.transport.frame_header import HANDSHAKE_BYTES
from trading_platform.ingest.transport.frame_splitter import FrameSplitter


class Receiver:
    """A splitter, and the joining of fragments as websocket.py does it."""

    def __init__(self, of: ClientProtocol) -> None:
        self.protocol = of
        self.splitter = FrameSplitter(of, self._pass_on)
        self.passed = 0
        self.answers: list[Response] = []
        self._message: list[bytes] = []

    def _pass_on(self, data: bytes) -> None:
        self.passed += len(data)
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.answers.append(event)
            elif isinstance(event, Frame) and event.opcode in DATA_OPCODES:
                self._message.append(bytes(event.data))
                if event.fin:
                    self.splitter.add(b"".join(self._message))
                    self._message.clear()
                self.splitter.joining = bool(self._message)


@given(streams(), st.data())
def test_any_cut_of_a_stream_gives_the_messages_that_websockets_gives(
    stream: tuple[bytes, bool], data: st.DataObject
) -> None:
    """Simple frames, control frames, fragments and compressed ones, in pieces of any size, in their order."""
    sent, deflate = stream
    reference = protocol(deflate=deflate)
    reference.receive_data(sent)
    receiver = Receiver(protocol(deflate=deflate))
    received, at = [], 0
    while at < len(sent):
        size = data.draw(st.sampled_from([1, 2, 3, 7, 100, 5000, len(sent)]))
        if size < 5000 and len(sent) > 20_000 and data.draw(st.booleans()):
            size = 60_000
        receiver.splitter.feed(sent[at : at + size])
        received += receiver.splitter.take()
        at += size
    assert received == messages_of(reference)
    assert receiver.protocol.state == reference.state
    # Masks are random: what is sent back is compared by its sizes.
    assert list(map(len, receiver.protocol.data_to_send())) == list(map(len, reference.data_to_send()))


@given(streams(), st.integers(0, 1 << 30), st.integers(0, 255), st.integers(1, 300), st.booleans())
def test_a_broken_stream_is_refused_as_websockets_refuses_it(
    stream: tuple[bytes, bool], where: int, byte: int, step: int, ends: bool
) -> None:
    """One byte changed, and perhaps an end: the same messages before it, and the same code sent to the other side."""
    sent, deflate = stream
    broken = bytearray(sent)
    broken[where % min(len(sent), 300)] = byte
    reference, receiver = protocol(deflate=deflate), Receiver(protocol(deflate=deflate))
    reference.receive_data(bytes(broken))
    received = []
    for at in range(0, len(broken), step * 50):
        receiver.splitter.feed(bytes(broken[at : at + step * 50]))
        received += receiver.splitter.take()
    if ends:
        reference.receive_eof()
        receiver.splitter.end()
        receiver.protocol.receive_eof()
    assert received + receiver.splitter.take() == messages_of(reference)
    assert receiver.protocol.close_sent == reference.close_sent
    assert receiver.protocol.state == reference.state


@given(st.integers(1, 200), st.booleans())
def test_the_answer_to_our_handshake_may_come_in_pieces_and_with_frames_behind_it(size: int, opened: bool) -> None:
    """An opened connection gives what follows as messages; a refused one gives it to the protocol object as a body."""
    asking = ClientProtocol(URL)
    asking.send_request(asking.connect())
    if opened:
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(asking.key)}\r\n\r\n"
        )
        sent = head.encode() + encoded(0x81, b"one") + encoded(0x81, b"two")
    else:
        sent = b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater"
    receiver = Receiver(asking)
    for at in range(0, len(sent), size):
        receiver.splitter.feed(sent[at : at + size])
    assert receiver.splitter.take() == ([b"one", b"two"] if opened else [])
    assert [(answer.status_code, answer.body) for answer in receiver.answers] == [
        (101, b"") if opened else (503, b"later")
    ]


def accept_of(key: str) -> str:
    """Return what a server answers to this key."""
    from websockets.utils import accept_key

    return accept_key(key)


def test_an_answer_without_an_end_is_refused() -> None:
    """Headers that never end cost 64 KiB."""
    asking = ClientProtocol(URL)
    asking.send_request(asking.connect())
    receiver = Receiver(asking)
    for _ in range(HANDSHAKE_BYTES // 1000 + 2):
        receiver.splitter.feed(b"x" * 1000)
    assert asking.handshake_exc is not None


def test_simple_frames_do_not_pass_the_protocol_object() -> None:
    """Of a feed of trades it sees the pings alone."""
    receiver = Receiver(protocol())
    ping = encoded(0x89, b"1")
    receiver.splitter.feed(b"".join(encoded(0x81, b"x" * 170) + ping for _ in range(10)))
    assert len(receiver.splitter.take()) == 10
    assert receiver.passed == 10 * len(ping)


@pytest.mark.parametrize("claimed", [1 << 20 | 1, 200 << 20, (1 << 63) - 1])
def test_a_huge_frame_is_refused_at_its_header(claimed: int) -> None:
    """A frame that claims more than the limit costs its header, not its size."""
    receiver = Receiver(protocol())
    receiver.splitter.feed(struct.pack(">BBQ", 0x81, 127, claimed))
    assert receiver.protocol.close_sent is not None
    assert receiver.protocol.close_sent.code == 1009
    receiver.splitter.feed(bytes(1 << 20))
    assert receiver.protocol.state is State.CLOSING
    assert receiver.splitter.take() == []
