"""The same models on TimescaleDB give the rows that they give over the lake."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from tests.support.builders.dbt_project import KEYS, dbt, rows, values
from tests.support.builders.two_venues import filled  # noqa: F401  the fixture
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.domain.errors import WorkError
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.duckdb_statements import run
from trading_platform.warehouse import project
from trading_platform.warehouse.building import show_lake

# ruff: noqa: F811  fixtures are handed in under their own names

FAR_NS = 2**62


def copy_lake(data: DataDir, url: str) -> None:
    """Put the lake's rows into the database, through SQL alone."""
    with duckdb.connect() as lake, psycopg.connect(url) as db:
        run(lake, "SET TimeZone = 'UTC'")
        run(lake, "ATTACH ':memory:' AS warehouse")
        show_lake(lake, data, FAR_NS)
        ids = {}
        for venue, symbol in run(lake, "SELECT DISTINCT venue, symbol FROM warehouse.lake.bars ORDER BY ALL"):
            put = "INSERT INTO market.instruments (venue, symbol) VALUES (%s, %s) RETURNING id"
            ids[venue, symbol] = db.execute(put, [venue, symbol]).fetchone()[0]
        for table in ("bars", "regimes"):
            columns = [
                name
                for name, *_ in run(lake, f"DESCRIBE warehouse.lake.{table}")
                if name not in {"venue", "symbol", "date"}
            ]
            found = run(lake, f"SELECT venue, symbol, {', '.join(columns)} FROM warehouse.lake.{table}")
            insert(db, f"market.{table}", ["instrument_id", *columns], [(ids[row[:2]], *row[2:]) for row in found])
        names = [name for name, *_ in run(lake, "DESCRIBE warehouse.lake.completeness")]
        found = run(lake, "FROM warehouse.lake.completeness")
        insert(db, "platform.completeness", ["day" if name == "date" else name for name in names], found)


def insert(db: psycopg.Connection, table: str, columns: list[str], found: list[tuple[object, ...]]) -> None:
    place, names = sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    with db.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(place, names)) as copy:
        for row in found:
            copy.write_row(row)


def test_both_engines_give_the_same_marts(filled: Path, tmp_path: Path, postgres: Server) -> None:
    """Every mart has the same rows, the tests pass on the database too, and a second run there changes nothing."""
    url = postgres.migrated()
    name = url.rpartition("/")[2]
    with psycopg.connect(url) as db:
        db.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO tp_owner").format(sql.Identifier(name)))
    login = postgres.login(url)
    copy_lake(DataDir(filled), url)
    assert dbt(tmp_path / "duckdb", "run", DATA_DIR=str(filled)).success
    project.build_in_database(DataDir(filled), login)
    again = project.target_of(DataDir(filled)) / "timescaledb"
    assert dbt(again, "run", "--target", "timescaledb", DATABASE_URL=login).success
    for mart, key in KEYS.items():
        ours = rows(filled, f"marts.{mart}")
        columns = [name for name in ours.columns if name != "revision"]
        lake_rows = values(ours, columns, key)
        database_rows = values(read(login, mart), columns, key)
        assert len(lake_rows) == len(database_rows) > 0, mart
        for one, other in zip(lake_rows, database_rows, strict=True):
            for column, a, b in zip(columns, one, other, strict=True):
                assert alike(a, b), (mart, column, one, other)


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
