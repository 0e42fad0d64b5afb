"""Turn Arrow tables into rows of PostgreSQL's binary COPY, column by column.

A row of the format is as long as its texts and as its missing values are few. Rows of one pattern (the same values
missing, texts of the same lengths) have one fixed layout, so each pattern is one structured array; a table has few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts its microseconds from 2000-01-01."""
_WIRE = {
    pa.int8(): ">i2",
    pa.int16(): ">i2",
    pa.int32(): ">i4",
    pa.int64(): ">i8",
    pa.float64(): ">f8",
    pa.bool_(): "u1",
}

Numbers = npt.NDArray[np.int64]


class _Column(NamedTuple):
    """A column as it goes over the wire.

    Attributes
    ----------
    values : numbers or instants, or None of texts.
    texts : texts as bytes, or None of numbers.
    wire : numpy's type of a number on the wire.
    kind : per row 0 where the value is missing, else 1 and a text's length more.
    kinds : how many kinds there can be.
    """

    values: npt.NDArray[np.generic] | None
    texts: pa.Array | None
    wire: str
    kind: Numbers | None
    kinds: int


def encode(table: pa.Table) -> Iterator[bytes]:
    """Yield the rows of a table, without header and trailer; their order changes.

    Parameters
    ----------
    table : columns of integers, float64, bool, text (also coded) or ``timestamp[ns, UTC]``, which is rounded down to
        microseconds (``timestamptz``). Null is NULL. int8 becomes ``smallint``.

    Examples
    --------
    >>> [row.hex() for row in encode(pa.table({"a": pa.array([7], pa.int16()), "b": ["x"]}))]
    ['00020000000200070000000178']
    """
    rows = table.num_rows
    if not rows:
        return
    columns = [_column(column) for column in table.columns]
    pattern: Numbers = np.zeros(rows, np.int64)
    for column in columns:
        if column.kind is not None:
            pattern = pattern * column.kinds + column.kind
    if bool((pattern == pattern[0]).all()):
        yield _layout(columns, None, rows, 0)
        return
    order = np.argsort(pattern, kind="stable")
    ends = np.flatnonzero(np.diff(pattern[order])) + 1
    for some in np.split(order, ends):
        yield _layout(columns, some, len(some), int(some[0]))


def _column(column: pa.ChunkedArray) -> _Column:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # older Arrow gives none back of no chunk
        whole = pa.concat_arrays(whole.chunks)
    if pa.types.is_dictionary(whole.type):
        whole = whole.cast(whole.type.value_type)
    if pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type):
        texts = whole.cast(pa.binary())
        length = pc.fill_null(pc.add(pc.binary_length(texts), 1), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        return _Column(None, texts, "", length, int(length.max(initial=0)) + 1)
    missing = None if not whole.null_count else whole.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_timestamp(whole.type):
        number = pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return _Column(number // 1000 - _EPOCH_US, None, ">i8", missing, 2)
    empty = False if pa.types.is_boolean(whole.type) else 0
    values = pc.fill_null(whole, empty).to_numpy(zero_copy_only=False)
    return _Column(values, None, _WIRE[whole.type], missing, 2)


def _layout(columns: list[_Column], some: Numbers | None, rows: int, first: int) -> bytes:
    """Return the rows `some` (all, if None), which have the pattern of the row `first`."""
    fields: list[tuple[str, str]] = [("n", ">i2")]
    lengths: list[int] = []
    for at, column in enumerate(columns):
        fields.append((f"l{at}", ">i4"))
        if column.kind is not None and column.kind[first] == 0:
            lengths.append(-1)
            continue
        length = np.dtype(column.wire).itemsize if column.kind is None or column.texts is None else 0
        if column.texts is not None and column.kind is not None:
            length = int(column.kind[first]) - 1
        lengths.append(length)
        if length:
            fields.append((f"v{at}", column.wire if column.texts is None else f"V{length}"))
    packed = np.empty(rows, np.dtype(fields))
    packed["n"] = len(columns)
    for at, (column, length) in enumerate(zip(columns, lengths, strict=True)):
        packed[f"l{at}"] = length
        if length > 0 and column.texts is not None:
            packed[f"v{at}"] = _texts(column.texts, some, length)
        elif length > 0 and column.values is not None:
            packed[f"v{at}"] = column.values if some is None else column.values[some]
    return packed.tobytes()


def _texts(texts: pa.Array, some: Numbers | None, length: int) -> npt.NDArray[np.void]:
    """Return texts of one length as opaque items."""
    chosen = texts if some is None else texts.take(pa.array(some))
    start = np.frombuffer(chosen.buffers()[1], np.int32, 1, chosen.offset * 4)[0]
    data = np.frombuffer(chosen.buffers()[2], np.uint8, len(chosen) * length, int(start))
    return data.view(f"V{length}")
