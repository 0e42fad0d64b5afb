"""Parquet as this platform writes and reads it: a file is a function of its rows, every page has a checksum.

Which files exist and when they appear is store/lake/publish.py and store/lake/staging.py.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_platform.domain.errors import CorruptionError, StorageError
from trading_platform.store.lake import schema as shapes

ROW_GROUP = 131_072
"""Rows of every row group but the last, so that equal rows give equal bytes."""

_ARROW = b"ARROW:schema"
_SAMPLE, _MOSTLY = 4096, 0.9
"""How many rows tell whether a dictionary pays, and which part of them may differ."""
_AT_ONCE_BYTES = 1 << 20
_extend = google_crc32c.extend
_NULL_INT = np.iinfo(np.int64).min
_NULL_FLOAT = np.int64(0x7FF8_0000_0000_0001)


Pieces = dict[str, list[tuple[Any, ...]]]
"""Of each column the bytes that identify the values of its chunks, see `_pieces`."""


class Written(NamedTuple):
    """What a writer put into its file.

    Attributes
    ----------
    content_hash : see `ContentHash`; empty if it was not wanted.
    checksum : CRC32C of every column, to compare with what is read back.
    """

    rows: int
    content_hash: str
    checksum: tuple[int, ...]


class RowWriter:
    """Write slices of any size into one file whose bytes depend on the rows alone.

    Parameters
    ----------
    path : the file, created or overwritten by the first rows.
    schema : its columns.
    hashed : whether the content hash is wanted.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, hashed: bool = True) -> None:
        self._path = path
        self._schema = shapes.in_full(schema)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: pa.Table | None = None
        self._hash = ContentHash(self._schema) if hashed else None
        self._checksum = Checksum(self._schema)
        self.rows = 0

    def _lean(self, table: pa.Table) -> pa.Table:
        # Few different texts: as codes they are written and read in half the time, to the same bytes.
        return shapes.lean(table) if shapes.is_ticks(self._schema) else table

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self.rows += table.num_rows
        table = self._lean(table)
        pieces = _pieces_of(table)
        if self._hash is not None:
            self._hash.take(pieces)
        self._checksum.take(pieces)
        waiting = table if self._waiting is None else pa.concat_tables([self._waiting, table])
        at = 0
        while waiting.num_rows - at >= ROW_GROUP:
            self._write(waiting.slice(at, ROW_GROUP))
            at += ROW_GROUP
        # A slice keeps its whole parent alive; a copy keeps only the rest.
        waiting = waiting.slice(at).combine_chunks() if at else waiting
        self._waiting = waiting if waiting.num_rows else None

    def _write(self, group: pa.Table) -> None:
        # One chunk per column: page borders would otherwise follow the chunks the rows came in.
        group = group.combine_chunks()
        if self._writer is None:
            self._writer = _writer(self._path, self._schema, group)
        self._writer.write_table(group, row_group_size=ROW_GROUP)

    def finish(self) -> Written:
        """Write what waits and the footer; durability is the caller's."""
        if self._waiting is not None or self._writer is None:
            self._write(self._lean(self._schema.empty_table()) if self._waiting is None else self._waiting)
        assert self._writer is not None
        self._writer.close()
        content_hash = "" if self._hash is None else self._hash.hexdigest()
        return Written(self.rows, content_hash, self._checksum.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()


def _writer(path: Path, schema: pa.Schema, group: pa.Table) -> pq.ParquetWriter:
    """Open a file whose first rows are these."""
    ticks = shapes.is_ticks(schema)
    delta = [f.name for f in schema if pa.types.is_timestamp(f.type) or f.type == pa.int64()]
    texts = [f.name for f in schema if f.name not in delta and not pa.types.is_boolean(f.type)]
    encoding = dict.fromkeys(delta, "DELTA_BINARY_PACKED")
    if ticks:
        delta = [*delta, "epoch"]
        split = [name for name in ("price", "quantity") if _all_differ(group.column(name))]
        texts = [name for name in texts if name not in {"trade_uid", "epoch", *split}]
        encoding = dict.fromkeys(delta, "DELTA_BINARY_PACKED") | dict.fromkeys(split, "BYTE_STREAM_SPLIT")
    writer = pq.ParquetWriter(
        _plain(path),
        group.schema,
        version="2.6",
        compression="zstd",
        compression_level=1,
        use_dictionary=texts,
        column_encoding=encoding,
        # Readers look for days and ids, never for a price.
        write_statistics=delta if ticks else True,
        write_page_checksum=True,
        store_schema=False,
    )
    # By hand: the file's texts are texts, however this process holds them.
    writer.add_key_value_metadata({_ARROW: base64.b64encode(schema.serialize().to_pybytes())})
    return writer


def _plain(path: Path) -> str:
    """Return a path that is nothing but one: Arrow takes ``file:x`` for an address and ``~`` for a home."""
    return os.path.abspath(path)


def _all_differ(column: pa.ChunkedArray) -> bool:
    """Tell whether a dictionary would only repeat the column, judged by its first rows."""
    head = column.slice(0, _SAMPLE).to_numpy()
    return len(head) == _SAMPLE and len(np.unique(head)) > _MOSTLY * _SAMPLE


@contextmanager
def refusal(path: Path) -> Iterator[None]:
    """Say which file the disk refused."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"write {path}: {error.strerror or error}") from error


def write(path: Path, table: pa.Table, *, hashed: bool = True) -> Written:
    """Write a whole table. Not durable yet."""
    with RowWriter(path, table.schema, hashed=hashed) as writer:
        writer.add(table)
        return writer.finish()


def open_file(path: Path, *, lean: bool = False) -> pq.ParquetFile:
    """Open a file so that reading it verifies every page.

    Parameters
    ----------
    lean : read the few texts of ticks as codes, see `schema.lean`.

    Raises
    ------
    CorruptionError : if it is no Parquet file of ours.
    FileNotFoundError : if it is not there.
    """
    return _open(_plain(path), path, lean=lean)


def _open(source: str | pa.BufferReader, path: Path, *, lean: bool) -> pq.ParquetFile:
    """Open what is in the file at `path`."""
    try:
        file = pq.ParquetFile(
            source, page_checksum_verification=True, read_dictionary=["side", "source"] if lean else None
        )
        sound = _sound(file)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise corrupt(path, error) from error
    if not sound:
        raise CorruptionError(f"{path} is damaged: its footer contradicts itself")
    return file


def _sound(file: pq.ParquetFile) -> bool:
    """Tell whether the footer, which has no checksum, says twice the same.

    It holds names and types in Parquet's words and in Arrow's: a flipped bit changes only one of them. Only the zone
    of a time is said once; here it is always the same.
    """
    twin = _told(file.metadata.metadata[_ARROW])
    zones = {field.type.tz for field in twin if pa.types.is_timestamp(field.type)}
    return bool(twin.equals(shapes.in_full(file.schema_arrow))) and zones <= {"UTC"} and _counts_agree(file.metadata)


@lru_cache(maxsize=64)
def _told(text: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))


def _counts_agree(footer: pq.FileMetaData) -> bool:
    """Tell whether the file and its row groups have the same number of rows.

    Their columns are not asked: where a footer is damaged there, the library ends the process.
    """
    rows: int = sum(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
    return rows == int(footer.num_rows)


def corrupt(path: Path, error: Exception) -> CorruptionError:
    """Return the error that names the damaged file and what the reader saw."""
    seen = next(iter(str(error).splitlines()), type(error).__name__)
    return CorruptionError(f"{path} is damaged: {seen[:200]}")


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a file, verifying every page read.

    Raises
    ------
    CorruptionError : if a page fails its checksum or the file is no Parquet.
    FileNotFoundError : if it is not there.
    """
    with open_file(path) as file:
        try:
            table = file.read(columns=None if columns is None else list(columns), use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise corrupt(path, error) from error
    return table.replace_schema_metadata(None)


def read_group(file: pq.ParquetFile, path: Path, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one row group of an open file, verifying every page read."""
    try:
        group = file.read_row_group(number, columns=None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise corrupt(path, error) from error
    return group.replace_schema_metadata(None)


def verify_file(path: Path, written: Written, *, lean: bool = False) -> str:
    """Read a file back, every page of every column, compare it with what was written, and return its SHA-256.

    Parameters
    ----------
    lean : it holds ticks.

    Raises
    ------
    CorruptionError : if it is not the same.
    """
    if path.stat().st_size <= _AT_ONCE_BYTES:  # what is hashed and what is decoded are the same bytes
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        file = _open(pa.BufferReader(content), path, lean=lean)
    else:
        digest, file = file_sha256(path), open_file(path, lean=lean)
    with file:
        checksum, rows = Checksum(shapes.in_full(file.schema_arrow)), 0
        for number in range(file.num_row_groups):
            group = read_group(file, path, number)
            checksum.add(group)
            rows += group.num_rows
    if (rows, checksum.values()) != (written.rows, written.checksum):
        raise CorruptionError(f"{path}: what was read back is not what was written")
    return digest


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path, sha256: str) -> bool:
    """Tell whether a file is there and has that SHA-256; another process may remove it at any moment."""
    try:
        return file_sha256(path) == sha256
    except FileNotFoundError:
        return False


class ContentHash:
    """A hash of a table's values, the same however the rows are sliced.

    Of ticks only the columns count that anything is computed from (`schema.CONTENT`):
    a trade received earlier over another channel is the same trade. Of everything else all count.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.columns = list(shapes.CONTENT) if shapes.is_ticks(schema) else list(schema.names)
        # Two digests a column, so that a text column's lengths and letters can be taken apart.
        self._digests = [
            (hashlib.sha256(f"{name} {schema.field(name).type}".encode()), hashlib.sha256()) for name in self.columns
        ]

    def add(self, table: pa.Table) -> None:
        """Take in further rows."""
        table = table.select(self.columns)
        self.take(_pieces_of(shapes.lean(table) if self.columns == list(shapes.CONTENT) else table))

    def take(self, pieces: Pieces) -> None:
        """Take in further rows, given by their pieces; columns that do not count may be among them."""
        for name, digests in zip(self.columns, self._digests, strict=True):
            for of_chunk in pieces[name]:
                for piece, digest in zip(of_chunk, digests, strict=False):
                    digest.update(piece)

    def hexdigest(self) -> str:
        """Return the hash of what was taken in so far."""
        total = hashlib.sha256()
        for digests in self._digests:
            for digest in digests:
                total.update(digest.digest())
        return total.hexdigest()


class Checksum:
    """A CRC32C of every column's values, the same however the rows are sliced: fast, for comparing two readings."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._values = [0] * (2 * len(schema))

    def add(self, table: pa.Table) -> None:
        """Take in further rows."""
        self.take(_pieces_of(shapes.lean(table) if shapes.is_ticks(self._schema) else table))

    def take(self, pieces: Pieces) -> None:
        """Take in further rows, given by the pieces of all columns."""
        for at, of_column in enumerate(pieces.values()):
            for of_chunk in of_column:
                for nth, piece in enumerate(of_chunk):
                    self._values[2 * at + nth] = _extend(self._values[2 * at + nth], piece)

    def values(self) -> tuple[int, ...]:
        """Return the checksums of what was taken in so far."""
        return tuple(self._values)


def _pieces_of(table: pa.Table) -> Pieces:
    return {name: [_pieces(chunk) for chunk in table.column(name).chunks] for name in table.column_names}


def _pieces(chunk: pa.Array) -> tuple[Any, ...]:  # noqa: PLR0911  one return a column type
    """Return the bytes that identify a chunk's values: joined over chunks they do not depend on the cuts."""
    if pa.types.is_dictionary(chunk.type):
        indices = chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices
        return (np.ascontiguousarray(indices.to_numpy()),)
    if pa.types.is_string(chunk.type):
        if chunk.null_count == len(chunk):
            return np.full(len(chunk), -1, np.int32), b""
        lengths = pc.binary_length(chunk).fill_null(-1).to_numpy()
        return np.ascontiguousarray(lengths), _letters(chunk.fill_null(""))
    if pa.types.is_floating(chunk.type):
        values = chunk.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        if chunk.null_count or np.isnan(values.sum()):
            bits = canonical_nan(values).view(np.int64)
            bits[np.asarray(chunk.is_null())] = _NULL_FLOAT
            return (bits,)
        return (np.ascontiguousarray(values),)
    if pa.types.is_int16(chunk.type):
        return (np.ascontiguousarray(_filled(chunk, np.iinfo(np.int16).min).to_numpy()),)
    number = chunk.view(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk.cast(pa.int64())
    return (np.ascontiguousarray(_filled(number, _NULL_INT).to_numpy()),)


def _filled(chunk: pa.Array, null: int) -> pa.Array:
    return chunk.fill_null(null) if chunk.null_count else chunk


def _letters(texts: pa.Array) -> Any:
    """Return a text array's letters, without those of the array it was sliced from."""
    _, offsets, letters = texts.buffers()
    if letters is None or not len(texts):
        return b""
    borders = np.frombuffer(offsets, np.int32)[[texts.offset, texts.offset + len(texts)]]
    return letters.slice(int(borders[0]), int(borders[1] - borders[0]))


def canonical_nan(values: np.ndarray) -> np.ndarray:
    """Return a copy whose NaNs all have one bit pattern (processors make several)."""
    values = values.copy()
    values[np.isnan(values)] = np.nan
    return values
