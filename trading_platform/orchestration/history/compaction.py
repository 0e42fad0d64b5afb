"""Give the free pages of Dagster's SQLite files back to the file system. Imports no Dagster.

A file keeps its size when rows are deleted from it. `prepare` makes it one that can shrink, which rewrites it and is
done while nothing runs; `shrink` then cuts it in small steps while Dagster works. Deleting rows is pruning.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

STEP_PAGES = 500
"""Pages of one transaction, 2 MB: a writer waits for milliseconds."""

_MOST_BYTES = 256 << 20
_SPARE_PAGES = 1000
_BUSY_S = 2.0
_INCREMENTAL = 2


def databases(home: Path) -> list[Path]:
    """Return the databases that live as long as the platform; each run has one more, which goes with it."""
    named = ("history/runs.db", "history/runs/index.db", "history/runs/.db", "schedules/schedules.db")
    return [path for name in named if (path := home / name).is_file()]


def prepare(home: Path) -> list[Path]:
    """Make the databases able to shrink, and as small as they can be; return those that were rewritten.

    Call it while nothing else uses them. What holds more than 256 MB of rows, and what is in use all the same, is left
    as it is: the time goes by the rows that are kept.
    """
    rewritten = []
    for path in databases(home):
        with closing(_open(path)) as connection:
            if _pragma(connection, "auto_vacuum") == _INCREMENTAL or _used_bytes(connection) > _MOST_BYTES:
                continue
            try:
                connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
                connection.execute("VACUUM")
            except sqlite3.OperationalError:  # in use, or no room for the copy
                continue
            rewritten.append(path)
    return rewritten


def shrink(home: Path, most_pages: int = 20 * STEP_PAGES) -> int:
    """Cut free pages off the ends of the databases, in transactions of `STEP_PAGES`; return how many.

    Some free pages stay, for the next rows. A database that is busy for seconds is left for the next time.
    """
    freed = 0
    for path in databases(home):
        with closing(_open(path)) as connection:
            if _pragma(connection, "auto_vacuum") != _INCREMENTAL:
                continue
            for step in _steps(_pragma(connection, "freelist_count") - _SPARE_PAGES, most_pages - freed):
                try:
                    connection.execute(f"PRAGMA incremental_vacuum({step})").fetchall()
                except sqlite3.OperationalError:
                    break
                freed += step
    return freed


def _steps(free: int, most: int) -> Iterator[int]:
    left = min(free, most)
    while left > 0:
        yield min(left, STEP_PAGES)
        left -= STEP_PAGES


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")
