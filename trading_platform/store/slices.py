"""Read several files of ticks in step, as slices in the order of the dataset, without holding them all.

What is done with a slice is store/merge.py and store/lake.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trading_platform.store import merge, parquet
from trading_platform.store import schema as shapes

SLICE_ROWS = 131_072
"""Rows that are read before a slice is cut: with everything done to them about 100 MB."""

_FIRST = np.iinfo(np.int64).min
_Key = tuple[int, int]


class Source(NamedTuple):
    """A file of ticks and the origin of its rows."""

    path: Path
    origin: int = merge.NEW


class _Group(NamedTuple):
    first: _Key
    source: Source
    number: int


def slices(sources: Sequence[Source], *, rows: int = SLICE_ROWS) -> Iterator[pa.Table]:
    """Yield all rows of all files: a key's copies in one slice, and the slices in ascending order of their keys.

    Rows carry the column of `merge.mark`, sides and sources as codes (`schema.lean`).
    Trades without ids have no such order: then all is one slice.

    Raises
    ------
    CorruptionError : if a file is damaged.
    """
    groups = sorted(group for source in sources for group in _groups(source))
    if any(group.first[0] == _FIRST for group in groups):
        yield pa.concat_tables([_read(group) for group in groups])
        return
    held: list[pa.Table] = []
    fresh = 0
    for at, group in enumerate(groups):
        table = _read(group)
        held.append(table)
        fresh += table.num_rows
        if fresh >= rows and at + 1 < len(groups):
            together = pa.concat_tables(held)
            below = _below(together, groups[at + 1].first)
            fresh = 0
            if below.all():
                yield together
                held = []
            elif below.any():
                yield together.filter(pa.array(below))
                held = [together.filter(pa.array(~below))]
    if sum(table.num_rows for table in held):
        yield pa.concat_tables(held)


def _groups(source: Source) -> Iterator[_Group]:
    with parquet.open_file(source.path) as file:
        for number in range(file.num_row_groups if file.metadata.num_rows else 0):
            yield _Group(_first_key(file.metadata.row_group(number)), source, number)


def _first_key(group: pq.RowGroupMetaData) -> _Key:
    """Return a lower bound of the group's keys from its statistics."""
    stats = {}
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema in {"epoch", "trade_id"}:
            stats[column.path_in_schema] = column.statistics
    epoch, trade_id = stats["epoch"], stats["trade_id"]
    if not trade_id.has_min_max or trade_id.null_count:
        return _FIRST, _FIRST
    return int(epoch.min), int(trade_id.min) if epoch.min == epoch.max else int(_FIRST)


def _read(group: _Group) -> pa.Table:
    with parquet.open_file(group.source.path, lean=True) as file:
        table = parquet.read_group(file, group.source.path, group.number)
    return merge.mark(shapes.lean(table), group.source.origin)


def _below(table: pa.Table, key: _Key) -> npt.NDArray[np.bool_]:
    epoch, trade_id = table.column("epoch").to_numpy(), table.column("trade_id").to_numpy()
    result: npt.NDArray[np.bool_] = (epoch < key[0]) | ((epoch == key[0]) & (trade_id < key[1]))
    return result
