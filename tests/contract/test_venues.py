"""What every venue adapter owes: captured frames decode as an obvious reader reads them, broken bytes raise FrameError.

A venue inherits these tests by being listed in VENUES; it brings one entry in CAPTURES and a twin that reads frames.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.trade import Trade
from trading_platform.venues import VENUES
from trading_platform.venues.adapter import VenueAdapter

Shared = Callable[[str], Path]


class Captures(NamedTuple):
    """Where a venue's captured bytes lie, an obvious reader of its frames, and examples for damaging."""

    frames: tuple[str, ...]
    symbols: dict[str, str]
    twin: Callable[[bytes], Trade | None]
    samples: tuple[bytes, ...]
    pages: tuple[bytes, ...]


def _binance_twin(frame: bytes) -> Trade | None:
    told = json.loads(frame, parse_float=str)
    event = told.get("data", told)
    if event.get("e") != "trade":
        return None
    void = None
    if event.get("X", "MARKET") != "MARKET":
        void = f"type {event['X']}"
    elif float(event["p"]) == 0:
        void = "price 0"
    side = "sell" if event["m"] else "buy"
    return Trade("BTC-USDT", event["t"], event["T"] * 1_000_000, event["p"], event["q"], side, void)


_COMBINED = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
_RAW = (
    b'{"e":"trade","E":1723161255343,"T":1723161255342,"s":"BTCUSDT","t":5266583935,"p":"61800.30",'
    b'"q":"0.006","X":"MARKET","m":false}'
)
_PAGE = (
    b'[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,'
    b'"isBuyerMaker":true,"isBestMatch":true}]'
)
_AGGREGATES = b'[{"a":2,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}]'

CAPTURES = {
    "binance": Captures(
        frames=(
            "trades/hftbacktest/spot/btcusdt_20240808.gz",
            "trades/hftbacktest/spot/btcusdt_20240809.gz",
            "trades/hftbacktest/usdm/btcusdt_20240808.gz",
        ),
        symbols={"BTCUSDT": "BTC-USDT"},
        twin=_binance_twin,
        samples=(_COMBINED, _RAW, b'{"result":null,"id":1}'),
        pages=(_PAGE, _AGGREGATES),
    ),
}

each_venue = pytest.mark.parametrize("name", VENUES)


def _frames(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield line.partition(b" ")[2].rstrip()


def _decode(venue: VenueAdapter, frame: bytes, symbols: dict[str, str]) -> list[Trade] | FrameError:
    """Return what decoding gives; anything but trades or a FrameError fails the test by being raised."""
    try:
        return venue.decode_frame(frame, symbols)
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
    """The table of venues and the table of captured bytes name the same exchanges."""
    assert set(CAPTURES) == set(VENUES)


@each_venue
def test_the_adapter_keeps_the_protocol(name):
    """Every listed adapter has everything the protocol asks for, under the name it is listed by."""
    assert isinstance(VENUES[name], VenueAdapter)
    assert VENUES[name].name == name


@each_venue
def test_captured_frames_decode_as_a_twin_reads_them(name, shared_data):
    """Each captured frame gives exactly the trade that plain json finds in it, and none where it finds none."""
    venue, captures = VENUES[name], CAPTURES[name]
    found = 0
    for file in captures.frames:
        for frame in _frames(shared_data(file)):
            expected = captures.twin(frame)
            assert venue.decode_frame(frame, captures.symbols) == ([] if expected is None else [expected])
            found += expected is not None
    assert found > 10_000


@each_venue
def test_captured_trades_of_others_are_none_of_ours(name, shared_data):
    """A frame whose symbol was not asked for holds no trade."""
    frames = [f for f in _frames(shared_data(CAPTURES[name].frames[0])) if b"trade" in f][:500]
    assert all(VENUES[name].decode_frame(frame, {"ETHUSDT": "ETH-USDT"}) == [] for frame in frames)


@each_venue
@given(data=st.binary(max_size=300))
def test_random_bytes_never_raise_anything_but_frame_error(name, data):
    """Whatever arrives, decoding returns sound trades or raises FrameError with a kind."""
    venue, captures = VENUES[name], CAPTURES[name]
    told = _decode(venue, data, captures.symbols)
    assert isinstance(told, FrameError) or told == []
    for read in (lambda: venue.history.read(data, "BTC-USDT"), lambda: venue.decode_instruments(data)):
        try:
            read()
        except FrameError as error:
            assert error.kind


@each_venue
@settings(max_examples=400)
@given(data=st.data())
def test_damaged_frames_never_raise_anything_but_frame_error(name, data):
    """Cut, overwrite or insert bytes anywhere in a real frame or page: sound trades or FrameError, nothing else."""
    venue, captures = VENUES[name], CAPTURES[name]
    whole = data.draw(st.sampled_from(captures.samples + captures.pages))
    at = data.draw(st.integers(0, len(whole)))
    junk = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"null", b"-1", b"1e3", b'"', b"[" * 3000, b"NaN"]))
    )
    damaged = whole[:at] + junk + whole[at + data.draw(st.integers(0, 12)) :]
    told = _decode(venue, damaged, captures.symbols)
    for trade in told if isinstance(told, list) else []:
        _check_sound(trade, captures.symbols)
    try:
        for trade in venue.history.read(damaged, "BTC-USDT").trades:
            _check_sound(trade, captures.symbols)
    except FrameError as error:
        assert error.kind


@each_venue
def test_every_truncation_of_a_frame_is_refused(name):
    """A frame or page that ends early is never taken for a whole one."""
    venue, captures = VENUES[name], CAPTURES[name]
    for whole in captures.samples:
        for end in range(len(whole)):
            with pytest.raises(FrameError):
                venue.decode_frame(whole[:end], captures.symbols)
    for whole in captures.pages:
        assert venue.history.read(whole, "BTC-USDT").trades
        for end in range(len(whole)):
            with pytest.raises(FrameError):
                venue.history.read(whole[:end], "BTC-USDT")


@each_venue
@given(number=st.integers(0, (1 << 63) - 1))
def test_ids_are_exact(name, number):
    """An id up to 2^63 - 1 comes out as the integer that went in."""
    captures = CAPTURES[name]
    frame = captures.samples[0].replace(b"3735683259", str(number).encode())
    (trade,) = VENUES[name].decode_frame(frame, captures.symbols)
    assert trade.trade_id == number


@each_venue
@pytest.mark.parametrize("text", ["../../x", "btc-usdt", "BTCUSDT", "", "BTC-USDT-PERP-X"])
def test_only_a_canonical_symbol_has_a_venue_spelling(name, text):
    """A text that is no symbol never becomes part of an address."""
    with pytest.raises(SymbolError):
        VENUES[name].venue_symbol(text)
