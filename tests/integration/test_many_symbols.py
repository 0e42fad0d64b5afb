"""More symbols than one address takes: spread over connections, split further where a venue wants less, named at last.

The venue is a WebSocket server that refuses as a test says, and sends one trade of each symbol that is asked for.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve

from tests.support.builders.ingest_in_process import BOUNDS, SmallIngest
from tests.support.builders.venue_limits import with_limit
from trading_platform.domain.position import START
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.transport import fast_websocket as fast_transport, websocket as websocket_client
from trading_platform.ingest.transport.protocol import Transport
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import LaneReader
from trading_platform.venues import VENUES
from trading_platform.venues.binance import Binance

MANY = [f"S{number:04d}-USDT" for number in range(1024)]
FRAME = (
    '{"stream":"%s","data":{"e":"trade","E":1723161255343,"s":"%s","t":%d,'
    '"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
Refuse = Callable[[str, list[str]], int | None]
TRANSPORTS = pytest.mark.parametrize(
    "transport", [fast_transport.open_stream, websocket_client.open_stream], ids=["fast", "websockets"]
)


class Venue:
    """A venue that refuses by address and streams; in a thread of its own.

    Attributes
    ----------
    asked : of each attempt the length of its address and what was answered, 101 for a stream.
    """

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self.asked: list[tuple[int, list[str], int]] = []
        self.url = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def answers(self) -> Counter[int]:
        """Return how often each status was given."""
        return Counter(status for _, _, status in self.asked)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._stream, "localhost", 0, process_request=self._answer) as server:
            self.url = f"ws://localhost:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        streams = request.path.partition("streams=")[2].split("/")
        status = self._refuse(self.url + request.path, streams)
        self.asked.append((len(self.url + request.path), streams, status or 101))
        return None if status is None else connection.respond(status, "no\n")  # type: ignore[arg-type]

    async def _stream(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        for stream in connection.request.path.partition("streams=")[2].split("/"):
            await connection.send(FRAME % (stream, stream.partition("@")[0].upper(), 7))
        await connection.wait_closed()


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Callable[..., SmallIngest]]:
    """Make recorders; all are closed at the end."""
    made: list[SmallIngest] = []

    def make(venue: Venue, symbols: Sequence[str], transport: Transport, adapter: Binance | None = None) -> SmallIngest:
        made.append(
            SmallIngest(
                tmp_path / "data", venue.url, "http://127.0.0.1:1", symbols, transport=transport, adapter=adapter
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def carried(ingest: SmallIngest) -> Counter[str]:
    """Return of each symbol how many connections carried it."""
    return Counter(
        symbol for fact in ingest.controls() if isinstance(fact, control.Connected) for symbol in fact.symbols.values()
    )


def heard(ingest: SmallIngest) -> set[str]:
    """Return the symbols of which the lane holds a trade."""
    with LaneReader(ingest.data.lane("live-binance")) as reader:
        records: list[Any] = []
        while more := reader.read():
            records += more
        decoded = Decoder("live-binance", VENUES, BOUNDS).decode(records, START, reader.position)
    assert not decoded.batch.quarantine
    return {key.symbol for key in decoded.trades}


@TRANSPORTS
def test_a_thousand_symbols_go_over_several_connections(
    ingest: Callable[..., SmallIngest], transport: Transport
) -> None:
    """No address is longer than what any proxy takes, each symbol is on one connection, one lane has them all."""
    with Venue(lambda url, streams: 414 if len(url) > 4096 else None) as venue:
        recorder = ingest(venue, MANY, transport)
        recorder.record(lambda: len(carried(recorder)) == len(MANY))
        assert set(venue.answers()) == {101}
        assert 2 <= len(venue.asked) <= 6
        assert carried(recorder) == Counter(MANY)
        assert heard(recorder) == set(MANY)


@TRANSPORTS
def test_an_address_that_is_refused_as_too_long_is_split(
    ingest: Callable[..., SmallIngest], transport: Transport
) -> None:
    """A quarter of what is usual is accepted: found by halving, once for all, and everything is recorded."""
    with Venue(lambda url, streams: 414 if len(url) > 1000 else None) as venue:
        recorder = ingest(venue, MANY[:300], transport)
        recorder.record(lambda: len(carried(recorder)) == 300)
        assert carried(recorder) == Counter(MANY[:300])
        answers = venue.answers()
        assert 2 <= answers[414] <= 8, answers
        assert answers[101] <= 12, answers
        assert heard(recorder) == set(MANY[:300])


@pytest.mark.parametrize("status", [400, 414])
def test_a_venue_that_refuses_everything_is_found_out_with_few_attempts(
    ingest: Callable[..., SmallIngest], status: int
) -> None:
    """One connection is halved down to a symbol, which is named; a thousand symbols are not a thousand attempts."""
    with Venue(lambda url, streams: status) as venue:
        recorder = ingest(venue, MANY, websocket_client.open_stream)

        def alone() -> Counter[str]:
            told = [(symbols, reason) for symbols, reason in recorder.reports if reason]
            return Counter(symbols[0] for symbols, reason in told if reason.endswith("even for one symbol"))

        recorder.record(lambda: max(alone().values(), default=0) >= 2 and len(alone()) >= (1 if status == 414 else 3))
        assert len(alone()) <= 10  # those that were left of the halves, too
        # Five connections at once, then one of them halved eight times at most, both halves asked for; where three
        # symbols have to be refused alone, the two halves of one small part more.
        asked = {tuple(streams) for _, streams, _ in venue.asked}
        assert len(asked) <= 5 + 2 * 8 + (0 if status == 414 else 2), len(asked)
        assert {name for symbols, _ in recorder.reports for name in symbols} == set(MANY)


def test_fewer_streams_than_documented_are_asked_for_where_more_are_refused(
    ingest: Callable[..., SmallIngest],
) -> None:
    """400 above ten streams: halved until it fits."""
    with Venue(lambda url, streams: 400 if len(streams) > 10 else None) as venue:
        recorder = ingest(venue, MANY[:60], websocket_client.open_stream)
        recorder.record(lambda: len(carried(recorder)) == 60)
        assert max(len(streams) for _, streams, status in venue.asked if status == 101) <= 10
        assert sum(venue.answers().values()) <= 30


@pytest.mark.parametrize("status", [400, 403])
def test_a_symbol_that_is_refused_alone_is_named_and_the_others_are_recorded(
    ingest: Callable[..., SmallIngest], status: int
) -> None:
    """Of two connections one holds a symbol that the venue refuses: it is found, everybody else has a stream."""
    adapter = Binance()
    adapter.limits = with_limit(adapter.limits, "address_bytes", 400)
    bad = "s0003usdt@trade"
    with Venue(lambda url, streams: status if bad in streams else None) as venue:
        recorder = ingest(venue, MANY[:30], websocket_client.open_stream, adapter)

        def refused_alone() -> list[str]:
            return [reason or "" for symbols, reason in recorder.reports if reason and symbols == ["S0003-USDT"]]

        recorder.record(lambda: len(refused_alone()) >= 2 and len(carried(recorder)) == 29)
        assert carried(recorder) == Counter(set(MANY[:30]) - {"S0003-USDT"})
        assert all(reason.startswith(f"HTTP {status}: the venue") for reason in refused_alone())
