"""Read the raw log the slow and obvious way, from its documented layout alone. Imports nothing of ours.

A second opinion on docs/log.md and on Binance's documents: segments by `struct`, frames by the standard library's
`json`, one trade after the other.
"""

from __future__ import annotations

import csv
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import pyarrow as pa

HEADER = struct.Struct("<8sII8sQq")
RECORD = struct.Struct("<4sIIIIqqIII")
FRAMES, CONTROL, PAGE = 1, 2, 3
SMALLEST_MS, SMALLEST_US, END_US = 1_451_606_400_000, 1_451_606_400_000_000, 4_102_444_800_000_000
YEAR_NS = 366 * 86_400 * 10**9


class Record(NamedTuple):
    """One record."""

    kind: int
    connection: int
    ts_recv: int
    frames: list[bytes]


class Copy(NamedTuple):
    """One copy of a trade; price and quantity are the venue's texts."""

    symbol: str
    trade_id: int
    ts_event: int
    ts_recv: int
    price: str
    quantity: str
    side: str
    source: str


class Told(NamedTuple):
    """What a log holds: copies of trades in the order of lanes, and ids that a record used up without a trade."""

    copies: list[Copy]
    voids: set[tuple[str, int]]
    refused: set[tuple[str, int]]
    facts: list[dict[str, Any]]


def read(log: Path) -> Told:
    """Decode every lane below `log`."""
    told = Told([], set(), set(), [])
    for lane in sorted(path for path in log.iterdir() if path.is_dir()):
        _read_lane(lane, told)
    return told


def records(lane: Path) -> Iterator[Record]:
    """Yield the records of one lane; a segment ends where the next one says it does."""
    plain = {int(path.name[:-4]): path.read_bytes() for path in lane.glob("*.seg")}
    sealed = {int(path.name[:-8]): _unsealed(path.read_bytes()) for path in lane.glob("*.seg.zst")}
    segments = sorted((sealed | plain).items())
    heads = {number: head for number, data in segments if (head := _header(data)) is not None}
    for number, data in segments:
        if number not in heads:
            continue  # space written ahead
        later = [other for other in heads if other > number]
        end = heads[min(later)][0] if later else len(data)
        yield from _records(data[:end], heads[number][1])


def _unsealed(data: bytes) -> bytes:
    assert hashlib.sha256(data[:-32]).digest() == data[-32:], "a sealed segment fails its checksum"
    compressed, size, _ = struct.unpack("<QQQ", data[-56:-32])
    return bytes(pa.decompress(data[:compressed], size, codec="zstd", asbytes=True))


def _header(data: bytes) -> tuple[int, int] | None:
    """Return (where the segment before ends, CRC) of whichever copy of the header is whole."""
    for at in (0, 512):
        plain = data[at : at + HEADER.size]
        if len(plain) == HEADER.size and plain[:8] == b"TPSEG\r\n\0":
            crc = google_crc32c.value(plain)
            if data[at + HEADER.size : at + HEADER.size + 4] == struct.pack("<I", crc):
                return HEADER.unpack(plain)[4], crc
    return None


def _records(data: bytes, seed: int) -> Iterator[Record]:
    at = 1024
    while at + RECORD.size <= len(data):
        magic, crc, length, offset, _, ts_recv, _, connection, kind, count = RECORD.unpack_from(data, at)
        body = data[at + 8 : at + length]
        if magic != b"\xa5TPR" or offset != at or google_crc32c.extend(seed, body) != crc:
            return
        lengths = struct.unpack_from(f"<{count}I", data, at + RECORD.size)
        place, frames = at + RECORD.size + 4 * count, []
        for size in lengths:
            frames.append(data[place : place + size])
            place += size
        yield Record(kind, connection, ts_recv, frames)
        at += length


def _read_lane(lane: Path, told: Told) -> None:
    carries: dict[int, dict[str, str]] = {}
    for record in records(lane):
        if record.kind == CONTROL:
            fact = json.loads(record.frames[0])
            told.facts.append(fact)
            if fact["type"] == "started":
                carries.clear()
            elif fact["type"] == "connected":
                carries[fact["connection"]] = fact["symbols"]
        elif record.kind == FRAMES:
            for frame in record.frames:
                _frame(frame, carries.get(record.connection, {}), record.ts_recv, told)
        else:
            page = json.loads(record.frames[0])
            if page["kind"] in {"trades", "head"}:
                _page(record.frames[1], page, record.ts_recv, told)
            elif page["kind"] == "archive":
                _piece(record.frames[1], page, record.ts_recv, told)


def _frame(frame: bytes, symbols: dict[str, str], ts_recv: int, told: Told) -> None:
    try:
        event = json.loads(frame)
    except ValueError:
        return
    event = event.get("data", event) if isinstance(event, dict) else {}
    if not isinstance(event, dict) or event.get("e") != "trade" or event.get("s") not in symbols:
        return
    fields = [event.get(name) for name in "tpqTm"]
    if [type(value) for value in fields] == [int, str, str, int, bool]:
        number, price, quantity, time, maker = fields
        kind = event.get("X", "MARKET")
        _take(symbols[event["s"]], number, price, quantity, time, maker, kind, ts_recv, "ws", told)


def _page(body: bytes, page: dict[str, Any], ts_recv: int, told: Told) -> None:
    try:
        rows = json.loads(body)
    except ValueError:
        return
    for row in rows if isinstance(rows, list) else []:
        if "id" in row:
            fields = (row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"])
        else:
            fields = (row["f"], row["p"], row["q"], row["T"], row["m"])
        number, price, quantity, time, maker = fields
        _take(page["symbol"], number, price, quantity, time, maker, "MARKET", ts_recv, page["source"], told)


def _piece(body: bytes, page: dict[str, Any], ts_recv: int, told: Told) -> None:
    """Take rows of a daily file: id, price, quantity, quote quantity, time, whether the buyer was the maker."""
    rows = bytes(pa.decompress(body, page["size"], codec="zstd", asbytes=True)).decode()
    for number, price, quantity, _, time, maker, _ in csv.reader(rows.splitlines()):
        _take(
            page["symbol"], int(number), price, quantity, int(time), maker == "True", "MARKET", ts_recv, "archive", told
        )


def _take(  # noqa: PLR0913  plain values instead of shared state
    symbol: str,
    number: int,
    price: str,
    quantity: str,
    time: int,
    maker: bool,
    kind: str,
    ts_recv: int,
    source: str,
    told: Told,
) -> None:
    if kind != "MARKET" or float(price) == 0:
        told.voids.add((symbol, number))
        return
    ts_event = time * (1_000_000 if time < SMALLEST_US else 1000)
    if not SMALLEST_MS <= time < END_US or ts_event > ts_recv + YEAR_NS or float(quantity) <= 0:
        told.refused.add((symbol, number))
        return
    side = "sell" if maker else "buy"
    told.copies.append(Copy(symbol, number, ts_event, ts_recv, price, quantity, side, source))
