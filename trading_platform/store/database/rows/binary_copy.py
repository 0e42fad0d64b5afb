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

_FEW = 256
"""Up to so many patterns the rows of each are looked for; more are sorted."""

Numbers = npt.NDArray[np.int64]


class _Column(NamedTuple):
    """A column as it goes over the wire.

    Attributes
    ----------
    values : numbers or instants, or None of texts.
    texts : texts as bytes, or None of numbers; of coded texts those that the codes mean.
    wire : numpy's type of a number on the wire.
    kind : per row 0 where the value is missing, else 1 and a text's length or code more; None: no value is missing.
    kinds : how many kinds there can be.
    coded : whether a kind tells the text itself.
    """

    values: npt.NDArray[np.generic] | None
    texts: pa.Array | None
    wire: str
    kind: Numbers | None
    kinds: int
    coded: bool = False


def encode(table: pa.Table) -> Iterator[memoryview]:
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
    patterns = 1
    for column in columns:
        if column.kind is not None:
            pattern = pattern * column.kinds + column.kind
            patterns *= column.kinds
    if bool((pattern == pattern[0]).all()):
        yield _layout(columns, None, rows, 0)
        return
    if patterns <= _FEW:
        for number in np.flatnonzero(np.bincount(pattern)).tolist():
            some = np.flatnonzero(pattern == number)
            yield _layout(columns, some, len(some), int(some[0]))
        return
    order = np.argsort(pattern, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(pattern[order])) + 1):
        yield _layout(columns, some, len(some), int(some[0]))


def _column(column: pa.ChunkedArray) -> _Column:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # older Arrow gives none back of no chunk
        whole = pa.concat_arrays(whole.chunks)
    if pa.types.is_dictionary(whole.type):
        codes = pc.fill_null(pc.add(whole.indices.cast(pa.int64()), 1), 0).to_numpy(zero_copy_only=False)
        texts = whole.dictionary.cast(pa.binary())
        if not texts.null_count:
            return _Column(None, texts, "", codes, len(texts) + 1, coded=True)
        whole = whole.cast(whole.type.value_type)
    if whole.null_count == len(whole):
        return _Column(None, pa.array([], pa.binary()), "", np.zeros(len(whole), np.int64), 1)
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


def _layout(columns: list[_Column], some: Numbers | None, rows: int, first: int) -> memoryview:
    """Return the rows `some` (all, if None), which have the pattern of the row `first`."""
    fields: list[tuple[str, str]] = [("n", ">i2")]
    same: dict[str, int | bytes] = {"n": len(columns)}
    varying: list[int] = []
    for at, column in enumerate(columns):
        fields.append((f"l{at}", ">i4"))
        kind = 1 if column.kind is None else int(column.kind[first])
        text = column.texts[kind - 1].as_py() if column.coded and column.texts is not None and kind else None
        if kind == 0:
            length = -1
        elif text is not None:
            length = len(text)
        else:
            length = kind - 1 if column.texts is not None else np.dtype(column.wire).itemsize
        same[f"l{at}"] = length
        if length > 0:
            fields.append((f"v{at}", column.wire if column.texts is None else f"V{length}"))
            if text is None:
                varying.append(at)
            else:
                same[f"v{at}"] = text
    one = np.zeros(1, np.dtype(fields))
    for name, value in same.items():
        one[name] = np.void(value) if isinstance(value, bytes) else value
    # A whole row is copied at a time, and what varies is put over it: lengths and shared texts cost nothing then.
    packed = np.repeat(one, rows)
    for at in varying:
        column = columns[at]
        if column.texts is not None:
            packed[f"v{at}"] = _texts(column.texts, some, int(same[f"l{at}"]))
        elif column.values is not None:
            packed[f"v{at}"] = column.values if some is None else column.values[some]
    return packed.view(np.uint8).data


def _texts(texts: pa.Array, some: Numbers | None, length: int) -> npt.NDArray[np.void]:
    """Return texts of one length as opaque items."""
    chosen = texts if some is None else texts.take(pa.array(some))
    start = np.frombuffer(chosen.buffers()[1], np.int32, 1, chosen.offset * 4)[0]
    data = np.frombuffer(chosen.buffers()[2], np.uint8, len(chosen) * length, int(start))
    return data.view(f"V{length}")
