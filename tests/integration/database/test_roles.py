"""Least privilege: each role is tried at what it must do, and at what it must not."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.store.database import roles
from trading_platform.store.database.pool import options

HOSTILE = [
    "x'); DROP TABLE market.ticks; --",
    "'||pg_sleep(9)||'",
    "%s %(a)s {}",
    "\\'; \\copy",
    '"; --',
    "$$;$$",
    "\u202e;",
]
TICK = (
    "INSERT INTO market.ticks VALUES"
    " (1, 0, 5, NULL, '2024-08-08T00:00:00Z', 0, '2024-08-08T00:00:00Z', 0, 1.5, 2, 'buy', 'ws')"
)
MAY = {
    roles.WRITER: [
        "INSERT INTO market.instruments (venue, symbol) VALUES ('binance', 'A-B')",
        TICK,
        "UPDATE market.ticks SET price = 2",
        "DELETE FROM market.ticks",
        "INSERT INTO platform.watermarks VALUES ('s', 'l', 0, 0, '')",
        "INSERT INTO platform.audit_log (actor, action, subject, detail) VALUES ('a', 'b', 'c', 'd')",
        "CREATE TEMP TABLE fresh (LIKE market.ticks)",
    ],
    roles.READER: [
        "SELECT * FROM market.ticks",
        "SELECT * FROM platform.audit_log",
        "SELECT * FROM market.ticks_by_hour",
    ],
    roles.OWNER: ["ALTER TABLE market.ticks ADD extra text", "CREATE TABLE market.more (x int)"],
}
MUST_NOT = {
    roles.WRITER: [
        "DROP TABLE market.ticks",
        "ALTER TABLE market.ticks ADD extra text",
        "CREATE TABLE market.more (x int)",
        "CREATE TABLE public.more (x int)",
        "CREATE SCHEMA more",
        "TRUNCATE market.ticks",
        "SELECT drop_chunks('market.ticks', now())",
        "DELETE FROM platform.audit_log",
        "UPDATE platform.audit_log SET detail = ''",
        "UPDATE platform.identity SET only_one = true",
        "DELETE FROM platform.revisions",
        "UPDATE market.instruments SET symbol = 'C-D'",
        "DELETE FROM market.instruments",
        "UPDATE platform.schema_version SET version_num = 'x'",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY market.ticks TO PROGRAM 'true'",
        "CREATE ROLE more",
    ],
    roles.READER: [
        TICK,
        "INSERT INTO platform.gaps SELECT * FROM platform.gaps",
        "UPDATE market.ticks SET price = 2",
        "DELETE FROM market.ticks",
        "DELETE FROM platform.watermarks",
        "DROP TABLE market.ticks",
        "CREATE TABLE public.more (x int)",
        "INSERT INTO platform.audit_log (actor, action, subject, detail) VALUES ('a', 'b', 'c', 'd')",
        "SELECT * FROM pg_authid",
    ],
    roles.OWNER: ["CREATE ROLE more", "SELECT pg_read_file('/etc/passwd')", "SELECT * FROM pg_authid"],
}


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:  # noqa: F811
    """Give a migrated database, for the login that `database up` makes."""
    return postgres.login(postgres.migrated())


def tried(url: str, role: str | None, statement: str) -> str | None:
    """Return the error's code, None if the statement was done; it is undone."""
    with psycopg.connect(url, options=options(role)) as db:
        try:
            db.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            db.rollback()
    return None


DENIED = "42501"


def test_each_role_may_do_its_work_and_nothing_else(url: str) -> None:
    """Every statement that a role needs is done, every other is denied for lack of rights, not for another reason."""
    assert {(role, s): tried(url, role, s) for role, few in MAY.items() for s in few} == dict.fromkeys(
        ((role, s) for role, few in MAY.items() for s in few), None
    )
    denied = {(role, s): tried(url, role, s) for role, many in MUST_NOT.items() for s in many}
    assert {key: code for key, code in denied.items() if code != DENIED} == {}


def test_a_login_reads_by_itself_and_writes_only_in_a_role(url: str) -> None:
    """`psql` with the address shows rows at once; writing takes SET ROLE."""
    assert tried(url, None, "SELECT count(*) FROM market.ticks") is None
    assert tried(url, None, TICK) == DENIED
    assert tried(url, None, f"SET ROLE {roles.WRITER}; {TICK}") is None


def test_a_stranger_is_refused(url: str, postgres: Server) -> None:  # noqa: F811
    """Another login of the same server may not even connect."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
        db.execute("CREATE ROLE stranger LOGIN PASSWORD 'not a secret'")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url.replace("trading_platform:", "stranger:"))
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as db:
            db.execute("DROP ROLE stranger")


def test_hostile_texts_are_stored_as_they_are(url: str) -> None:
    """In every text column of every table a text that would be SQL comes back as it went in."""
    fixed = {"side", "source", "trade_uid"}
    with psycopg.connect(url, options=options(roles.OWNER)) as db:
        columns = db.execute(
            "SELECT table_schema::text, table_name::text, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_schema IN ('market', 'platform') AND data_type = 'text' GROUP BY 1, 2"
        ).fetchall()
        assert sum(len(names) for _, _, names in columns) > 30
        for schema, table, names in columns:
            if (schema, table) == ("market", "ticks_by_hour"):
                continue
            for text in HOSTILE:
                chosen = [name for name in names if name not in fixed]
                found = db.execute("SELECT " + ", ".join(["%s::text"] * len(chosen)), [text] * len(chosen)).fetchone()
                assert found == (text,) * len(chosen), (schema, table)


@pytest.mark.parametrize("wrong", ["'NaN'", "'Infinity'", "0", "-1", "1e18"])
def test_no_price_that_is_none_gets_in(wrong: str, url: str) -> None:
    """NaN, infinity, nothing and too much are refused by the table itself."""
    assert tried(url, roles.WRITER, TICK.replace("1.5", wrong)) == "23514"
    assert tried(url, roles.WRITER, TICK.replace("1.5, 2", f"1.5, {wrong}")) == "23514"
