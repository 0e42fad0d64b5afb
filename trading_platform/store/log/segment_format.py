"""The bytes of a log segment: its header, its records, and how a damaged one is found out. Pure.

A segment is a header block and records back to back, then zeros. Little-endian throughout.

    block    the header twice, at 0 and 512, so that one bad sector does not take the segment; records from 1024
    header   magic, format, number, generation (8 random bytes), previous_end, created_ns, CRC32C
    record   magic, CRC32C, then what the CRC covers: length, offset, durable_to, ts_recv, mono_ns, connection,
             kind, count, `count` frame lengths (u32), the frames

The CRC is seeded with the header, so bytes of an earlier use of the same blocks never pass. `offset` is the
record's own place. `durable_to`: up to where this segment was known durable when the record was written; a bad
record below a later valid `durable_to` is corruption, above it a torn tail.

Files, locks and durability are store/log/segment_files.py, recovery.py and writer.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple

import google_crc32c

from trading_platform.domain.errors import UsageError
from trading_platform.domain.position import Position

FORMAT = 1
RECORDS_AT = 1024
"""Offset of a segment's first record."""
RECORD_BYTES_MAX = 16 << 20
"""A record claims no more than this; checked before its length is trusted."""

_HEADER_MAGIC = b"TPSEG\r\n\0"
_RECORD_MAGIC = b"\xa5TPR"
_HEADER = struct.Struct("<8sII8sQq")
_CRC = struct.Struct("<I")
_COPY_AT = 512
_HEAD = struct.Struct("<4sI")
_FIXED = struct.Struct("<IIIqqIII")
_SINGLE = struct.Struct("<IIIqqIIII")
_FRAMES_AT = _HEAD.size + _FIXED.size
TABLE_AT = _FIXED.size
"""Where the lengths of its frames lie in the body of a PackedRecord."""
_pack_fixed, _pack_single, _pack_head, _unpack_fixed = _FIXED.pack, _SINGLE.pack, _HEAD.pack, _FIXED.unpack_from
_extend = google_crc32c.extend


class Kind(IntEnum):
    """What a record's frames are."""

    FRAMES = 1
    """Raw frames of one receive, as the venue sent them."""
    CONTROL = 2
    """Our own account of what happened: connects, bans, probes, declarations."""
    PAGE = 3
    """Raw answers of a venue's REST service or archive."""


_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}


class Record(NamedTuple):
    """One record: what one receive brought.

    Attributes
    ----------
    position, end : where it lies; `end` is the position to go on from.
    connection : the writer's number of the connection it came by, 0 if none.
    ts_recv : receive time, ns since the epoch.
    mono_ns : the same instant on the monotonic clock.
    frames : whole messages, in the order of arrival.
    """

    position: Position
    end: Position
    kind: Kind
    connection: int
    ts_recv: int
    mono_ns: int
    frames: tuple[bytes, ...]


class PackedRecord(NamedTuple):
    """A record whose frames are not taken apart: `body` has the frame lengths (u32) at TABLE_AT, then the frames."""

    position: Position
    end: Position
    kind: Kind
    connection: int
    ts_recv: int
    mono_ns: int
    frame_count: int
    body: bytes

    @property
    def frames_at(self) -> int:
        """Where in `body` the first frame begins."""
        return TABLE_AT + 4 * self.frame_count

    def record(self) -> Record:
        r"""Take the frames apart.

        >>> body = bytes(TABLE_AT) + b"\2\0\0\0ab"
        >>> PackedRecord(Position(0, 0), Position(0, 9), Kind.FRAMES, 1, 2, 3, 1, body).record().frames
        (b'ab',)
        """
        return Record(
            self.position,
            self.end,
            self.kind,
            self.connection,
            self.ts_recv,
            self.mono_ns,
            _split(self.body, self.frame_count),
        )


class Damaged(NamedTuple):
    """A durable stretch of the log that cannot be served: [position, end)."""

    position: Position
    end: Position
    reason: str


class Header(NamedTuple):
    """The identity of one segment.

    Attributes
    ----------
    previous_end : where the records of the segment before it end; durable before this header was written.
    seed : what the CRC of each record starts from.
    """

    number: int
    generation: bytes
    previous_end: int
    created_ns: int

    @property
    def _plain(self) -> bytes:
        return _HEADER.pack(_HEADER_MAGIC, FORMAT, self.number, self.generation, self.previous_end, self.created_ns)

    @property
    def encoded(self) -> bytes:
        """The header with its checksum."""
        return self._plain + _CRC.pack(self.seed)

    @property
    def block(self) -> bytes:
        """The first RECORDS_AT bytes of the segment."""
        return self.encoded.ljust(_COPY_AT, b"\0") * (RECORDS_AT // _COPY_AT)

    @property
    def seed(self) -> int:
        """What the CRC of each record starts from."""
        # The header's own CRC, not one over the header with its CRC: that one is the same for every header.
        return int(google_crc32c.value(self._plain))


def parse_header(block: bytes, number: int) -> Header | None:
    """Return the header in a segment's first bytes, None if neither copy is whole.

    Raises
    ------
    UsageError : if a later version of this program wrote it.
    """
    for at in range(0, RECORDS_AT, _COPY_AT):
        plain, check = block[at : at + _HEADER.size], block[at + _HEADER.size : at + _HEADER.size + _CRC.size]
        if len(check) < _CRC.size or _CRC.unpack(check)[0] != google_crc32c.value(plain):
            continue
        magic, form, own_number, generation, previous_end, created_ns = _HEADER.unpack(plain)
        if magic != _HEADER_MAGIC or own_number != number:
            continue
        if form != FORMAT:
            raise UsageError(f"segment {number} has log format {form}, this program reads {FORMAT}; use a newer one")
        return Header(number, generation, previous_end, created_ns)
    return None


def record_size(lengths: Sequence[int]) -> int:
    """Return how many bytes a record of frames of these lengths takes.

    >>> record_size([3, 2])
    61
    """
    return _FRAMES_AT + 4 * len(lengths) + sum(lengths)


def packed_size(parts: Sequence[bytes]) -> int:
    """Return the size of the record that `encode_packed` makes."""
    return _FRAMES_AT + sum(map(len, parts))


def encode_record(  # noqa: PLR0913  one argument a field of the record
    frames: Sequence[bytes],
    lengths: Sequence[int],
    kind: int,
    *,
    seed: int,
    offset: int,
    durable_to: int,
    ts_recv: int,
    mono_ns: int,
    connection: int,
) -> bytes:
    """Return one record's bytes, for that segment and that offset only."""
    count = len(lengths)
    if count == 1:  # the usual record of a quiet market: one call less, one copy less
        length = _FRAMES_AT + 4 + lengths[0]
        body = _pack_single(length, offset, durable_to, ts_recv, mono_ns, connection, kind, 1, lengths[0]) + frames[0]
    else:
        length = record_size(lengths)
        fixed = _pack_fixed(length, offset, durable_to, ts_recv, mono_ns, connection, kind, count)
        body = b"".join((fixed, struct.pack(f"<{count}I", *lengths), *frames))
    return _pack_head(_RECORD_MAGIC, _extend(seed, body)) + body


def encode_packed(  # noqa: PLR0913  one argument a field of the record
    parts: Sequence[bytes],
    count: int,
    kind: int,
    *,
    seed: int,
    offset: int,
    durable_to: int,
    ts_recv: int,
    mono_ns: int,
    connection: int,
) -> bytes:
    """Return one record's bytes; `parts` are the lengths of its `count` frames (u32) and then these, cut anywhere."""
    length = _FRAMES_AT + sum(map(len, parts))
    fixed = _pack_fixed(length, offset, durable_to, ts_recv, mono_ns, connection, kind, count)
    crc = _extend(seed, fixed)
    for part in parts:
        crc = _extend(crc, part)
    return b"".join((_pack_head(_RECORD_MAGIC, crc), fixed, *parts))


def _split(body: bytes, count: int) -> tuple[bytes, ...]:
    if count == 1:  # the usual record of a quiet market
        return (body[TABLE_AT + 4 :],)
    lengths = struct.unpack_from(f"<{count}I", body, TABLE_AT)
    ends = list(accumulate(lengths, initial=TABLE_AT + 4 * count))
    return tuple(map(body.__getitem__, map(slice, ends, ends[1:])))


class CheckedRecord(NamedTuple):
    """A record that passed its checks, not yet taken apart."""

    start: int
    end: int
    durable_to: int


def check_record(data: bytes, at: int, base: int, seed: int) -> CheckedRecord | int | str:  # noqa: PLR0911  one return a reason to refuse
    """Judge the record at `data[at]`, which lies at offset `base + at` of its segment.

    Returns
    -------
    A CheckedRecord; or, if it goes on beyond `data`, the number of bytes it needs in all (at most
    RECORD_BYTES_MAX); or the reason why these bytes are no record.
    """
    if len(data) - at < _FRAMES_AT:
        return _FRAMES_AT
    if data[at : at + 4] != _RECORD_MAGIC:
        return "no record begins here"
    length, offset, durable_to, _, _, _, kind, count = _unpack_fixed(data, at + 8)
    if not _FRAMES_AT + 4 * count <= length <= RECORD_BYTES_MAX:
        return f"a record claims {length} bytes and {count} frames"
    if offset != base + at or durable_to > offset or kind not in _KINDS:
        return "a record that belongs elsewhere"
    if len(data) - at < length:
        return int(length)
    if _extend(seed, data[at + 8 : at + length]) != _HEAD.unpack_from(data, at)[1]:
        return "a record fails its checksum"
    return CheckedRecord(base + at, base + at + length, durable_to)


def decode_records(
    data: bytes, base: int, header: Header, into: list[Record], position: Position
) -> tuple[Position, int | str]:
    """Append the whole records at the front of `data` to `into`, their frames taken apart; see `decode_packed`."""
    packed: list[PackedRecord] = []
    told = decode_packed(data, base, header, packed, position)
    into.extend(Record(*record[:6], _split(record[7], record[6])) for record in packed)
    return told


def decode_packed(
    data: bytes, base: int, header: Header, into: list[PackedRecord], position: Position
) -> tuple[Position, int | str]:
    """Append the whole records at the front of `data` to `into`.

    Returns
    -------
    The position after the last of them, and what comes next as `check` tells it (a number: more bytes needed).
    """
    number, seed = header.number, header.seed
    new_position, new_record = Position._make, PackedRecord._make
    at, size = 0, len(data)
    while size - at >= _FRAMES_AT:
        magic, crc = _HEAD.unpack_from(data, at)
        length, offset, durable_to, ts_recv, mono_ns, connection, kind, count = _unpack_fixed(data, at + 8)
        # Cheap checks first; whatever fails one of them is judged, and named, by `check`.
        if magic != _RECORD_MAGIC or not _FRAMES_AT + 4 * count <= length <= size - at or offset != base + at:
            break
        body = data[at + 8 : at + length]
        if _extend(seed, body) != crc or kind not in _KINDS or durable_to > offset or length > RECORD_BYTES_MAX:
            break
        at += length
        end = new_position((number, base + at))
        into.append(new_record((position, end, _KINDS[kind], connection, ts_recv, mono_ns, count, body)))
        position = end
    verdict = check_record(data, at, base, seed)
    return position, verdict if isinstance(verdict, int | str) else "a record fails its checksum"


def find_record(data: bytes, at: int, base: int, seed: int) -> CheckedRecord | None:
    """Return the first whole record that begins at `data[at]` or later, None if there is none."""
    while (at := data.find(_RECORD_MAGIC, at)) >= 0:
        found = check_record(data, at, base, seed)
        if isinstance(found, CheckedRecord):
            return found
        at += 1
    return None


def runs(data: bytes, seed: int) -> Iterator[CheckedRecord]:
    """Yield every whole record of a segment's bytes, whatever lies between them."""
    at = RECORDS_AT
    while at < len(data):
        verdict = check_record(data, at, 0, seed)
        found = verdict if isinstance(verdict, CheckedRecord) else find_record(data, at + 1, 0, seed)
        if found is None:
            return
        yield found
        at = found.end
