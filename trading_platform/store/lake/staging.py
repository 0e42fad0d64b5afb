"""Parts: trades that are durable and decoded but not yet published. Immutable, named by where in the log they lie.

Merging them into the lake, and removing them after that, is store/lake/publish.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.domain.position import Position
from trading_platform.store.fs.disk import (
    REAL_DISK,
    Disk,
    MissingFile,
    make_directories,
    make_directory,
    named,
    sync_file,
    temporary_path,
    write_atomically,
)
from trading_platform.store.fs.layout import DataDir, Leaf, check_name
from trading_platform.store.lake import hive_tree as tree, parquet, schema as shapes

_TRIES = 20
_TOGETHER = 8
"""Parts that are written together: a stop waits for them, and each costs three syncs, 60 ms each on a busy disk."""


def temporary(data: DataDir) -> Path:
    """Return the folder where files are written before they get their name."""
    return data.staging / "tmp"


def folder(data: DataDir, leaf: Leaf) -> Path:
    """Return the folder of a leaf's parts."""
    return data.staging / "parts" / leaf.directory


def write_part(  # noqa: PLR0913  a part's name and its rows, by name
    data: DataDir,
    venue: str,
    symbol: str,
    day: str,
    lane: str,
    start: Position,
    end: Position,
    table: pa.Table,
    *,
    disk: Disk = REAL_DISK,
) -> Path:
    """Keep a symbol-day's trades of a stretch of a lane, durably, until they are published.

    Writing the same stretch again overwrites the same part.

    Parameters
    ----------
    table : ticks in any order, all of that UTC day by `ts_event`.

    Returns
    -------
    pathlib.Path : the part.

    Raises
    ------
    WorkError : if the columns are not those of ticks, or a trade belongs to another day.
    """
    leaf = Leaf("ticks", venue, symbol, day)
    ticks = checked(table, leaf)
    path = folder(data, leaf) / _name(lane, start, end)
    write = partial(parquet.write, table=ticks, hashed=False)
    make_directory(temporary(data), disk=disk)
    for last_try in (False,) * _TRIES + (True,):
        make_directory(path.parent, disk=disk)
        try:
            write_atomically(path, write, disk=disk, staging=temporary(data))
        except MissingFile:
            # A publisher removed the folder, empty of parts, just before ours came.
            if last_try:
                raise
        else:
            break
    return path


def write_parts(
    data: DataDir,
    lane: str,
    start: Position,
    end: Position,
    tables: Mapping[Leaf, pa.Table],
    *,
    over: Callable[[], bool] = lambda: False,
    disk: Disk = REAL_DISK,
) -> bool:
    """Do the same for several symbol-days; return False if time was over first, some of them written.

    All files of a batch are written before the first is synced, and named before the first folder is: one commit of the
    file system's journal then serves them all.

    Parameters
    ----------
    over : asked before each part and each sync of one.
    """
    make_directory(temporary(data), disk=disk)
    name = _name(lane, start, end)
    due = list(tables.items())
    for some in (due[at : at + _TOGETHER] for at in range(0, len(due), _TOGETHER)):
        waiting: dict[Path, Path] = {}  # where it is to lie -> where it lies
        try:
            for leaf, table in some:
                if over():
                    return False
                path = folder(data, leaf) / name
                waiting[path] = temporary_path(path, temporary(data))
                with named(path, "write"):
                    parquet.write(waiting[path], checked(table, leaf), hashed=False)
            for written in waiting.values():
                if over():
                    return False
                sync_file(written, disk)
            if over():
                return False
            make_directories([path.parent for path in waiting], disk=disk)
            gone = _put(waiting, disk)
        finally:
            for written in waiting.values():
                disk.unlink(written)
        for leaf, table in some:
            if folder(data, leaf) / name in gone:
                write_part(data, leaf.venue, leaf.symbol, leaf.day, lane, start, end, table, disk=disk)
    return True


def _put(waiting: Mapping[Path, Path], disk: Disk) -> set[Path]:
    """Give written files their names, durably; return those of which a publisher removed the folder meanwhile."""
    gone = set()
    for path, written in waiting.items():
        try:
            disk.rename(written, path)
        except MissingFile:
            gone.add(path)
    for path in waiting.keys() - gone:
        try:
            disk.sync_directory(path.parent)
        except MissingFile:  # published already, and not known to be durable
            gone.add(path)
    return gone


def _name(lane: str, start: Position, end: Position) -> str:
    return f"{check_name(lane)}.{start.segment:08d}-{start.offset:012d}.{end.segment:08d}-{end.offset:012d}.parquet"


def checked(table: pa.Table, leaf: Leaf) -> pa.Table:
    """Return ticks of a leaf in the order of their ids, sides and sources as codes.

    Raises
    ------
    WorkError : if the columns are not those of ticks, or a trade belongs to another day.
    """
    ticks = _ordered(table if table.schema.equals(shapes.LEAN) else shapes.lean(shapes.conform(table, shapes.TICKS)))
    _check_day(ticks, leaf)
    return ticks


def _ordered(ticks: pa.Table) -> pa.Table:
    """Sort by id, so that a merge reads only the row groups it needs."""
    ids = ticks.column("trade_id")
    if ids.null_count or ticks.num_rows < 2:
        return ticks
    low, high = ids.to_numpy(), ticks.column("epoch").to_numpy()
    if bool((low[:-1] <= low[1:]).all()) and bool((high == high[0]).all()):
        return ticks
    return ticks.take(pa.array(np.lexsort((low, high))))


def _check_day(ticks: pa.Table, leaf: Leaf) -> None:
    for name in ("epoch", "ts_event", "ts_recv", "price", "quantity", "source"):
        if ticks.column(name).null_count:
            raise WorkError(f"{leaf.venue} {leaf.symbol}: a trade without {name}")
    if not ticks.num_rows:
        return
    span = pc.min_max(ticks.column("ts_event").cast(pa.int64())).as_py()
    begin = day_start(leaf.day)
    if span["min"] < begin or span["max"] >= begin + DAY_NS:
        raise WorkError(f"{leaf.venue} {leaf.symbol}: a trade of another day than {leaf.day}")


def parts_of(data: DataDir, leaf: Leaf) -> list[Path]:
    """Return a leaf's parts, by name."""
    place = folder(data, leaf)
    return [place / name for name in sorted(tree.entries(place)) if name.endswith(".parquet")]


def parts(data: DataDir, venue: str | None = None, symbol: str | None = None) -> dict[Leaf, list[Path]]:
    """Return all parts by the leaf they belong to, days ascending."""
    found = {leaf: files for leaf in _leaves(data, venue, symbol) if (files := parts_of(data, leaf))}
    return {leaf: found[leaf] for leaf in sorted(found, key=lambda x: (x.venue, x.symbol, x.day))}


def _leaves(data: DataDir, venue: str | None, symbol: str | None) -> Iterator[Leaf]:
    wanted = {"venue": None if venue is None else (venue,), "symbol": None if symbol is None else (symbol,)}
    for each in tree.walk(data.staging / "parts" / "ticks", DATASETS["ticks"].keys, wanted):
        with suppress(UsageError):  # a folder that is not ours
            yield Leaf("ticks", *each).check()
