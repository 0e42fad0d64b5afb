"""Decoded trades of a replay until they are published: sorted runs in memory, beyond a bound in a scratch file.

A scratch file is not durable and need not be: whoever is stopped decodes again. Its runs have checksums, because what
is published is made of them. Parts that outlive a process are store/lake/staging.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import google_crc32c
import msgspec
import numpy as np
import pyarrow as pa

from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.trades.trade_columns import UID_TYPE, TradeColumns, concatenate
from trading_platform.ingest.processor.staging_sink import to_table
from trading_platform.store.fs.disk import REAL_DISK, Disk, File
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import merge_slices as slices

HELD_ROWS = 3_000_000
"""Trades held in memory at most, 42 bytes each."""
RUN_ROWS = 131_072
"""Trades of a run at most: what is merged reads one at a time."""

_TYPES = (np.int64, np.int64, np.int64, np.float64, np.float64, np.int8, np.int8)
_ROW_BYTES = sum(np.dtype(kind).itemsize for kind in _TYPES)


class SpilledRun(msgspec.Struct, frozen=True, array_like=True):
    """Where a scratch file holds trades of one sequence and day, by rising id; `texts`: they have text ids."""

    key: SequenceKey
    day: str
    first_id: int
    rows: int
    path: str
    offset: int
    checksum: int
    texts: bool = False


class SpillBuffer:
    """What one process has decoded and nobody has published yet.

    Parameters
    ----------
    scratch : the file for what is too much; nobody else's.
    days : which days are wanted.
    """

    def __init__(
        self, scratch: Path, days: Callable[[str], bool], *, limit: int = HELD_ROWS, disk: Disk = REAL_DISK
    ) -> None:
        self._scratch, self._days, self._limit, self._disk = scratch, days, limit, disk
        self._wanted: dict[int, str | None] = {}
        self._columns: dict[tuple[SequenceKey, str], list[TradeColumns]] = {}
        self._rows = 0
        self._runs: list[SpilledRun] = []
        self._file: File | None = None
        self._end = 0

    @property
    def whole(self) -> bool:
        """Whether everything that was added was wanted."""
        return None not in self._wanted.values()

    def add(self, trades: dict[SequenceKey, TradeColumns]) -> None:
        """Take the trades of one batch."""
        for key, columns in trades.items():
            for day, mine in self._by_day(columns):
                self._columns.setdefault((key, day), []).append(mine)
                self._rows += len(mine.trade_id)
        if self._rows > self._limit:
            self.spill()

    def _by_day(self, columns: TradeColumns) -> Iterator[tuple[str, TradeColumns]]:
        first, last = int(columns.ts_event.min()) // DAY_NS, int(columns.ts_event.max()) // DAY_NS
        if first == last:
            if (day := self._day(first)) is not None:
                yield day, columns
            return
        numbers = columns.ts_event // DAY_NS
        for number in np.unique(numbers).tolist():
            if (day := self._day(number)) is not None:
                chosen = numbers == number
                yield day, columns.rows(chosen)

    def _day(self, number: int) -> str | None:
        """Return the day of that number, None if it is not wanted."""
        if number not in self._wanted:
            day = day_of(number * DAY_NS)
            self._wanted[number] = day if self._days(day) else None
        return self._wanted[number]

    def spill(self) -> list[SpilledRun]:
        """Put everything into the scratch file; return all runs that it holds now."""
        if self._file is None and self._columns:
            self._file = self._disk.open(self._scratch, "create")
        while self._columns:
            (key, day), batches = self._columns.popitem()
            for run in _runs(batches):
                assert self._file is not None
                data = b"".join([column.tobytes() for column in run if column is not None])
                self._file.write(data, self._end)
                place = (str(self._scratch), self._end, google_crc32c.value(data))
                texts = run.trade_uid is not None
                self._runs.append(SpilledRun(key, day, int(run.trade_id[0]), len(run.trade_id), *place, texts))
                self._end += len(data)
        self._rows = 0
        return self._runs

    def groups(self) -> dict[Leaf, list[slices.Group]]:
        """Return everything by the leaf it belongs to, ready to be merged; what is in memory is handed over."""
        found = grouped(self._runs)
        while self._columns:
            (key, day), batches = self._columns.popitem()
            mine = found.setdefault(leaf_of(key, day), [])
            for run in _runs(batches):
                first = slices.UNORDERED if run.trade_uid is not None else (key.epoch, int(run.trade_id[0]))
                mine.append(slices.Group(first, partial(to_table, key, run)))
        self._rows = 0
        return found

    def close(self) -> None:
        """Let go of the scratch file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def leaf_of(key: SequenceKey, day: str) -> Leaf:
    """Return the leaf that a sequence's trades of a day go to."""
    return Leaf("ticks", key.venue, key.symbol, day)


def grouped(runs: Sequence[SpilledRun]) -> dict[Leaf, list[slices.Group]]:
    """Return runs by the leaf they belong to, ready to be merged; each is read when it is its turn."""
    found: dict[Leaf, list[slices.Group]] = {}
    for run in runs:
        first = slices.UNORDERED if run.texts else (run.key.epoch, run.first_id)
        group = slices.Group(first, partial(_load, run))
        found.setdefault(leaf_of(run.key, run.day), []).append(group)
    return found


def _load(run: SpilledRun) -> pa.Table:
    return to_table(run.key, read(run))


def read(run: SpilledRun) -> TradeColumns:
    """Read a run back.

    Raises
    ------
    CorruptionError : if it is not what was written.
    """
    with Path(run.path).open("rb") as file:
        file.seek(run.offset)
        data = file.read(run.rows * (_ROW_BYTES + (UID_TYPE.itemsize if run.texts else 0)))
    if google_crc32c.value(data) != run.checksum:
        raise CorruptionError(f"{run.path}: what was read back is not what was written")
    columns, at = [], 0
    for kind in (*_TYPES, UID_TYPE) if run.texts else _TYPES:
        columns.append(np.frombuffer(data, kind, run.rows, at))
        at += columns[-1].nbytes
    return TradeColumns(*columns)


def _runs(batches: list[TradeColumns]) -> Iterator[TradeColumns]:
    # Segments are decoded in any order; by their first ids they usually follow each other.
    columns = concatenate(sorted(batches, key=lambda batch: int(batch.trade_id[0])))
    ids = columns.trade_id
    if not bool((ids[:-1] <= ids[1:]).all()):
        order = np.argsort(ids, kind="stable")
        columns = columns.rows(order)
    for at in range(0, len(ids), RUN_ROWS):
        yield columns.rows(slice(at, at + RUN_ROWS))
