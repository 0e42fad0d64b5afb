"""Read a downloaded daily file in bounded memory: unpack it bit by bit, cut its rows into pieces for the log.

A file is hostile input. Sizes that it states are never trusted: what is unpacked is counted, a zip's directory is not
even read, and whatever is not exactly one packed file of text rows is refused in words. Downloading is
archive_client.py; what a row means is venues/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator

from trading_platform.domain.errors import FrameError
from trading_platform.venues.archive import ArchiveFile, DailyArchive

MOST_FILE_BYTES = 2 << 30
"""Of a file as it is downloaded; the busiest days of the busiest symbols have a tenth of it."""
MOST_ROWS_BYTES = 16 << 30
"""Of its rows."""
PIECE_BYTES = 4 << 20
"""Of the rows in a record of the log, before they are packed: about 55,000 trades."""
MOST_ROW_BYTES = 1024
_CHUNK_BYTES = 1 << 20

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_MAGIC, _DIRECTORY_MAGIC, _DESCRIPTOR_MAGIC = b"PK\3\4", b"PK\1\2", b"PK\7\10"
_ENCRYPTED, _DESCRIBED = 1, 8
_DEFLATED = 8
_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_BITS, _GZIP_BITS = -15, 31

Read = Callable[[int, int], bytes]
"""Returns up to so many bytes from an offset."""


def unpacked(read: Read, file: ArchiveFile) -> Iterator[bytes]:
    """Yield what a file holds, at most a mebibyte at a time.

    Raises
    ------
    FrameError : of kind ``archive`` if it is not one packed file, of the name expected; also after much was yielded.
    """
    yield from _unzipped(read, file.entry) if file.packing == "zip" else _gunzipped(read)


def pieces(chunks: Iterable[bytes], archive: DailyArchive, symbol: str) -> Iterator[bytes]:
    """Yield the rows of a file as pieces of whole rows, PIECE_BYTES at most.

    Raises
    ------
    FrameError : if it holds no rows, or its first lines are not what the venue says; also if it has no end.
    """
    held, total, begun = b"", 0, False
    for chunk in chunks:
        total += len(chunk)
        if total > MOST_ROWS_BYTES:
            raise FrameError("archive", f"it holds more than {MOST_ROWS_BYTES >> 30} GiB")
        held += chunk
        if len(held) <= PIECE_BYTES:
            continue
        if not begun:
            held, begun = _begun(held, archive, symbol), True
        while len(held) > PIECE_BYTES:
            cut = held.rfind(b"\n", PIECE_BYTES - MOST_ROW_BYTES, PIECE_BYTES) + 1
            if cut == 0:
                raise FrameError("archive", f"a row has more than {MOST_ROW_BYTES:,} bytes")
            yield held[:cut]
            held = held[cut:]
    held = held if begun else _begun(held, archive, symbol)
    if len(held) - held.rfind(b"\n") > MOST_ROW_BYTES + 1:
        raise FrameError("archive", f"a row has more than {MOST_ROW_BYTES:,} bytes")
    if held:
        yield held


def _begun(held: bytes, archive: DailyArchive, symbol: str) -> bytes:
    """Return the rows without the header; refuse a file whose first row is none."""
    if archive.headers:
        line, _, held = held.partition(b"\n")
        if line.removesuffix(b"\r") not in archive.headers:
            expected = archive.headers[0][:120]
            raise FrameError("archive", f"its columns are {line[:120]!r}, and {expected!r} were expected")
    first = held[: MOST_ROW_BYTES + 1].partition(b"\n")[0]
    if not first:
        raise FrameError("archive", "it holds no rows")
    try:
        archive.read_row(first, symbol)
    except FrameError as error:
        raise FrameError("archive", f"its first row is none: {error}") from error
    return held


def _unzipped(read: Read, entry: str) -> Iterator[bytes]:
    head = read(_LOCAL.size, 0)
    if len(head) < _LOCAL.size or head[:4] != _LOCAL_MAGIC:
        raise FrameError("archive", f"it is no zip: it begins with {head[:8]!r}")
    _, _, flags, method, _, _, stated, _, _, name_bytes, extra_bytes = _LOCAL.unpack(head)
    if flags & _ENCRYPTED:
        raise FrameError("archive", "it is encrypted")
    if method != _DEFLATED:
        raise FrameError("archive", f"it is packed by method {method}; expected {_DEFLATED}, deflate")
    name = read(name_bytes, _LOCAL.size)
    if name != entry.encode():
        raise FrameError("archive", f"it holds {name[:80]!r}, and {entry!r} was expected")
    end, found = yield from _inflated(read, _LOCAL.size + name_bytes + extra_bytes, _DEFLATE_BITS)
    tail = read(32, end)
    if flags & _DESCRIBED:
        tail = tail.removeprefix(_DESCRIPTOR_MAGIC)
        stated = int.from_bytes(tail[:4], "little")
        tail = next((tail[size:] for size in (12, 20) if tail[size : size + 4] == _DIRECTORY_MAGIC), b"")
    if tail[:4] != _DIRECTORY_MAGIC:
        raise FrameError("archive", "it holds more than one file, or is cut off behind the first")
    if found != stated:
        raise FrameError("archive", f"its CRC is {found:08x}, not {stated:08x} as it says")


def _gunzipped(read: Read) -> Iterator[bytes]:
    at = 0
    while True:
        magic = read(2, at)
        if magic != _GZIP_MAGIC:
            if at and not magic:
                return
            raise FrameError("archive", f"it is no gzip: {magic!r} at {at}")
        at, _ = yield from _inflated(read, at, _GZIP_BITS)


def _inflated(read: Read, at: int, bits: int) -> Generator[bytes, None, tuple[int, int]]:
    """Yield what is deflated from `at` on; return where that ends, and the CRC of all."""
    inflater, packed, crc = zlib.decompressobj(bits), b"", 0
    while not inflater.eof:
        if not packed:
            packed = read(_CHUNK_BYTES // 4, at)
            at += len(packed)
        try:
            chunk = inflater.decompress(packed, _CHUNK_BYTES)
        except zlib.error as error:
            raise FrameError("archive", f"it is damaged near byte {at:,}: {error}") from error
        if not packed and not chunk and not inflater.eof:
            raise FrameError("archive", f"it is cut off at byte {at:,}")
        packed = inflater.unconsumed_tail
        crc = zlib.crc32(chunk, crc)
        if chunk:
            yield chunk
    return at - len(inflater.unused_data), crc
