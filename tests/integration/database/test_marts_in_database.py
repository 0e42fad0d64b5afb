"""The same models on TimescaleDB give the rows that they give over the lake."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from tests.support.builders.dbt_project import KEYS, dbt, rows, values
from tests.support.builders.two_venues import FIRST, filled  # noqa: F401  the fixture
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.domain.errors import WorkError
from trading_platform.store.database import access
from trading_platform.store.database.mirror import LedgerMirror
from trading_platform.store.database.rows.lake_copy import LakeCopy
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.warehouse import project
from trading_platform.warehouse.building import READ

# ruff: noqa: F811  fixtures are handed in under their own names

FAR_NS = 2**62


def copy_lake(data: DataDir, url: str) -> None:
    """Bring the lake into the database as the follower of ingest does, without its ticks."""
    ledger, pool = Ledger.open(data), access.writer(data, url)
    copies = LakeCopy(data, ledger, pool)
    assert copies.copy([leaf for leaf in copies.due() if leaf.dataset in READ])
    LedgerMirror(pool).refresh(ledger, FAR_NS)
    pool.close()
    ledger.close()


def test_both_engines_give_the_same_marts(filled: Path, tmp_path: Path, postgres: Server) -> None:
    """Every mart has the same rows, tests pass on the database too, and there too only a repaired day is made again."""
    url = postgres.migrated()
    name = url.rpartition("/")[2]
    with psycopg.connect(url) as db:
        db.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO tp_owner").format(sql.Identifier(name)))
    login = postgres.login(url)
    copy_lake(DataDir(filled), login)
    assert dbt(tmp_path / "duckdb", "run", DATA_DIR=str(filled)).success
    project.build_in_database(DataDir(filled), login)
    for mart, key in KEYS.items():
        ours = rows(filled, f"marts.{mart}")
        columns = [name for name in ours.columns if name != "revision"]
        lake_rows = values(ours, columns, key)
        database_rows = values(read(login, mart), columns, key)
        assert len(lake_rows) == len(database_rows) > 0, mart
        for one, other in zip(lake_rows, database_rows, strict=True):
            for column, a, b in zip(columns, one, other, strict=True):
                assert alike(a, b), (mart, column, one, other)
    with psycopg.connect(login, options="-c role=tp_owner") as db:
        db.execute("UPDATE marts.daily_market_summary SET trade_count = -7")
        db.execute(
            "INSERT INTO platform.revisions SELECT path, 'repaired', clock_timestamp(), dataset, venue, symbol, day,"
            " rows FROM platform.revisions WHERE dataset = 'bars' AND symbol = 'ETH-USDT' AND day = %s",
            [FIRST],
        )
    parsed = project.target_of(DataDir(filled)) / "timescaledb"
    assert dbt(parsed, "run", "--target", "timescaledb", DATABASE_URL=login).success
    found = read(login, "daily_market_summary")
    right = found[found["trade_count"] != -7]
    assert [(row.symbol, str(row.date)) for row in right.itertuples()] == [("ETH-USDT", FIRST)]


def test_a_database_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    """The words are dbt's; the password is not among them."""
    with pytest.raises(WorkError, match="dbt build failed") as error:
        project.build_in_database(DataDir(tmp_path).create(), "postgresql://me:a-secret@127.0.0.1:9/none")
    assert "127.0.0.1" in str(error.value) and "a-secret" not in str(error.value)


def alike(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return a == b and type(a) is type(b)


def read(url: str, mart: str) -> pd.DataFrame:
    """Return a mart as a reader of the platform's tables sees it."""
    with psycopg.connect(url, options="-c role=tp_reader -c timezone=UTC") as db:
        cursor = db.execute(sql.SQL("SELECT * FROM marts.{}").format(sql.Identifier(mart)))
        return pd.DataFrame(
            cursor.fetchall(), columns=[column.name for column in cursor.description or ()], dtype=object
        )
