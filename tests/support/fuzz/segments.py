"""Fuzz open and sealed segments and marks with wrong bytes, and with false records that have a valid checksum."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tests.support.builders.log_lanes import append_numbered, open_lane, read_all
from tests.support.faults.lossy_disk import MemoryDisk, Node
from tests.support.fuzz.frames import BOUNDS, CONNECTED, SYMBOLS
from tests.support.fuzz.harness import Growth, Mutator, add, cpu_s
from trading_platform.domain.errors import CorruptionError, PlatformError
from trading_platform.domain.position import START, Position
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control, sealed_segment, segment_format
from trading_platform.store.log.segment_files import MARK_NAME, sealed_path, segment_numbers, segment_path
from trading_platform.store.log.segment_format import RECORDS_AT, Header, PackedRecord, Record, parse_header
from trading_platform.store.log.writer import recover_lane
from trading_platform.venues import VENUES

LANE = Path("/lane")
BATCH = 2000
WHOLE_LANES = 400
"""One of so many inputs is read as part of a whole lane."""
ODD = (0, 1, 2, 15, 255, 1023, 1024, 65_535, 1 << 24, (1 << 31) - 1)
NUMBERS = (
    *(struct.pack(form, value) for value in ODD for form in ("<I", "<q")),
    *(b"\xff" * 4, b"\xff" * 8, b"\xa5TPR", b"\x28\xb5\x2f\xfd", b"\x5a\x2a\x4d\x18"),
)
"""What a number in a record's head may become; and where records, compressed frames and skipped ones begin."""


class Originals:
    """A lane of a few segments, one of them sealed too, and every record that it truly holds."""

    def __init__(self) -> None:
        disk = MemoryDisk()
        writer = open_lane(LANE, disk=disk, segment_bytes=2048)
        for number in range(60):
            append_numbered(writer, [number])
            if number % 2:
                writer.commit()
        writer.close()
        self.files = {path: bytes(node.live) for path, node in disk.names.items()}
        self.records = read_all(LANE, disk=disk)
        self.numbers = segment_numbers(LANE, disk)[:3]
        self.data = {number: self.files[segment_path(LANE, number)].rstrip(b"\0") for number in self.numbers}
        headers = {number: parse_header(data[:RECORDS_AT], number) for number, data in self.data.items()}
        self.headers: dict[int, Header] = {number: header for number, header in headers.items() if header is not None}
        self.packed = {number: set(self.decode(number, data[RECORDS_AT:])) for number, data in self.data.items()}
        index = sealed_segment.Index(0, 5, 7, [sealed_segment.Entry("binance", "BTC-USDT", 0, "2024-08-08", [(1, 9)])])
        self.index, self.sealed = index, sealed_segment.encode(self.data[0], index)

    def decode(self, number: int, body: bytes) -> list[PackedRecord]:
        """Return the records at the front of a segment's bytes."""
        found: list[PackedRecord] = []
        header, begin = self.headers[number], Position(number, RECORDS_AT)
        segment_format.decode_packed(body, RECORDS_AT, header, found, begin)
        return found

    def lane(self, path: Path, content: bytes, *, gone: Path | None = None) -> MemoryDisk:
        """Return a disk with the lane on it, one file of it different and one missing."""
        disk = MemoryDisk()
        disk.names = {name: Node(data, data) for name, data in self.files.items() if name != gone}
        disk.names[path] = Node(content, content)
        return disk


def fields(body: bytes) -> list[tuple[int, int]]:
    """Return where the numbers of record heads lie."""
    found, at = [], 0
    while (at := body.find(b"\xa5TPR", at)) >= 0:
        sizes = (0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (20, 28), (28, 36), (36, 40), (40, 44), (44, 48), (48, 52)
        found += [(at + first, at + end) for first, end in sizes]
        at += 4
    return found


def front(originals: Originals, number: int, body: bytes) -> dict[str, int]:
    """Read a segment's records from its front, and search it for any."""
    found = originals.decode(number, body)
    assert originals.packed[number].issuperset(found), "a record is served that was never written"
    seed, data = originals.headers[number].seed, bytes(RECORDS_AT) + body
    true = {(record.position.offset, record.end.offset): record.body for record in originals.packed[number]}
    for run in segment_format.runs(data, seed):
        assert true[run.start, run.end] == data[run.start + 8 : run.end]
    return {"open segments": 1, "records served": len(found)}


def sealed(originals: Originals, data: bytes) -> dict[str, int]:
    """Read a sealed segment: whole, or not at all."""
    try:
        parsed = sealed_segment.parse(data, 0)
    except CorruptionError:
        return {"sealed segments": 1}
    assert data == originals.sealed
    assert parsed.contents == originals.index
    return {"sealed segments": 1, "sealed intact": 1}


def whole_lane(originals: Originals, path: Path, content: bytes, *, gone: Path | None = None) -> dict[str, int]:
    """Read and reopen a lane with one file damaged: what comes is true and in order, and the lane can be written on."""
    told: list[object] = []
    served = read_all(LANE, disk=originals.lane(path, content, gone=gone), on_damage=told.append)
    check_true(originals, served)
    assert told or served == originals.records or path.name == MARK_NAME, "records are gone, and nobody was told"
    disk = originals.lane(path, content, gone=gone)
    try:
        recover_lane(LANE, disk=disk)
        with open_lane(LANE, disk=disk, segment_bytes=2048, seed=9) as writer:
            append_numbered(writer, [500])
            writer.commit()
    except PlatformError as error:
        assert str(error)
        return {"whole lanes": 1, "lanes refused": 1}
    again = read_all(LANE, disk=disk, on_damage=told.append)
    assert again[-1].ts_recv == 500
    check_true(originals, again[:-1])
    return {"whole lanes": 1}


def check_true(originals: Originals, served: list[Record]) -> None:
    """What is served was written, and comes in the order in which it was."""
    places = [originals.records.index(record) for record in served]
    assert places == sorted(set(places))


def liar(originals: Originals, number: int, body: bytes) -> dict[str, int]:
    """Give the first record of some bytes the checksum it should have: whatever it says, decoding ends in order."""
    header = originals.headers[number]
    length = min(len(body), int.from_bytes(body[8:12], "little") or len(body))
    if length < 52:
        return {"liars": 1}
    crc = segment_format._extend(header.seed, body[8:length])
    body = b"\xa5TPR" + crc.to_bytes(4, "little") + body[8:length]
    found = originals.decode(number, body)
    assert len(found) <= 1
    for scan_after in (0, 1 << 60):
        decoder = Decoder("live-binance", VENUES, BOUNDS, scan_after=scan_after)
        try:
            result = decoder.decode([CONNECTED, *found], START, Position(0, 1))
        except PlatformError as error:  # a venue that this program does not know
            assert str(error)
        else:
            assert all(item.kind for item in result.batch.quarantine)
    return {"liars": 1, "liars believed": len(found)}


def lies() -> list[bytes]:
    """Return records of frames, control and pages, as the beginning of a segment's records."""
    frame = (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":5,"p":"61837.63",'
        b'"q":"0.02","T":1723161255342,"m":true,"M":true}}'
    )
    page = control.encode_page(control.PageHeader("binance", "trades", "BTC-USDT", 7))
    bodies = [
        (1, [frame, frame.replace(b'"t":5', b'"t":6')]),
        (1, [frame]),
        (2, [control.encode_control(control.Connected("binance", 2, SYMBOLS))]),
        (3, [page, b"[]"]),
    ]
    made = []
    for kind, frames in bodies:
        lengths = [len(item) for item in frames]
        where = {"seed": 0, "offset": RECORDS_AT, "durable_to": 0, "ts_recv": 1_723_161_300_000_000_000, "mono_ns": 1}
        made.append(segment_format.encode_record(frames, lengths, kind, connection=1, **where))
    return made


class Fuzzer:
    """Makes wrong bytes of every kind and reads them."""

    def __init__(self, seed: int) -> None:
        self.originals = mine = Originals()
        bodies = {number: data[RECORDS_AT:] for number, data in mine.data.items()}
        self.segments = {n: Mutator([body], fields, seed + n, NUMBERS) for n, body in bodies.items()}
        self.seals = Mutator([mine.sealed], _sizes, seed + 10, NUMBERS)
        self.lies = Mutator(lies(), fields, seed + 11, NUMBERS)
        self.files = {
            path: Mutator([content.rstrip(b"\0")], fields, seed + 20 + number, NUMBERS)
            for number, (path, content) in enumerate(sorted(mine.files.items()))
            if path.suffix == ".seg" or path.name == MARK_NAME
        }

    def batch(self, turn: int, size: int) -> dict[str, int]:
        """Read one batch: open segments twice as often as sealed ones and liars, whole lanes besides."""
        total: dict[str, int] = {}
        mine, number = self.originals, self.originals.numbers[turn % len(self.originals.numbers)]
        if turn % 4 < 2:
            for body in self.segments[number].make(size):
                add(total, front(mine, number, body))
        elif turn % 4 == 2:
            for data in self.seals.make(size):
                add(total, sealed(mine, data))
        else:
            for body in self.lies.make(size):
                add(total, liar(mine, number, body))
        path = list(self.files)[turn % len(self.files)]
        for content in self.files[path].make(size // WHOLE_LANES):
            add(total, whole_lane(mine, path, content))
        for content in self.seals.make(size // WHOLE_LANES):
            add(total, whole_lane(mine, sealed_path(LANE, 0), content, gone=segment_path(LANE, 0)))
        return total


def _sizes(whole: bytes) -> list[tuple[int, int]]:
    """Return where a sealed segment tells its sizes: before the checksum at its end."""
    return [(len(whole) - 32 - 8 * n - 8, len(whole) - 32 - 8 * n) for n in range(3)]


def fuzz(count: int, seed: int) -> dict[str, Any]:
    """Read so many wrong inputs, and some more as part of whole lanes."""
    fuzzer = Fuzzer(seed)
    for turn in range(4):
        fuzzer.batch(turn, 100)
    growth, begun = Growth(), cpu_s()
    total: dict[str, Any] = {}
    for number in range(0, count, BATCH):
        add(total, fuzzer.batch(number // BATCH, min(BATCH, count - number)))
        growth.look()
    return total | {"most growth": growth.most, "cpu_s": cpu_s() - begun}
