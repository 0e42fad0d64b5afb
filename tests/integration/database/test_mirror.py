"""The tables of schema `platform` are the ledger's: counted, summed and compared at each copy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform import cli
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import START, Position
from trading_platform.store.database import access, mirror
from trading_platform.store.database.mirror import LedgerMirror, instrument_ids
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Conflict, Ledger, Seen, SequenceKey
from trading_platform.store.verify import identity

DAY = day_start("2024-08-08")
NOW = day_start("2024-09-01")
HOSTILE = "x'); DROP TABLE platform.gaps; --\t\0\\N \u202e"


class World:
    """A data directory with a ledger, and a database of its own."""

    def __init__(self, root: Path, url: str) -> None:
        self.data = DataDir(root / "data").create()
        self.url = url
        self.ledger = Ledger.open(self.data)
        self.pool: DatabasePool = access.writer(self.data, url)

    def tell(self, symbol: str, ids: list[int], at: int) -> None:
        seen = Seen(ids=np.array(ids, np.int64), ts=np.array([DAY + number for number in ids], np.int64))
        key = SequenceKey("binance", symbol)
        self.ledger.apply(Batch("live-binance", START, Position(0, at), {key: seen}), advance)

    def rows(self, table: str, columns: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as db:
            return db.execute(f"SELECT {columns} FROM platform.{table} ORDER BY 1, 2, 3").fetchall()

    def close(self) -> None:
        self.pool.close()
        self.ledger.close()


@pytest.fixture
def world(postgres: Server, tmp_path: Path) -> Iterator[World]:  # noqa: F811
    """Give a ledger with gaps, a conflict and an audit row."""
    world = World(tmp_path, postgres.migrated())
    try:
        _known(world)
        yield world
    finally:
        world.close()


def _known(world: World) -> None:
    world.tell("BTC-USDT", [1, 2, 3, 7, 8, 12], 1)
    world.tell("ETH-USDT", [5, 6, 9], 2)
    world.ledger.add_conflicts([Conflict("binance", "BTC-USDT", 0, 7, "1|2", "1|3")])
    world.ledger.audit(NOW, "someone", "retry", "gap 1", HOSTILE)


def test_a_copy_follows_the_ledger(world: World) -> None:
    """Gaps come and go with it, rows that did not change are not written, the audit log only grows."""
    copies = LedgerMirror(world.pool)
    first = {one.table: one for one in copies.refresh(world.ledger, NOW)}
    assert (first["gaps"].rows, first["gaps"].written) == (3, 3)
    found = world.rows("gaps", "id, first_missing, last_missing, state")
    assert found == sorted((g.id, g.first_missing, g.last_missing, g.state) for g in world.ledger.gaps())
    days = world.rows("completeness", "venue, symbol, day::text, stored, open, state")
    assert days == [(d.venue, d.symbol, d.day, d.stored, d.open, d.state) for d in world.ledger.day_report(NOW)]
    assert world.rows("conflicts", "trade_id, kept, other") == [(7, "1|2", "1|3")]
    assert {one.written for one in copies.refresh(world.ledger, NOW)} == {0}
    world.tell("BTC-USDT", [4, 5, 6], 3)
    second = {one.table: one for one in LedgerMirror(world.pool).refresh(world.ledger, NOW)}
    assert (second["gaps"].rows, second["gaps"].written) == (3, 1)  # it stays, with the state `filled`
    assert (second["completeness"].written, second["audit_log"].written) == (1, 0)
    assert [row[3] for row in world.rows("gaps", "id, first_missing, last_missing, state")].count("filled") == 1
    world.ledger.audit(NOW + 1, "someone", "retry", "gap 2", "again")
    assert {one.table: one.written for one in copies.refresh(world.ledger, NOW)}["audit_log"] == 1
    kept = world.rows("audit_log", "id, detail, at = '2024-09-01T00:00:00Z'")
    assert [row[1:] for row in kept[1:2]] == [(HOSTILE.replace("\0", "\ufffd"), True)]


def test_a_copy_that_is_not_equal_is_undone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count and checksum are of what lies in the database: a lost row fails the copy, and nothing of it stays."""
    real = mirror._replace

    def loses(db: psycopg.Connection, table: mirror._Table, rows: list[mirror.Row]) -> int:
        return real(db, table, rows[1:] if table.name == "conflicts" else rows)

    monkeypatch.setattr(mirror, "_replace", loses)
    with pytest.raises(CorruptionError, match=r"platform\.conflicts is not the ledger's"):
        LedgerMirror(world.pool).refresh(world.ledger, NOW)
    assert world.rows("gaps", "id, venue, symbol") == []


def test_instruments_have_one_number_each(world: World) -> None:
    """A second call gives the same numbers."""
    with world.pool.transaction() as db:
        first = instrument_ids(db, world.ledger)
    assert sorted(first) == [("binance", "BTC-USDT"), ("binance", "ETH-USDT")]
    with world.pool.transaction() as db:
        assert instrument_ids(db, world.ledger) == first


def test_migrate_says_what_it_copies(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows and checksums of each table; a second run writes nothing; the rehearsal copies nothing."""
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", world.url)
    words = ["database", "migrate", "--json", "--data-dir", str(world.data.root)]
    assert cli.main([*words, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["copied"] == []
    found = []
    for _ in range(2):
        assert cli.main(words) == 0
        told = json.loads(capsys.readouterr().out)
        found.append({one["table"]: (one["rows"], one["written"]) for one in told["copied"]})
    assert found[0]["gaps"] == (3, 3) and found[0]["completeness"] == (2, 2)
    assert {written for _, written in found[1].values()} == {0}
    assert identity(world.ledger) == []
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", "")
    assert cli.main(words) == 2
