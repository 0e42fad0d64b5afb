"""The bytes of a sealed segment: compressed, with an index of what it gave, under one checksum. Pure.

    NNNNNNNN.seg.zst   a zstd frame that holds the segment byte for byte, then one that zstd skips:
    skipped frame      magic, size; the index as JSON; sizes of compressed, segment and index; SHA-256 of all before

`zstd -dc` gives the segment back, offsets in it are those of before: positions stay valid. A byte changed anywhere
fails the checksum, and then nothing of the file is served.

Sealing a segment is sealing.py, deleting one store/retention.py; reading either form is open_segment.py.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import Range
from trading_platform.store.fs.disk import Disk
from trading_platform.store.log.segment_files import SealedFile, sealed_path

LEVEL = 3
_SKIPPED = 0x184D2A5A
_HEAD = struct.Struct("<II")
_SIZES = struct.Struct("<QQQ")
_SUM_BYTES = 32
_END = _SIZES.size + _SUM_BYTES


class Entry(msgspec.Struct, frozen=True):
    """The ids of one sequence's trades of one day, in any channel, that a segment holds."""

    venue: str
    symbol: str
    epoch: int
    day: str
    ranges: list[Range]


class Index(msgspec.Struct, frozen=True):
    """What a segment gave.

    Attributes
    ----------
    last_recv : receive time of its newest record, ns; 0 without records.
    entries : by venue, symbol, epoch and day.
    unknown : frames of a connection that was not known when this index was made; their trades are not in it.
    damaged : stretches (offsets) that could not be read.
    context_before, context_after : the decoder's memory where the segment begins and ends.
    """

    number: int
    records: int
    last_recv: int
    entries: list[Entry]
    unknown: int = 0
    damaged: list[tuple[int, int]] = []
    context_before: str = ""
    context_after: str = ""


class Sealed(NamedTuple):
    """A sealed segment that passed its checksum."""

    contents: Index
    compressed: bytes
    size: int

    def segment(self) -> bytes:
        """Return the segment's own bytes."""
        return bytes(pa.decompress(self.compressed, self.size, codec="zstd", asbytes=True))


def encode(segment: bytes, index: Index) -> bytes:
    """Return the sealed form; a function of its arguments.

    >>> sealed = parse(encode(b"abc" * 1000, Index(7, 1, 0, [])), 7)
    >>> sealed.segment() == b"abc" * 1000, sealed.contents.number, len(sealed.compressed) < 100
    (True, 7, True)
    """
    compressed: bytes = pa.Codec("zstd", compression_level=LEVEL).compress(segment, asbytes=True)
    text = msgspec.json.encode(index)
    sizes = _SIZES.pack(len(compressed), len(segment), len(text))
    body = compressed + _HEAD.pack(_SKIPPED, len(text) + _END) + text + sizes
    return body + hashlib.sha256(body).digest()


def parse(data: bytes, number: int) -> Sealed:
    """Take a sealed segment apart.

    Raises
    ------
    CorruptionError : if a byte of it is not as written, or it is another segment's.
    """
    body = data[:-_SUM_BYTES]
    if len(data) < _HEAD.size + _END or hashlib.sha256(body).digest() != data[-_SUM_BYTES:]:
        raise CorruptionError("the sealed segment fails its checksum")
    compressed_size, size, text_size = _SIZES.unpack_from(body, len(body) - _SIZES.size)
    text = body[compressed_size + _HEAD.size :][:text_size]
    index = msgspec.json.decode(text, type=Index)
    if index.number != number:
        raise CorruptionError(f"the sealed segment is that of number {index.number}")
    return Sealed(index, body[:compressed_size], size)


def read(directory: Path, number: int, disk: Disk) -> Sealed:
    """Read a lane's sealed segment and check it.

    Raises
    ------
    MissingFile : if it is not there.
    CorruptionError : if it is damaged.
    """
    file = disk.open(sealed_path(directory, number), "read")
    try:
        return parse(file.read(file.size(), 0), number)
    finally:
        file.close()


def unseal(directory: Path, number: int, disk: Disk) -> SealedFile:
    """Return a sealed segment as the file it was; errors as `read`."""
    return SealedFile(sealed_path(directory, number), read(directory, number, disk).segment())
