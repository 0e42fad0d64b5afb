"""Build the warehouse beside the published file: a copy to write to, views over the lake in it, the rename at the end.

Whoever reads ``<data-dir>/warehouse.duckdb`` opens a file that nobody writes to, so it never waits for a build; a build
that fails leaves it as it was. What the tables hold is dbt's models.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from trading_platform.completeness.records import DayStatus
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import UsageError
from trading_platform.store.fs.disk import REAL_DISK, make_directory, sync_file
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake.duckdb_statements import quoted, run
from trading_platform.store.lake.hive_tree import walk
from trading_platform.store.ledger import Ledger
from trading_platform.store.sql import views

NAME = "warehouse"
"""The database's name in DuckDB: dbt's models name it, and so does everybody who opens the file."""

LAKE = "lake"
"""The schema with what the models read: a view a dataset, `completeness`, `leaves`."""

READ = ("bars", "regimes")
"""Datasets that the models read."""

_WAIT_S = 600.0
_LEAVES = pa.schema([(name, pa.string()) for name in (*"dataset timeframe model venue symbol date revision".split(),)])
_DAYS = pa.schema(
    [(name, pa.string() if name in {"venue", "symbol", "day", "state"} else pa.int64()) for name in DayStatus._fields]
)


class WarehouseBuild:
    """One build, or one look, of dbt's in a DuckDB connection.

    Parameters
    ----------
    data : whose lake is read.
    now_ns : tells the present, which decides which day is still running.
    wait_s : how long a build of another process is waited for.
    """

    def __init__(self, data: DataDir, *, now_ns: Callable[[], int] = time.time_ns, wait_s: float = _WAIT_S) -> None:
        if not data.root.is_dir():
            raise UsageError(f"{data.root} is no data directory; name one with TRADING_PLATFORM_DATA_DIR")
        self._data, self._now_ns, self._wait_s = data, now_ns, wait_s
        self._lock: FileLock | None = None

    @property
    def path(self) -> Path:
        """The file that is written to, on the published one's file system."""
        return self._data.run / "warehouse" / f"{NAME}.duckdb"

    def open(self, db: duckdb.DuckDBPyConnection) -> None:
        """Attach a copy of the published file, or a new one, and show the lake in it; one build at a time."""
        make_directory(self.path.parent)
        self._lock = FileLock.acquire(self._data.run / "warehouse.lock", "the warehouse", wait_s=self._wait_s)
        self._forget()
        with suppress(FileNotFoundError):
            shutil.copyfile(self._data.warehouse, self.path)
        try:
            run(db, f"ATTACH {quoted(str(self.path))} AS {NAME}")
        except duckdb.Error:  # damaged, or of a newer DuckDB: everything in it can be made again
            self._forget()
            run(db, f"ATTACH {quoted(str(self.path))} AS {NAME}")
        show_lake(db, self._data, self._now_ns())

    def look(self, db: duckdb.DuckDBPyConnection) -> None:
        """Attach the published file to read it, or an empty one: for what builds nothing."""
        published = self._data.warehouse
        if published.exists():
            run(db, f"ATTACH {quoted(str(published))} AS {NAME} (READ_ONLY)")
        else:
            run(db, f"ATTACH ':memory:' AS {NAME}")
            show_lake(db, self._data, self._now_ns())

    def publish(self) -> Path:
        """Put what was built, and detached, in the published file's place; return where that is."""
        sync_file(self.path)
        target = self._data.warehouse
        REAL_DISK.rename(self.path, target)
        REAL_DISK.sync_directory(target.parent)
        return target

    def close(self) -> None:
        """Remove what was not published, and let others build."""
        if self._lock is not None:
            self._forget()
            self._lock.release()
            self._lock = None

    def _forget(self) -> None:
        for path in (self.path, self.path.with_name(f"{self.path.name}.wal")):
            path.unlink(missing_ok=True)


def show_lake(db: duckdb.DuckDBPyConnection, data: DataDir, now_ns: int) -> None:
    """Make the schema `lake` anew: views as `query` has them, typed and empty where nothing is stored.

    Its table `leaves` says which files there are and, by `revision`, whether one was replaced; `completeness` is the
    ledger's row of each symbol-day.
    """
    run(db, f"DROP SCHEMA IF EXISTS {NAME}.{LAKE} CASCADE")
    run(db, f"CREATE SCHEMA {NAME}.{LAKE}")
    run(db, f"USE {NAME}.{LAKE}")
    wanted = views.Wanted({}, outputs=tuple, pruned=False)
    for dataset in READ:
        views.create(db, data, dataset, wanted)
    _table(db, "leaves", pa.Table.from_pylist(list(leaves(data)), _LEAVES), "* REPLACE (CAST(date AS DATE) AS date)")
    days = pa.Table.from_pylist([row._asdict() for row in _statuses(data, now_ns)], _DAYS)
    _table(db, "completeness", days, "* EXCLUDE (day), CAST(day AS DATE) AS date")
    run(db, "USE memory.main")


def _table(db: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, columns: str) -> None:
    db.register("_rows", rows)
    run(db, f"CREATE TABLE {name} AS SELECT {columns} FROM _rows")  # noqa: S608  our own names
    db.unregister("_rows")


def leaves(data: DataDir) -> Iterator[dict[str, str]]:
    """Yield the files that the models read, by their keys; `revision` is another one once a file was replaced."""
    for name in READ:
        keys = DATASETS[name].keys
        for values in walk(data.lake / name, keys):
            path = data.lake.joinpath(name, *map("{}={}".format, keys, values), f"{name}.parquet")
            with suppress(FileNotFoundError):  # just removed
                seen = path.stat()
                yield {
                    "dataset": name,
                    **dict(zip(keys, values, strict=True)),
                    "revision": f"{seen.st_mtime_ns:x}-{seen.st_ino:x}",
                }


def _statuses(data: DataDir, now_ns: int) -> Iterator[DayStatus]:
    if not data.ledger_path.exists():
        return
    ledger = Ledger.open(data)
    try:
        yield from ledger.day_table(now_ns).rows()
    finally:
        ledger.close()
