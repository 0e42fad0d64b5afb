"""A venue whose frames mean something only in their order: what its decoder knows goes from batch to batch."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from trading_platform.domain.days import day_start
from trading_platform.domain.errors import FrameError
from trading_platform.domain.position import START, Position
from trading_platform.domain.trades.trade import Trade
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, Record
from trading_platform.venues.binance import Binance

NOW = day_start("2024-08-08") + 3600 * 10**9
BOUNDS = Bounds.of("2020-01-01")
SYMBOLS = {"AAA": "A-USD", "BBB": "B-USD"}


class Channels:
    """Reads ``{"channel": 7, "symbol": "AAA"}``, and from then on ``{"channel": 7, "id": 1}``."""

    def __init__(self, symbols: Mapping[str, str], state: bytes) -> None:
        self._symbols = symbols
        self._names: dict[str, str] = json.loads(state) if state else {}

    def decode(self, frame: bytes) -> list[Trade]:
        told = json.loads(frame)
        channel = str(told["channel"])
        if "symbol" in told:
            self._names[channel] = told["symbol"]
            return []
        if channel not in self._names:
            raise FrameError("channel", f"channel {channel} was never named")
        symbol = self._symbols[self._names[channel]]
        return [Trade(symbol, told["id"], told.get("ns", NOW), "1.5", "2", "buy")]

    def state(self) -> bytes:
        return json.dumps(self._names).encode() if self._names else b""


class Venue(Binance):
    """Only its frames are of interest."""

    name = "numbered"
    trade_frame = None

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> Channels:
        return Channels(symbols, state)


def record(kind: Kind, at: int, *frames: bytes, connection: int = 1) -> Record:
    return Record(Position(0, at), Position(0, at + 1), kind, connection, NOW + at, at, frames)


def connected(connection: int, at: int) -> Record:
    fact = control.encode_control(control.Connected("numbered", connection, SYMBOLS))
    return record(Kind.CONTROL, at, fact, connection=0)


def named(channel: int, symbol: str) -> bytes:
    return json.dumps({"channel": channel, "symbol": symbol}).encode()


def traded(channel: int, number: int, ns: int = NOW) -> bytes:
    return json.dumps({"channel": channel, "id": number, "ns": ns}).encode()


LANE = [
    connected(1, 0),
    record(Kind.FRAMES, 1, named(7, "AAA"), named(8, "BBB")),
    record(Kind.FRAMES, 2, traded(7, 1), traded(8, 1)),
    connected(2, 3),
    record(Kind.FRAMES, 4, traded(7, 2), named(7, "BBB"), traded(7, 2)),
    record(Kind.FRAMES, 5, named(8, "AAA"), traded(8, 3), connection=2),
    record(Kind.FRAMES, 6, traded(8, 3), traded(8, 4)),
]
WHOLE = {"A-USD": [1, 2, 3], "B-USD": [1, 2, 3, 4]}


@given(st.sets(st.integers(1, len(LANE) - 1)))
def test_a_lane_cut_anywhere_decodes_as_a_whole(cuts: set[int]) -> None:
    """Each batch by a new decoder that knows nothing but the context of the one before: the same trades."""
    found: dict[str, list[int]] = {}
    context = ""
    ends = [0, *sorted(cuts), len(LANE)]
    for first, end in zip(ends, ends[1:], strict=False):
        decoder = Decoder("live-numbered", {"numbered": Venue()}, BOUNDS, context)
        told = decoder.decode(LANE[first:end], START, Position(0, 9))
        assert told.batch.quarantine == []
        for key, columns in told.trades.items():
            found.setdefault(key.symbol, []).extend(columns.trade_id.tolist())
        context = decoder.context()
    assert {symbol: sorted(ids) for symbol, ids in found.items()} == WHOLE


def test_a_new_connection_knows_nothing_of_the_one_before() -> None:
    """The number of a connection may be given again: what a channel was called then counts no more."""
    decoder = Decoder("live-numbered", {"numbered": Venue()}, BOUNDS)
    decoder.decode(LANE[:3], START, Position(0, 3))
    again = [connected(1, 10), record(Kind.FRAMES, 11, traded(7, 9))]
    told = decoder.decode(again, START, Position(0, 12))
    assert [kept.kind for kept in told.batch.quarantine] == ["channel"]


@pytest.mark.parametrize("cut", [2, 3])
def test_a_stray_trade_is_found_again_among_frames_that_depend_on_others(cut: int) -> None:
    """One id contradicts its time: the very frame is kept apart, although its channel was named in another batch."""
    stray = traded(7, 1 << 50, NOW - 10**15)
    lane = [
        connected(1, 0),
        record(Kind.FRAMES, 1, named(7, "AAA")),
        record(Kind.FRAMES, 2, *(traded(7, number, NOW + number) for number in range(10, 20))),
        record(Kind.FRAMES, 3, named(7, "BBB"), named(7, "AAA"), traded(7, 20, NOW + 20), stray),
        record(Kind.FRAMES, 4, named(7, "BBB"), traded(7, 5)),
    ]
    first = Decoder("live-numbered", {"numbered": Venue()}, BOUNDS)
    first.decode(lane[:cut], START, Position(0, cut))
    told = Decoder("live-numbered", {"numbered": Venue()}, BOUNDS, first.context())
    kept = told.decode(lane[cut:], START, Position(0, 9)).batch.quarantine
    assert [(item.symbol, item.trade_id, item.raw) for item in kept] == [("A-USD", 1 << 50, stray)]
