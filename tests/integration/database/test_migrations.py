"""Migrations prove themselves: what is false is undone and on record, what is true is equal in every time zone."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.domain.errors import DatabaseUnavailable, UsageError
from trading_platform.store.database import access, identity, migrate, roles
from trading_platform.store.database.migrate import HEAD, ZONES
from trading_platform.store.database.proofs import ProofFailed, Unchanged
from trading_platform.store.fs.layout import DataDir

SCHEMA = """
SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable
FROM information_schema.columns WHERE table_schema IN ('market', 'platform') ORDER BY 1, 2, 3
"""
SECOND = """
from alembic import op
from trading_platform.store.database.proofs import Holds, Unchanged

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
PROOFS = (
    Unchanged(("platform", "gaps"), ("id", "venue", "first_missing", "last_missing", "prev_ts_ns")),
    Unchanged(("platform", "audit_log"), ("id", "at", "actor", "action")),
    Holds("gaps know their length", "{holds}"),
)


def upgrade():
    op.execute("ALTER TABLE platform.gaps ADD missing bigint")
    op.execute("UPDATE platform.gaps SET missing = last_missing - first_missing + 1")
    op.execute("{also}")
"""
GOOD = "SELECT coalesce(bool_and(missing > 0), true) FROM platform.gaps"


def folder(tmp_path: Path, *, holds: str = GOOD, also: str = "SELECT 1") -> Path:
    """Return revisions of which the second is a test's own."""
    place = tmp_path / "revisions"
    (place / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/0001_baseline.py"):
        (place / name).write_text((migrate.FOLDER / name).read_text())
    (place / "versions/0002_second.py").write_text(SECOND.format(holds=holds, also=also))
    return place


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query).fetchall()


def fill(url: str) -> None:
    """Insert a few gaps and a row of the audit log."""
    with psycopg.connect(url) as db:
        for at in range(1, 40):
            words = (
                at,
                "binance",
                "BTC-USDT",
                0,
                at * 10,
                at * 10 + at % 5,
                "open",
                "why",
                0,
                0,
                at if at % 2 else None,
            )
            db.execute(f"INSERT INTO platform.gaps VALUES ({', '.join(['%s'] * len(words))}, NULL)", words)
        db.execute("INSERT INTO platform.audit_log (actor, action, subject, detail) VALUES ('a', 'b', 'c', 'd')")


def test_the_schemas_are_equal_in_every_time_zone(postgres: Server) -> None:  # noqa: F811
    """Three sessions in three zones make the same tables, and the same proofs come out."""
    found = []
    for zone in ZONES:
        url = postgres.database()
        steps = migrate.upgrade(url, timezone=zone)
        found.append((steps, ask(url, SCHEMA)))
        assert migrate.upgrade(url) == []
    assert found[0] == found[1] == found[2]
    assert [step.revision for step in found[0][0]] == [HEAD]
    assert len(found[0][1]) > 80


def test_the_code_speaks_the_newest_revision() -> None:
    """HEAD is the last file of the folder."""
    assert max((migrate.FOLDER / "versions").glob("0*.py")).name.startswith(f"{HEAD}_")


def test_a_rehearsal_changes_nothing(postgres: Server, tmp_path: Path) -> None:  # noqa: F811
    """`--dry-run` runs every revision in three zones and leaves the database as it was, empty or not."""
    url = postgres.database()
    assert [step.revision for step in migrate.rehearse(url)] == ["0001"]
    assert ask(url, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('market', 'platform')") == [(0,)]
    url = postgres.migrated()
    fill(url)
    before = ask(url, SCHEMA)
    steps = migrate.rehearse(url, folder=folder(tmp_path))
    assert [step.revision for step in steps] == ["0002"]
    assert steps[0].proofs[0][1].startswith("(39, ")
    assert ask(url, SCHEMA) == before


@pytest.mark.parametrize("zone", ZONES)
def test_a_true_proof_lets_a_revision_stand(zone: str, postgres: Server, tmp_path: Path) -> None:  # noqa: F811
    """Rows are counted, summed and sampled before and after; the audit log tells the result."""
    url = postgres.migrated()
    fill(url)
    steps = migrate.upgrade(url, timezone=zone, folder=folder(tmp_path))
    assert [step.revision for step in steps] == ["0002"]
    assert ask(url, "SELECT sum(missing) FROM platform.gaps") == [(sum(1 + at % 5 for at in range(1, 40)),)]
    assert ask(url, "SELECT version_num FROM platform.schema_version") == [("0002",)]
    (last,) = ask(url, "SELECT action, subject, detail FROM platform.audit_log ORDER BY id DESC LIMIT 1")
    assert last[:2] == ("migration", "0002") and "gaps are unchanged: (39, " in str(last[2])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"holds": "SELECT false"}, "gaps know their length"),
        ({"holds": "SELECT NULL::boolean"}, "gave None, not true"),
        ({"also": "DELETE FROM platform.gaps WHERE id = 7"}, "the count differs"),
        ({"also": "UPDATE platform.gaps SET venue = 'x' WHERE id = 7"}, "the checksum differs"),
        ({"also": "UPDATE platform.audit_log SET at = at + INTERVAL '1 hour'"}, "the checksum differs"),
    ],
)
def test_a_false_proof_undoes_its_revision(
    change: dict[str, str],
    told: str,
    postgres: Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Version, tables and rows are as before; the failure is in the audit log."""
    url = postgres.migrated()
    fill(url)
    gaps, schema = ask(url, "SELECT * FROM platform.gaps ORDER BY id"), ask(url, SCHEMA)
    with pytest.raises(ProofFailed, match=told):
        migrate.upgrade(url, folder=folder(tmp_path, **change))
    assert ask(url, "SELECT version_num FROM platform.schema_version") == [("0001",)]
    assert (ask(url, "SELECT * FROM platform.gaps ORDER BY id"), ask(url, SCHEMA)) == (gaps, schema)
    (last,) = ask(url, "SELECT action, subject, detail FROM platform.audit_log ORDER BY id DESC LIMIT 1")
    assert last[:2] == ("migration undone", "0002") and told in str(last[2])


def test_a_sample_finds_what_sums_do_not(postgres: Server) -> None:  # noqa: F811
    """Rows are compared value by value too: swapped checksums would cancel out, swapped values do not."""
    url = postgres.migrated()
    fill(url)
    proof = Unchanged(("platform", "gaps"), ("id", "venue"))
    with psycopg.connect(url) as db:
        before = proof.before(db)
        assert proof.after(db, before) == before[:2]  # type: ignore[index]
        count, total, sample = before  # type: ignore[misc]
        with pytest.raises(ProofFailed, match="sampled rows"):
            proof.after(db, (count, total, sample[1:]))


def test_two_that_migrate_at_once_do_it_once(postgres: Server) -> None:  # noqa: F811
    """The second waits and finds nothing to do."""
    url = postgres.database()
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(len(migrate.upgrade(url)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 0, 1]


def test_a_database_of_a_newer_version_is_refused(postgres: Server) -> None:  # noqa: F811
    """One line says so; nothing is touched."""
    url = postgres.migrated()
    with psycopg.connect(url) as db:
        db.execute("UPDATE platform.schema_version SET version_num = '9999'")
    with pytest.raises(UsageError, match="newer version"):
        migrate.upgrade(url)


def test_the_tables_of_an_older_ledger_are_kept_aside(postgres: Server) -> None:  # noqa: F811
    """The ledger could lie in the database once: its schema gets another name and keeps its rows."""
    url = postgres.database()
    with psycopg.connect(url) as db:
        db.execute("CREATE SCHEMA platform")
        db.execute("CREATE TABLE platform.sequences AS SELECT 7 AS from_id")
    migrate.upgrade(url)
    assert ask(url, "SELECT from_id FROM ledger_until_0001.sequences") == [(7,)]


def test_one_database_belongs_to_one_data_directory(postgres: Server, tmp_path: Path) -> None:  # noqa: F811
    """The same id lies in both; another directory, and another database, are refused."""
    first, second = (DataDir(tmp_path / name).create() for name in ("first", "second"))
    mine, other = postgres.migrated(), postgres.migrated()
    access.writer(first, mine).close()
    access.writer(first, mine).close()
    assert ask(mine, "SELECT id::text FROM platform.identity") == [(identity.on_disk(first),)]
    with pytest.raises(UsageError, match="belongs to another data directory"):
        access.writer(second, mine)
    with pytest.raises(UsageError, match="belongs to another data directory"):
        access.reader(second, mine)
    assert identity.on_disk(second) is None
    access.writer(second, other).close()
    with pytest.raises(UsageError, match="belongs to another database"):
        access.writer(first, other)
    access.reader(first, mine).close()


def test_a_fresh_database_is_prepared_by_the_login_of_database_up(
    postgres: Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A login that is no superuser migrates its own database, writes as the writer and reads without asking."""
    url = postgres.login(postgres.database())
    data = DataDir(tmp_path).create()
    with pytest.raises(UsageError, match="not prepared"):
        access.reader(data, url)
    pool = access.writer(data, url)
    with pool.transaction() as db:
        assert db.execute("SELECT current_user::text, current_setting('timezone')").fetchone() == (roles.WRITER, "UTC")
    pool.close()
    assert ask(url, "SELECT count(*) FROM market.ticks") == [(0,)]


def test_waits_are_bounded(postgres: Server) -> None:  # noqa: F811
    """A slow query, a held lock, an exhausted pool and a closed port each end in one named error."""
    from trading_platform.store.database.pool import DatabasePool

    url = postgres.migrated()
    pool = DatabasePool(url, roles.WRITER, query_ms=50, lock_ms=40, size=1, free_s=0.05)
    with pytest.raises(DatabaseUnavailable, match="statement timeout"), pool.transaction() as db:
        db.execute("SELECT pg_sleep(5)")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE platform.watermarks")
        with pytest.raises(DatabaseUnavailable, match="lock timeout"), pool.transaction() as db:
            db.execute("SELECT * FROM platform.watermarks FOR UPDATE")
    with (
        pool.transaction(),
        pytest.raises(DatabaseUnavailable, match="no free connection"),
        pool.transaction(),
    ):
        pass
    with pool.transaction() as db:
        assert db.execute("SELECT count(*) FROM platform.watermarks").fetchone() == (0,)
    pool.close()
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        migrate.upgrade("postgresql://me@127.0.0.1:1/none")


def test_an_error_names_neither_user_nor_password(postgres: Server, tmp_path: Path) -> None:  # noqa: F811
    """What is told of an address is its host, port and database."""
    wrong = f"postgresql://tester:hunter2@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises((DatabaseUnavailable, UsageError)) as caught:
        access.writer(DataDir(tmp_path).create(), wrong)
    assert "hunter2" not in str(caught.value) and f"127.0.0.1:{postgres.port}/postgres" in str(caught.value)


def test_names_reach_sql_as_names(postgres: Server) -> None:  # noqa: F811
    """A database and a user whose names would be SQL are only names."""
    name = "it's; DROP SCHEMA market --"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        roles.make_login(db, name, "a'b")
        roles.make_database(db, name, owner=name)
        owner = db.execute(
            "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = %s", [name]
        ).fetchone()
        db.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        db.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    assert owner == (name,)
