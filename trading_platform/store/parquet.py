"""Parquet as this platform writes and reads it: a file is a function of its rows, every page has a checksum.

Which files exist and when they appear is store/lake.py and store/staging.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trading_platform.domain.errors import CorruptionError
from trading_platform.store import schema as shapes

ROW_GROUP = 131_072
"""Rows of every row group but the last, so that equal rows give equal bytes."""

_NULL_INT = np.iinfo(np.int64).min
_NULL_FLOAT = np.int64(0x7FF8_0000_0000_0001)


class Written(NamedTuple):
    """What a writer put into its file."""

    rows: int
    content_hash: str


class RowWriter:
    """Write slices of any size into one file whose bytes depend on the rows alone.

    Parameters
    ----------
    path : the file, created or overwritten.
    schema : its columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        schema = schema.remove_metadata()
        delta = [f.name for f in schema if pa.types.is_timestamp(f.type) or f.type == pa.int64()]
        self._writer = pq.ParquetWriter(
            str(path),
            schema,
            version="2.6",
            compression="zstd",
            compression_level=1,
            use_dictionary=[f.name for f in schema if f.name not in delta and not pa.types.is_boolean(f.type)],
            column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
        )
        self._schema = schema
        self._waiting = schema.empty_table()
        self._hash = ContentHash(schema)
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Append rows."""
        self.rows += table.num_rows
        self._hash.add(table)
        waiting = pa.concat_tables([self._waiting, table])
        at = 0
        while waiting.num_rows - at >= ROW_GROUP:
            self._write(waiting.slice(at, ROW_GROUP))
            at += ROW_GROUP
        # A slice keeps its whole parent alive; a copy keeps only the rest.
        self._waiting = waiting.slice(at).combine_chunks() if at else waiting

    def _write(self, group: pa.Table) -> None:
        # One chunk per column: page borders would otherwise follow the chunks the rows came in.
        self._writer.write_table(group.combine_chunks(), row_group_size=ROW_GROUP)

    def finish(self) -> Written:
        """Write what waits and the footer; durability is the caller's."""
        if self._waiting.num_rows:
            self._write(self._waiting)
        self._writer.close()
        return Written(self.rows, self._hash.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._writer.close()


def write(path: Path, table: pa.Table) -> Written:
    """Write a whole table. Not durable yet."""
    with RowWriter(path, table.schema) as writer:
        writer.add(table)
        return writer.finish()


def open_file(path: Path) -> pq.ParquetFile:
    """Open a file so that reading it verifies every page.

    Raises
    ------
    CorruptionError : if it is no Parquet file of ours.
    FileNotFoundError : if it is not there.
    """
    try:
        file = pq.ParquetFile(str(path), page_checksum_verification=True)
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
    twin = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(file.metadata.metadata[b"ARROW:schema"], validate=True)))
    zones = {field.type.tz for field in twin if pa.types.is_timestamp(field.type)}
    return bool(twin.equals(file.schema_arrow)) and zones <= {"UTC"} and _counts_agree(file.metadata)


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


def verify(path: Path) -> Written:
    """Read a file back and return what it holds: rows and content hash.

    Raises
    ------
    CorruptionError : if a page fails its checksum.
    """
    with open_file(path) as file:
        content, rows = ContentHash(file.schema_arrow.remove_metadata()), 0
        for number in range(file.num_row_groups):
            # All columns, not only those hashed: this is also the check of every page.
            group = read_group(file, path, number)
            content.add(group)
            rows += group.num_rows
    return Written(rows, content.hexdigest())


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        for name, digests in zip(self.columns, self._digests, strict=True):
            for chunk in table.column(name).chunks:
                for piece, digest in zip(_pieces(chunk), digests, strict=False):
                    digest.update(piece)

    def hexdigest(self) -> str:
        """Return the hash of what was taken in so far."""
        total = hashlib.sha256()
        for digests in self._digests:
            for digest in digests:
                total.update(digest.digest())
        return total.hexdigest()


def _pieces(chunk: pa.Array) -> tuple[Any, ...]:
    """Return the bytes that identify a chunk's values: joined over chunks they do not depend on the cuts."""
    if pa.types.is_string(chunk.type):
        lengths = pc.binary_length(chunk).fill_null(-1).to_numpy()
        return np.ascontiguousarray(lengths), _letters(chunk.fill_null(""))
    if pa.types.is_floating(chunk.type):
        bits = canonical_nan(chunk.to_numpy(zero_copy_only=False).astype(np.float64)).view(np.int64)
        bits[np.asarray(chunk.is_null())] = _NULL_FLOAT
        return (bits,)
    number = chunk if pa.types.is_timestamp(chunk.type) else chunk.cast(pa.int64())
    return (np.ascontiguousarray(number.cast(pa.int64()).fill_null(_NULL_INT).to_numpy()),)


def _letters(texts: pa.Array) -> Any:
    """Return a text array's letters, without those of the array it was sliced from."""
    _, offsets, letters = texts.buffers()
    if letters is None or not len(texts):
        return b""
    borders = np.frombuffer(offsets, np.int32)[[texts.offset, texts.offset + len(texts)]]
    return memoryview(letters)[borders[0] : borders[1]]


def canonical_nan(values: np.ndarray) -> np.ndarray:
    """Return a copy whose NaNs all have one bit pattern (processors make several)."""
    values = values.copy()
    values[np.isnan(values)] = np.nan
    return values
