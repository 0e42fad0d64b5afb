"""What every venue adapter owes: captured frames decode as an obvious reader reads them, broken bytes raise FrameError.

A venue inherits these tests by being listed in VENUES; it brings a folder in tests/data/frames with excerpts of what it
sent and what is in it (tests/support/builders/frame_excerpts.py).
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues import VENUES
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.answers import Answer
from trading_platform.venues.limits import limit_of

FRAMES = Path(__file__).parents[1] / "data" / "frames"


class Captures(NamedTuple):
    """A venue's excerpts, each with the trades that are in it, and the names of its symbols."""

    symbols: dict[str, str]
    frames: list[tuple[bytes, list[Trade]]]
    pages: list[tuple[bytes, list[Trade]]]

    @property
    def symbol(self) -> str:
        """The symbol of the pages."""
        return next(iter(self.symbols.values()))


@cache
def captures_of(name: str) -> Captures:
    """Read a venue's folder."""
    folder = FRAMES / name
    return Captures(
        json.loads((folder / "symbols.json").read_text()),
        list(_excerpts(folder / "frames.jsonl", folder / "expected.jsonl")),
        list(_excerpts(folder / "pages.jsonl", folder / "expected_pages.jsonl")),
    )


def _excerpts(given_in: Path, expected_in: Path):
    lines, expected = given_in.read_text().splitlines(), expected_in.read_text().splitlines()
    for line, rows in zip(lines, expected, strict=True):
        yield json.loads(line)["text"].encode(), [Trade(*row) for row in json.loads(rows)]


each_venue = pytest.mark.parametrize("name", VENUES)


def _decode(venue: VenueAdapter, frame: bytes, symbols: dict[str, str]) -> list[Trade] | FrameError:
    """Return what decoding gives; anything but trades or a FrameError fails the test by being raised."""
    try:
        return venue.decoder(symbols).decode(frame)
    except FrameError as error:
        return error


def _check_sound(trade: Trade, symbols: dict[str, str]) -> None:
    assert trade.symbol in symbols.values()
    assert trade.trade_id is None or 0 <= trade.trade_id < 1 << 63
    assert type(trade.ts_event) is int
    assert 1_451_606_400 * 10**9 <= trade.ts_event < 4_102_444_800 * 10**9
    for text in (trade.price, trade.quantity):
        assert math.isfinite(float(text))
        assert float(text) >= 0
    assert trade.side in {"buy", "sell", None}


def test_every_venue_has_its_captures():
    """The table of venues and the folder of captured bytes name the same exchanges."""
    assert {folder.name for folder in FRAMES.iterdir()} == set(VENUES)


@each_venue
def test_the_adapter_keeps_the_protocol(name):
    """Every listed adapter has everything the protocol asks for, under the name it is listed by."""
    assert isinstance(VENUES[name], VenueAdapter)
    assert VENUES[name].name == name


@each_venue
def test_captured_frames_decode_as_a_twin_reads_them(name):
    """Each captured frame gives exactly the trades that plain json finds in it, and none where it finds none."""
    venue, captures = VENUES[name], captures_of(name)
    for frame, trades in captures.frames:
        assert venue.decoder(captures.symbols).decode(frame) == trades
    assert any(trades for _, trades in captures.frames)
    assert any(not trades for _, trades in captures.frames)


@each_venue
def test_captured_pages_decode_as_a_twin_reads_them(name):
    """Each captured page gives exactly its rows, and the bytes of each."""
    venue, captures = VENUES[name], captures_of(name)
    for page, trades in captures.pages:
        found = venue.history.read(page, captures.symbol)
        assert (found.trades, found.refused) == (trades, [])
        assert all(row in page for row in venue.history.raw_rows(page).values())


@each_venue
def test_captured_trades_of_others_are_none_of_ours(name):
    """A frame whose symbol was not asked for holds no trade."""
    assert all(
        VENUES[name].decoder({"OTHERS": "OTHERS-USD"}).decode(frame) == [] for frame, _ in captures_of(name).frames
    )


@each_venue
def test_what_a_frame_is_agrees_with_what_is_in_it(name):
    """A frame with trades is one of trades, to the glance at its ids too; no other frame is, or has any."""
    venue, captures = VENUES[name], captures_of(name)
    for frame, trades in captures.frames:
        kind, told = venue.classify(frame).kind, venue.peek(frame)
        assert (kind == "trades") == bool(trades)
        assert [captures.symbols[symbol] for symbol, _ in told] == [trade.symbol for trade in trades]
        if prove_completeness(venue.sequencing):
            assert [trade_id for _, trade_id in told] == [trade.trade_id for trade in trades]
        if kind in {"ack", "nack", "farewell"}:
            assert len(frame) <= venue.notice_bytes
            assert any(mark in frame for mark in venue.notices)
        if trades:
            assert not any(mark in frame for mark in venue.notices)


@each_venue
def test_what_is_said_names_each_symbol_once(name):
    """Whatever number of symbols a connection may carry: every one is asked for, by the address or by one message."""
    venue = VENUES[name]
    names = [
        venue.venue_symbol(f"A{number}-USD") for number in range(int(min(limit_of(venue.limits, "streams").most, 300)))
    ]
    plan = venue.connect("wss://venue.example:1", names)
    assert plan.url.startswith("wss://venue.example:1/")
    if plan.say:
        assert [symbol for message in plan.say for symbol in message.symbols] == names
        for message in plan.say:
            json.loads(message.message)
            spelled = [symbol.removeprefix(f"{venue.stream_of(symbol)}/") for symbol in message.symbols]
            assert all(name.encode() in message.message for name in spelled)


@each_venue
@given(data=st.binary(max_size=300))
def test_random_bytes_never_raise_anything_but_frame_error(name, data):
    """Whatever arrives, decoding returns sound trades or raises FrameError with a kind."""
    venue, captures = VENUES[name], captures_of(name)
    told = _decode(venue, data, captures.symbols)
    assert isinstance(told, FrameError) or told == []
    for read in (
        lambda: venue.history.read(data, captures.symbol),
        lambda: venue.history.raw_rows(data),
        lambda: venue.decode_instruments(data),
        lambda: venue.classify(data),
        lambda: venue.peek(data),
        lambda: venue.judge(Answer(200, body=data)),
    ):
        try:
            read()
        except FrameError as error:
            assert error.kind


@each_venue
@settings(max_examples=400)
@given(data=st.data())
def test_damaged_frames_never_raise_anything_but_frame_error(name, data):
    """Cut, overwrite or insert bytes anywhere in a real frame or page: sound trades or FrameError, nothing else."""
    venue, captures = VENUES[name], captures_of(name)
    whole = data.draw(st.sampled_from([text for text, _ in captures.frames + captures.pages]))
    at = data.draw(st.integers(0, len(whole)))
    junk = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"null", b"-1", b"1e3", b'"', b"[" * 3000, b"NaN"]))
    )
    damaged = whole[:at] + junk + whole[at + data.draw(st.integers(0, 12)) :]
    told = _decode(venue, damaged, captures.symbols)
    for trade in told if isinstance(told, list) else []:
        _check_sound(trade, captures.symbols)
    try:
        for trade in venue.history.read(damaged, captures.symbol).trades:
            _check_sound(trade, captures.symbols)
    except FrameError as error:
        assert error.kind


@each_venue
def test_every_truncation_of_a_frame_is_refused(name):
    """A frame or page that ends early is never taken for a whole one."""
    venue, captures = VENUES[name], captures_of(name)
    for whole, _ in captures.frames:
        for end in range(len(whole)):
            with pytest.raises(FrameError):
                venue.decoder(captures.symbols).decode(whole[:end])
    for whole, _ in captures.pages:
        for end in range(len(whole)):
            with pytest.raises(FrameError):
                venue.history.read(whole[:end], captures.symbol)


@each_venue
@given(number=st.integers(0, (1 << 63) - 1))
def test_ids_are_exact(name, number):
    """An id up to 2^63 - 1 comes out as the integer that went in, a text id as the text."""
    captures = captures_of(name)
    frame, (held,) = next((frame, trades) for frame, trades in captures.frames if len(trades) == 1)
    before = held.trade_id if held.trade_id is not None else held.trade_uid
    frame = frame.replace(str(before).encode(), str(number).encode())
    (trade,) = VENUES[name].decoder(captures.symbols).decode(frame)
    assert trade == (held._replace(trade_id=number) if held.trade_uid is None else held._replace(trade_uid=str(number)))


@each_venue
@pytest.mark.parametrize("text", ["../../x", "btc-usdt", "BTCUSDT", "", "BTC-USDT-PERP-X"])
def test_only_a_canonical_symbol_has_a_venue_spelling(name, text):
    """A text that is no symbol never becomes part of an address."""
    with pytest.raises(SymbolError):
        VENUES[name].venue_symbol(text)
