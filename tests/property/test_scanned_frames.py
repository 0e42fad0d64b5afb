"""Trades read many at a time are the trades read one by one, whatever the bytes."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from tests.bench.feed import payloads, symbols
from trading_platform.domain.days import day_start
from trading_platform.domain.position import START, Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control
from trading_platform.store.log.segment_format import TABLE_AT
from trading_platform.store.log.writer import Kind, PackedRecord
from trading_platform.venues import VENUES

NOW = day_start("2024-08-08") + 3600 * 10**9
NAMES = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT", "1000SATSUSDT": "1000SATS-USDT", "btcusdt2": "BTC-USDT2"}
NAMES |= {"币安人生USDT": "币安人生-USDT", "ÉUSDT": "É-USDT", "ıUSDT": "ı-USDT", "İUSDT": "İ-USDT", "ẞUSDT": "ẞ-USDT"}
BOUNDS = Bounds.of("2020-01-01")

digits = st.text("0123456789", min_size=1, max_size=20)
literals = st.one_of(
    st.builds(lambda a, b: f"{a}.{b}", digits, digits),
    digits,
    st.sampled_from("0.00000000 0 61837.63000000 0.00001 1e5 1E-3 .5 5. -1 nan 1_0 00.10 123456789012345678.1".split()),
    st.decimals(0, 10**9, places=8).map(str),
)
integers = st.one_of(
    st.integers(0, 10**19), st.sampled_from([NOW // 10**6, NOW // 10**3, 0, -1, 1 << 63, (1 << 63) - 1, 10**18])
)
times = st.one_of(st.integers(NOW // 10**6 - 10**9, NOW // 10**6 + 10**12), st.just(NOW // 10**3), integers)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return a trade frame, usual in most ways."""
    name = draw(st.sampled_from([*NAMES, "XRPUSDT", ""]))
    stream = draw(st.sampled_from([name.lower()] * 8 + ["ethusdt", name, "x"]))
    usual = draw(st.integers(0, 3)) > 0
    price, size = (draw(st.just("61837.63000000") if usual else literals) for _ in range(2))
    ms = NOW // 10**6 if usual else draw(times)
    data: dict[str, Any] = {
        "e": "trade", "E": ms if usual else draw(integers), "s": name, "t": draw(integers), "p": price, "q": size,
        "T": ms, "m": draw(st.booleans()), "M": draw(st.booleans()),
    }  # fmt: skip
    if draw(st.integers(0, 9)) == 0:
        data["X"] = draw(st.sampled_from(["MARKET", "NA"]))
    if draw(st.integers(0, 9)) == 0:
        del data[draw(st.sampled_from(sorted(data)))]
    plain = {"stream": f"{stream}@trade", "data": data} if draw(st.integers(0, 9)) else data
    separators = draw(st.sampled_from([(",", ":")] * 9 + [(", ", ": ")]))
    return json.dumps(plain, separators=separators, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a frame with a byte changed, put in, taken out, or its end cut off."""
    frame = bytearray(draw(frames()))
    at = draw(st.integers(0, len(frame) - 1))
    match draw(st.sampled_from(["as it is", "change", "insert", "delete", "cut", "other"])):
        case "change":
            frame[at] = draw(st.sampled_from(list(b'0123456789"{}:,.eEtTfalsetrue@-+ \x00\xff')))
        case "insert":
            frame.insert(at, draw(st.integers(0, 255)))
        case "delete":
            del frame[at]
        case "cut":
            del frame[at:]
        case "other":
            return draw(st.sampled_from([b"", b"{}", b"[]", b'{"result":null,"id":1}', b"\xff\xfe", b"[" * 3000]))
    return bytes(frame)


def packed(items: list[bytes], *, at: int, connection: int = 1, kind: Kind = Kind.FRAMES) -> PackedRecord:
    """Return the record that holds these frames."""
    table = struct.pack(f"<{len(items)}I", *map(len, items))
    body = bytes(TABLE_AT) + table + b"".join(items)
    return PackedRecord(Position(0, at), Position(0, at + 1), kind, connection, NOW + at, at, len(items), body)


CONNECTED = packed([control.encode_control(control.Connected("binance", 1, NAMES))], at=0, kind=Kind.CONTROL)
GONE = packed([control.encode_control(control.Disconnected(1, "x"))], at=3, kind=Kind.CONTROL)


def decoded(records: list[PackedRecord], *, scan_after: int) -> Decoded:
    """Decode with a fresh decoder."""
    decoder = Decoder("live-binance", VENUES, BOUNDS, scan_after=scan_after)
    return decoder.decode(records, START, Position(0, 1000))


def plain(result: Decoded) -> dict[str, Any]:
    """Return everything that decoding told as values that compare."""
    batch = result.batch
    seen = {
        key: {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(s).items()}
        for key, s in batch.seen.items()
    }
    trades = {
        key: [column if column is None else (column.dtype.str, column.tobytes()) for column in columns]
        for key, columns in result.trades.items()
    }
    return {"seen": seen, "trades": trades, "quarantine": batch.quarantine, "bans": batch.bans}


@settings(deadline=None)
@given(st.lists(st.lists(mutated(), max_size=12), max_size=3))
def test_many_at_a_time_is_one_by_one(batches: list[list[bytes]]) -> None:
    """The same columns bit by bit, the same account, the same quarantine, for lawful, odd and broken frames."""
    records = [CONNECTED, *(packed(items, at=1 + at) for at, items in enumerate(batches)), GONE]
    assert plain(decoded(records, scan_after=0)) == plain(decoded(records, scan_after=1 << 60))


@settings(deadline=None)
@given(literals, literals)
@example("9999999.99999999", "999999999999999")
@example("10000000.00000001", "9999999999999999")
@example("999999999999999000", "0.0000000999999999999999")
@example("0.0000000000000000000001", "0.00000000000000000000001")
@example("0000000000000000000999.5", "00000000000000000000999.5")
def test_numbers_are_the_nearest(price: str, quantity: str) -> None:
    """What is scanned equals Python's float of the literal, to the last bit."""
    frame = (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"%b","q":"%b","T":%d,"m":true,"M":true}}'
        % (price.encode(), quantity.encode(), NOW // 10**6)
    )
    for columns in decoded([CONNECTED, packed([frame], at=1)], scan_after=0).trades.values():
        assert columns.price.tolist() == [float(price)]
        assert columns.quantity.tolist() == [float(quantity)]


def test_the_usual_frames_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames as the venue sends them never reach the venue's own decoder; one that differs does."""
    slow: list[bytes] = []
    decode_frame = type(VENUES["binance"]).decode_frame
    monkeypatch.setattr(
        type(VENUES["binance"]),
        "decode_frame",
        lambda self, frame, names: slow.append(frame) or decode_frame(self, frame, names),
    )
    names = symbols(50) | {"币安人生USDT": "币安人生-USDT"}
    usual = list(payloads(5000, list(names)))
    odd = usual[7].replace(b'"M":true', b'"M": true')
    connected = packed([control.encode_control(control.Connected("binance", 1, names))], at=0, kind=Kind.CONTROL)
    result = decoded([connected, packed([*usual[:100], odd, *usual[100:]], at=1)], scan_after=0)
    assert slow == [odd]
    assert sum(len(columns.trade_id) for columns in result.trades.values()) == 5001


def test_a_quiet_market_is_read_one_by_one() -> None:
    """The kernels are loaded only once enough frames have come."""
    decoder = Decoder("live-binance", VENUES, BOUNDS, scan_after=3)
    names = symbols(1)
    usual = list(payloads(9, list(names)))
    connected = packed([control.encode_control(control.Connected("binance", 1, names))], at=0, kind=Kind.CONTROL)
    decoder.decode([connected, packed(usual[:2], at=1)], START, Position(0, 9))
    assert decoder._readers.scanner("binance") is None
    decoder.decode([packed(usual[2:4], at=2)], START, Position(0, 9))
    assert decoder._readers.scanner("binance") is not None
