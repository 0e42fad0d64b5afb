"""Freed pages of Dagster's SQLite files go back to the file system, in steps that keep nobody waiting."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from trading_platform.orchestration.history import compaction
from trading_platform.orchestration.history.compaction import STEP_PAGES, prepare, shrink


def database(home: Path, name: str = "history/runs/index.db", rows: int = 3000) -> Path:
    """Make a database as Dagster does, with rows of 4 kB."""
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event BLOB)")
        connection.executemany("INSERT INTO events (event) VALUES (?)", ((bytes(4000),) for _ in range(rows)))
        connection.commit()
    return path


def delete(path: Path, share: str) -> None:
    """Delete the rows that a condition names."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DELETE FROM events WHERE {share}")
        connection.commit()


def count(path: Path) -> int:
    """Return how many rows there are, and that the file is whole."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return found


def test_a_big_file_of_before_becomes_small_at_the_start(tmp_path: Path) -> None:
    """Rewritten once, whatever its size, as long as few rows are left in it."""
    path = database(tmp_path)
    delete(path, "id > 100")
    big = path.stat().st_size
    assert prepare(tmp_path) == [path]
    assert path.stat().st_size < big / 10 and count(path) == 100
    assert prepare(tmp_path) == []


def test_many_rows_are_not_rewritten_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start does not wait for the copy of a large history."""
    path = database(tmp_path, rows=300)
    monkeypatch.setattr(compaction, "_MOST_BYTES", 1_000_000)
    assert prepare(tmp_path) == [] and shrink(tmp_path) == 0
    delete(path, "id > 100")
    assert prepare(tmp_path) == [path]


def test_what_is_pruned_later_is_cut_off_while_others_write(tmp_path: Path) -> None:
    """A writer gets its turn between two steps, and none is larger than said."""
    path = database(tmp_path, "history/runs.db")
    prepare(tmp_path)
    delete(path, "id % 2 = 0")
    before = path.stat().st_size
    with closing(sqlite3.connect(path, timeout=0)) as writer:
        assert shrink(tmp_path, STEP_PAGES) <= STEP_PAGES
        writer.execute("INSERT INTO events (event) VALUES (x'00')")  # would fail at once if the file were locked
        writer.commit()
        freed = shrink(tmp_path)
    assert 0 < freed < 1500  # a thousand pages stay for the next rows
    assert path.stat().st_size < before and count(path) == 1501


def test_a_database_that_is_busy_is_left_for_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the start nor the sensor fails for it."""
    monkeypatch.setattr(compaction, "_BUSY_S", 0.0)
    path = database(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert prepare(tmp_path) == []
        writer.execute("ROLLBACK")
        assert prepare(tmp_path) == [path]
        delete(path, "id > 100")
        writer.execute("BEGIN IMMEDIATE")
        assert shrink(tmp_path) == 0
        writer.execute("ROLLBACK")
    assert shrink(tmp_path) > 0


def test_without_databases_there_is_nothing_to_do(tmp_path: Path) -> None:
    """On PostgreSQL, or before the first start."""
    assert prepare(tmp_path) == [] and shrink(tmp_path) == 0
