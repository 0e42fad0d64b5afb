"""The fast transport against the server of `websockets` over loopback: plain, encrypted, compressed, pinged, cut."""

from __future__ import annotations

import asyncio
import http
import ssl
import struct
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.frames import Frame, Opcode

from tests.support.faults.certificates import self_signed
from trading_platform.ingest.transport import fast_websocket as fast_transport, websocket as websocket_client
from trading_platform.ingest.transport.fast_websocket import open_stream
from trading_platform.ingest.transport.frame_batch import Packed
from trading_platform.ingest.transport.protocol import ConnectionLost, HandshakeRefused, OpenStream, Transport
from trading_platform.venues.adapter import KeepAlive
from trading_platform.venues.answers import in_words

MESSAGES = [f"message {number} ".encode() * (number % 40) for number in range(3000)] + [b"x" * 200_000, b"last"]


async def received(stream: OpenStream) -> tuple[list[bytes], str]:
    """Receive to the end; return the messages and the reason of the end."""
    messages: list[bytes] = []

    def take(batch: list[bytes] | Packed) -> bool:
        if isinstance(batch, Packed):
            at = 0
            for size in struct.unpack(f"<{batch.frame_count}I", batch.lengths):
                messages.append(batch.payload[at : at + size])
                at += size
        else:
            messages.extend(batch)
        return len(messages) % 3 > 0  # now and then there is enough

    try:
        while True:
            await stream.deliver(take)
    except ConnectionLost as error:
        return messages, str(error)


async def send_all(connection: ServerConnection) -> None:
    """Send every message, with a ping that must be answered in the middle and fragments near the end."""
    for message in MESSAGES[:1500]:
        await connection.send(message, text=True)
    await (await connection.ping())
    for message in MESSAGES[1500:-1]:
        await connection.send(message, text=True)
    await connection.send([b"la", b"s", b"t"], text=True)


def address(server: Server) -> str:
    """Return where the server listens."""
    return f"ws://localhost:{server.sockets[0].getsockname()[1]}/"


def contexts(encrypted: bool) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return what the server and the client need."""
    if not encrypted:
        return None, None
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder))
        server.load_cert_chain(certificate)
        return server, ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("compressed", [False, True], ids=["as it is", "deflate"])
def test_every_message_arrives_in_order(encrypted: bool, compressed: bool) -> None:
    """Nothing is lost or changed, the server's ping is answered, and its close ends the stream with its reason."""

    async def run() -> tuple[list[bytes], str]:
        for_server, for_client = contexts(encrypted)
        compression = "deflate" if compressed else None
        async with serve(send_all, "localhost", 0, ssl=for_server, compression=compression) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"{'wss' if encrypted else 'ws'}://localhost:{port}/"
            async with open_stream(url, compression=compressed, tls=for_client) as stream:
                return await received(stream)

    messages, reason = asyncio.run(run())
    assert messages == MESSAGES
    assert reason == "closed 1000"


def talk(handler: Callable[[ServerConnection], Awaitable[None]], transport: Transport, **server: object) -> object:
    """Open a stream to that server and receive to the end."""

    async def run() -> tuple[list[bytes], str]:
        async with (
            serve(handler, "localhost", 0, **server) as listener,  # type: ignore[arg-type]
            transport(address(listener)) as stream,
        ):
            return await received(stream)

    return asyncio.run(run())


TRANSPORTS = pytest.mark.parametrize(
    "transport", [open_stream, websocket_client.open_stream], ids=["fast", "websockets"]
)


@TRANSPORTS
def test_what_came_before_a_cut_is_received(transport: Transport) -> None:
    """A connection that ends without a close frame gives all that it carried, then the loss."""

    async def cut(connection: ServerConnection) -> None:
        for message in MESSAGES[:500]:
            await connection.send(message, text=True)
        connection.transport.close()

    messages, reason = talk(cut, transport)
    assert messages == MESSAGES[:500]
    assert reason.startswith("closed without")


@TRANSPORTS
def test_a_refusal_carries_its_status_and_wait(transport: Transport) -> None:
    """An HTTP answer is told with Retry-After, not taken for a broken connection."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "later\n")
        response.headers["Retry-After"] = "17"
        return response

    with pytest.raises(HandshakeRefused) as told:
        talk(send_all, transport, process_request=refuse)
    assert (told.value.status, told.value.retry_after_s) == (429, 17.0)


def redirecting(to: str) -> Callable[[ServerConnection, Request], Response | None]:
    """Return a server that redirects every request for ``/``."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/":
            return None
        response = connection.respond(http.HTTPStatus.TEMPORARY_REDIRECT, "elsewhere\n")
        response.headers["Location"] = to
        return response

    return answer


@TRANSPORTS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_to_another_host_is_refused(transport: Transport, host: str) -> None:
    """Nothing is asked of the other server, be it another name or another port; who sent us there is told."""
    asked: list[str] = []

    def note(connection: ServerConnection, request: Request) -> None:
        asked.append(request.path)

    async def run() -> None:
        async with serve(send_all, "127.0.0.1", 0, process_request=note) as other:
            location = f"ws://user:secret@{host}:{other.sockets[0].getsockname()[1]}/there"
            redirect = redirecting(location)
            async with serve(send_all, "localhost", 0, process_request=redirect) as server, transport(address(server)):
                pass

    with pytest.raises(HandshakeRefused) as told:
        asyncio.run(run())
    assert asked == []
    words = in_words(told.value.status, told.value.location)
    assert f"redirects to ws://{host}:" in words
    assert "secret" not in words


@TRANSPORTS
@pytest.mark.parametrize("location", ["http://localhost:1/", "ftp:", "//localhost:1/", "ws://[", "wss://localhost/"])
def test_a_redirect_to_what_is_no_stream_of_that_host_is_refused(transport: Transport, location: str) -> None:
    """Whatever stands in the header, it is a refusal with words, no other error."""
    with pytest.raises(HandshakeRefused) as told:
        talk(send_all, transport, process_request=redirecting(location))
    assert in_words(told.value.status, told.value.location).startswith("HTTP 307: the venue redirects")


@TRANSPORTS
def test_a_redirect_within_the_same_host_is_followed_and_not_for_ever(transport: Transport) -> None:
    """A path of the same host is where the stream is; a circle ends."""
    messages, _ = talk(send_all, transport, process_request=redirecting("/stream"))  # type: ignore[misc]
    assert messages == MESSAGES
    with pytest.raises(ConnectionLost, match="redirects"):
        talk(send_all, transport, process_request=redirecting("/"))


@TRANSPORTS
@pytest.mark.parametrize("code", [1000, 1008, 1013])
def test_the_code_of_the_venues_close_is_told(transport: Transport, code: int) -> None:
    """With its reason; our own close has none."""

    async def close(connection: ServerConnection) -> None:
        await connection.close(code, "enough")

    async def run() -> ConnectionLost:
        async with serve(close, "localhost", 0) as server, transport(address(server)) as stream:
            with pytest.raises(ConnectionLost) as told:
                await stream.deliver(lambda batch: True)
            return told.value

    lost = asyncio.run(run())
    assert (lost.code, str(lost)) == (code, f"closed {code} enough")


@TRANSPORTS
@pytest.mark.parametrize("url", ["ws://localhost:1/", "http://localhost/", "ws://"])
def test_what_cannot_be_reached_is_a_lost_connection(transport: Transport, url: str) -> None:
    """No server, no WebSocket address: one kind of error."""

    async def run() -> None:
        async with transport(url):
            pass

    with pytest.raises(ConnectionLost, match="connect"):
        asyncio.run(run())


@TRANSPORTS
def test_a_bug_of_who_takes_is_loud(transport: Transport) -> None:
    """What taking raises reaches who asked for messages, not only the log of the event loop."""

    def take(batch: object) -> bool:
        raise ZeroDivisionError

    async def run() -> None:
        async def later(connection: ServerConnection) -> None:
            await connection.recv()
            await connection.send(b"one", text=True)
            await connection.wait_closed()

        async with serve(later, "localhost", 0) as server, transport(address(server)) as stream:
            receiving = asyncio.create_task(stream.deliver(take))
            await asyncio.sleep(0)  # it waits now: the message goes to it directly
            stream.tick(KeepAlive("text", b"go"))
            await receiving

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


@TRANSPORTS
def test_closing_keeps_what_has_arrived(transport: Transport) -> None:
    """After our own close everything sent before it is still handed out, and then the end."""

    async def run() -> tuple[list[bytes], str]:
        async with serve(send_all, "localhost", 0) as server, transport(address(server)) as stream:
            await stream.deliver(lambda batch: False)
            await stream.close()
            return await received(stream)

    _, reason = asyncio.run(run())
    assert reason.startswith("closed")


@TRANSPORTS
def test_a_pong_is_a_sign_of_life_and_a_ping_flood_is_answered_within_the_allowance(transport: Transport) -> None:
    """What the session asks about is the time of the last bytes; thirty pings get four pongs, the last one its own."""

    async def run() -> tuple[float, list[bytes]]:
        pongs: list[bytes] = []
        enough = asyncio.Event()

        async def flood(connection: ServerConnection) -> None:
            take = connection.process_event

            def count(event: Any) -> None:
                if isinstance(event, Frame) and event.opcode is Opcode.PONG:
                    pongs.append(bytes(event.data))
                    if pongs[-1] == b"29":
                        enough.set()
                take(event)

            connection.process_event = count  # type: ignore[method-assign]
            await connection.recv()
            for number in range(30):
                await connection.ping(str(number))
            await enough.wait()

        async with serve(flood, "localhost", 0, ping_interval=None) as server, transport(address(server)) as stream:
            before = stream.heard_s
            stream.tick(KeepAlive("text", b"go"))
            heard = before
            while not enough.is_set():
                heard = max(heard, stream.heard_s)
                stream.tick(None)
                with suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), 0.02)
            return heard - before, pongs

    heard, pongs = asyncio.run(run())
    assert heard > 0
    assert pongs[-1] == b"29"
    assert len(pongs) <= 5


def test_a_slow_taker_stops_the_reading() -> None:
    """What waits to be taken stays below the limit and one buffer; nothing of it is lost."""

    async def run() -> tuple[int, int]:
        async def flood(connection: ServerConnection) -> None:
            for _ in range(400):
                await connection.send(bytes(60_000))

        async with serve(flood, "localhost", 0, compression=None) as server, open_stream(address(server)) as stream:
            socket = stream._connection
            while not socket.paused:
                await socket.delivery.wait()
            most = socket.queued_bytes
            return most, len((await received(stream))[0])

    most, count = asyncio.run(run())
    assert most <= fast_transport.QUEUE_BYTES + fast_transport.BUFFER_BYTES
    assert count == 400
