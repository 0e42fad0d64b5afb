"""Read several files of ticks in step, as slices in the order of the dataset, without holding them all.

What is done with a slice is store/lake/merge.py and store/lake/publish.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from trading_platform.domain.id_ranges import Range
from trading_platform.store.lake import merge, parquet, schema as shapes

SLICE_ROWS = 131_072
"""Rows that are read before a slice is cut: with everything done to them about 100 MB."""

_SMALL_ROWS = 1_024
_KEYS = ("epoch", "trade_id")
_FIRST = np.iinfo(np.int64).min
_Key = tuple[int, int]
UNORDERED: _Key = (_FIRST, _FIRST)
"""The lower bound of the keys of trades without ids: they are not read in slices."""


class Source(NamedTuple):
    """A file of ticks and the origin of its rows."""

    path: Path
    origin: int = merge.NEW


class Group(NamedTuple):
    """Rows by rising key that are held elsewhere.

    Attributes
    ----------
    first : a lower bound of their keys (epoch, trade_id).
    load : gives them, as ticks whose sides and sources are codes.
    origin : of all of them.
    """

    first: _Key
    load: Callable[[], pa.Table]
    origin: int = merge.NEW


def slices(sources: Sequence[Source], *, groups: Sequence[Group] = (), rows: int = SLICE_ROWS) -> Iterator[pa.Table]:
    """Yield all rows of files and groups: a key's copies in one slice, the slices in ascending order of their keys.

    Rows carry the column of `merge.mark`, sides and sources as codes (`schema.lean`).
    Trades without ids have no such order: then all is one slice.

    Raises
    ------
    CorruptionError : if a file is damaged.
    """
    of_files = [group for source in sources for group in _groups(source)]
    groups = sorted([*groups, *of_files], key=lambda group: group.first)
    if any(group.first == UNORDERED for group in groups):
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


def ids_within(path: Path, spans: Sequence[Range]) -> pa.Table:
    """Return the keys (epoch, trade_id) of a file of ticks that lie within spans of ids, in its order.

    Only row groups are read that may hold some.

    Raises
    ------
    CorruptionError : if the file is damaged.
    FileNotFoundError : if it is not there.
    """
    found = []
    with parquet.open_file(path) as file:
        for number in range(file.num_row_groups if file.metadata.num_rows else 0):
            ids = _statistics(file.metadata.row_group(number))["trade_id"]
            if not ids.has_min_max or any(ids.min <= last and first <= ids.max for first, last in spans):
                found.append(parquet.read_group(file, path, number, ["epoch", "trade_id"]))
    keys = pa.concat_tables(found) if found else shapes.TICKS.empty_table().select(["epoch", "trade_id"])
    if keys.column("trade_id").null_count:
        return keys
    numbers = keys.column("trade_id").to_numpy()
    inside = [(numbers >= first) & (numbers <= last) for first, last in spans]
    return keys.filter(pa.array(np.logical_or.reduce([np.zeros(len(numbers), np.bool_), *inside])))


def _groups(source: Source) -> Iterator[Group]:
    with parquet.open_file(source.path, lean=True) as file:
        footer = file.metadata
        if 0 < footer.num_rows <= _SMALL_ROWS:
            # Opening costs more than reading, and the rows less memory than what tells where they are.
            groups = [_whole_group(file, source.path, number) for number in range(footer.num_row_groups)]
            for number, table in enumerate(groups):
                yield Group(_first_key(footer.row_group(number)), partial(_given, table), source.origin)
            return
        for number in range(footer.num_row_groups if footer.num_rows else 0):
            yield Group(_first_key(footer.row_group(number)), partial(_row_group, source.path, number), source.origin)


def _given(table: pa.Table) -> pa.Table:
    return table


def _statistics(group: pq.RowGroupMetaData) -> dict[str, pq.Statistics]:
    columns = (group.column(at) for at in range(group.num_columns))
    return {column.path_in_schema: column.statistics for column in columns if column.path_in_schema in _KEYS}


def _first_key(group: pq.RowGroupMetaData) -> _Key:
    """Return a lower bound of the group's keys from its statistics."""
    stats = _statistics(group)
    epoch, trade_id = stats["epoch"], stats["trade_id"]
    if not trade_id.has_min_max or trade_id.null_count:
        return UNORDERED
    return int(epoch.min), int(trade_id.min) if epoch.min == epoch.max else int(_FIRST)


def _row_group(path: Path, number: int) -> pa.Table:
    with parquet.open_file(path, lean=True) as file:
        return _whole_group(file, path, number)


def _whole_group(file: pq.ParquetFile, path: Path, number: int) -> pa.Table:
    return shapes.lean(parquet.read_group(file, path, number))


def _read(group: Group) -> pa.Table:
    return merge.mark(group.load(), group.origin)


def _below(table: pa.Table, key: _Key) -> npt.NDArray[np.bool_]:
    epoch, trade_id = table.column("epoch").to_numpy(), table.column("trade_id").to_numpy()
    result: npt.NDArray[np.bool_] = (epoch < key[0]) | ((epoch == key[0]) & (trade_id < key[1]))
    return result
