"""The marts over a small lake equal the naive twin, are built again only where a file was replaced, and never lock."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.support.builders.dbt_project import KEYS, PROJECT, change, dbt, rows, statuses, values
from tests.support.builders.lakes import Market, made_up
from tests.support.builders.two_venues import DAYS, FIRST, LAST, compute, filled  # noqa: F401  a fixture
from tests.support.judges.naive import marts as naive
from trading_platform.completeness.records import DayStatus
from trading_platform.domain.errors import LockHeld
from trading_platform.store.fs.layout import DataDir
from trading_platform.warehouse import building
from trading_platform.warehouse.building import WarehouseBuild
from trading_platform.warehouse.dbt_plugin import data_root

# ruff: noqa: F811  fixtures are handed in under their own names


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which dbt keeps the parsed project between the tests."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture(scope="module")
def built(filled: Path, target: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give that lake with its warehouse, built with all tests."""
    data = Path(shutil.copytree(filled, tmp_path_factory.mktemp("built") / "data"))
    done = dbt(target, "build", DATA_DIR=str(data))
    assert done.success, statuses(done)
    return data


@pytest.fixture
def lake(filled: Path, tmp_path: Path) -> Path:
    """Give a copy of that lake, to be changed."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


def same(mart: str, found: pd.DataFrame, expected: pd.DataFrame) -> None:
    columns = [name for name in found.columns if name != "revision"]
    assert set(columns) == set(expected.columns), mart
    ours, theirs = (values(frame, columns, KEYS[mart]) for frame in (found, expected))
    assert len(ours) == len(theirs), mart
    for our, their in zip(ours, theirs, strict=True):
        for name, a, b in zip(columns, our, their, strict=True):
            equal = (
                math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) if isinstance(a, float) and b is not None else a == b
            )
            assert equal, (mart, name, our, their)


def test_every_column_of_every_mart_equals_the_naive_twin(built: Path) -> None:
    """Built with all its tests over two exchanges, each mart holds what pandas makes of the same files."""
    market = Market.open(built)
    days = [row._asdict() for row in market.ledger.day_report(2**62)]
    market.ledger.close()
    expected = {**naive.marts(built / "lake"), "completeness": naive.completeness(days)}
    assert set(expected) == set(KEYS)
    for mart, frame in expected.items():
        found = rows(built, f"marts.{mart}")
        assert len(found), mart
        same(mart, found, frame)


def test_a_lake_without_anything_gives_typed_empty_marts(tmp_path: Path, built: Path, target: Path) -> None:
    """An empty data directory builds, with the columns and types that a filled one has."""
    done = dbt(target, "run", DATA_DIR=str(tmp_path))
    assert done.success, statuses(done)
    for mart in KEYS:
        assert len(rows(tmp_path, f"marts.{mart}")) == 0
        assert shape(tmp_path, mart) == shape(built, mart)


def shape(data: Path, mart: str) -> list[tuple[str, str]]:
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as db:
        found = db.execute(f"DESCRIBE marts.{mart}").fetchall()
    return [(name, kind) for name, kind, *_ in found]


def test_one_exchange_without_regimes_builds_with_all_tests(lake: Path, target: Path) -> None:
    """Without a second exchange there is no spread, without regimes no performance; the rest is there tests pass."""
    for path in (lake / "lake" / "regimes", *(lake / "lake" / "bars").glob("*/venue=kraken")):
        shutil.rmtree(path)
    done = dbt(target, "build", DATA_DIR=str(lake))
    assert done.success, statuses(done)
    counts = {mart: len(rows(lake, f"marts.{mart}")) for mart in KEYS}
    empty = {mart for mart, count in counts.items() if not count}
    assert empty == {"cross_venue_spread", "regime_performance", "regime_transitions"}
    assert set(rows(lake, "marts.venue_share")["volume_share"]) == {1.0}


DAILY = ("marts.daily_market_summary", "marts.venue_share", "marts.cross_venue_spread", "intermediate.int_hours")


def test_only_rows_of_a_repaired_day_are_built_again(lake: Path, target: Path) -> None:
    """Rows that were made wrong by hand stay wrong, but for those of the day whose trades were repaired."""
    assert dbt(target, "run", DATA_DIR=str(lake)).success
    for table in DAILY:
        change(lake, f"UPDATE {table} SET {wrong(table)} = -7")
    market = Market.open(lake)
    missing = made_up(FIRST, DAYS, 1500)
    market.hold(missing.between(missing.ids[402], missing.ids[419]), lane="fetch-0")
    compute(market)
    market.ledger.close()
    assert dbt(target, "run", DATA_DIR=str(lake)).success
    for table in DAILY:
        found = rows(lake, table)
        right = found[found[wrong(table)] != -7]
        assert {(symbol, str(date)[:10]) for symbol, date in zip(right["symbol"], right["date"], strict=True)} == {
            ("BTC-USDT", FIRST)
        }, table
    assert dbt(target, "run", "--full-refresh", DATA_DIR=str(lake)).success
    for mart, frame in naive.marts(lake / "lake").items():
        same(mart, rows(lake, f"marts.{mart}"), frame)


def wrong(table: str) -> str:
    return "minutes" if table.endswith("spread") else "trade_count"


def test_a_day_that_is_gone_has_no_row(lake: Path, target: Path, tmp_path: Path) -> None:
    """What was removed from the lake is removed from the marts; days that were not asked for are let be."""
    assert dbt(target, "run", DATA_DIR=str(lake)).success
    for path in list((lake / "lake").rglob(f"date={FIRST}")):
        shutil.rmtree(path)
    later = ("--vars", f"{{from_day: {LAST}, to_day: {LAST}}}")
    assert dbt(tmp_path / "target", "run", *later, DATA_DIR=str(lake)).success
    assert FIRST in {str(date)[:10] for date in rows(lake, "marts.daily_market_summary")["date"]}
    assert dbt(target, "run", DATA_DIR=str(lake)).success
    for mart, frame in naive.marts(lake / "lake").items():
        same(mart, rows(lake, f"marts.{mart}"), frame)


def test_a_users_own_mart_is_one_file_and_a_failed_test_publishes_nothing(lake: Path, tmp_path: Path) -> None:
    """A model put beside ours is built; with a test that fails the published warehouse stays as it was."""
    project = Path(shutil.copytree(PROJECT, tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs")))
    mine = project / "models" / "marts" / "quiet_days.sql"
    mine.write_text("select venue, symbol, date from {{ ref('daily_market_summary') }} where trade_count < 1000\n")
    done = dbt(tmp_path / "target", "run", project=project, DATA_DIR=str(lake))
    assert done.success, statuses(done)
    expected = naive.marts(lake / "lake")["daily_market_summary"].query("trade_count < 1000")
    found = rows(lake, "marts.quiet_days")
    assert 0 < len(found) == len(expected)
    before = (lake / "warehouse.duckdb").read_bytes()
    (project / "tests" / "no_quiet_day.sql").write_text("select * from {{ ref('quiet_days') }}\n")
    failed = dbt(tmp_path / "target", "build", "--select", "quiet_days", project=project, DATA_DIR=str(lake))
    assert not failed.success and statuses(failed)["fail"] == ["no_quiet_day"]
    assert (lake / "warehouse.duckdb").read_bytes() == before
    assert not list((lake / "run" / "warehouse").iterdir())


def test_a_reader_sees_the_last_build_until_the_next_is_whole(lake: Path) -> None:
    """While a build writes, the published file can be opened and holds what it held; a second build waits its turn."""
    first = WarehouseBuild(DataDir(lake))
    with duckdb.connect() as db:
        first.open(db)
        db.execute("CREATE TABLE warehouse.main.made (number INTEGER)")
        with pytest.raises(LockHeld):
            WarehouseBuild(DataDir(lake), wait_s=0).open(db)
        assert not DataDir(lake).warehouse.exists()
        db.execute("DETACH warehouse")
        first.publish()
        first.close()
    second = WarehouseBuild(DataDir(lake))
    with duckdb.connect() as db:
        second.open(db)
        db.execute("INSERT INTO warehouse.main.made VALUES (1)")
        assert len(rows(lake, "main.made")) == 0
        db.execute("DETACH warehouse")
        second.close()  # not published
    assert len(rows(lake, "main.made")) == 0
    third = WarehouseBuild(DataDir(lake))
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        third.path.with_name(name).write_bytes(b"left by a build that was killed")
    with duckdb.connect() as db:
        third.open(db)
        assert db.execute("SELECT count(*) FROM warehouse.main.made").fetchall() == [(0,)]
        db.execute("DETACH warehouse")
    third.close()


def test_whatever_the_ledger_says_of_a_day_is_built(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids counted on both days, a venue that lists more or less than is held, nothing held: no test fails."""
    counts = [
        # expected, stored, void, open, unrecoverable, state
        (100, 99, 2, 0, 0, "complete"),
        (100, 90, 0, 7, 4, "repairing"),
        (None, 5, 0, 0, 3, "incomplete"),
        (120, 100, 0, 0, 0, "unproven"),
        (80, 100, 0, 0, 0, "unproven"),
        (100, 100, 0, 0, 0, "reconciled"),
        (0, 0, 0, 0, 0, "reconciled"),
        (None, 0, 0, 2, 0, "recording"),
    ]
    days = [DayStatus("kraken", "BTC-USDT", f"2024-08-{at:02}", None, None, *row) for at, row in enumerate(counts, 1)]  # type: ignore[arg-type]
    monkeypatch.setattr(building, "_statuses", lambda *_: iter(days))
    done = dbt(target, "build", "--select", "+completeness", DATA_DIR=str(tmp_path))
    assert done.success, statuses(done)
    same("completeness", rows(tmp_path, "marts.completeness"), naive.completeness([day._asdict() for day in days]))


def test_a_damaged_warehouse_is_made_anew(lake: Path) -> None:
    """A file that DuckDB cannot open, or of another program, costs a whole build and no hand."""
    DataDir(lake).warehouse.write_bytes(b"no database" * 1000)
    build = WarehouseBuild(DataDir(lake))
    with duckdb.connect() as db:
        build.open(db)
        assert db.execute("SELECT count(*) > 0 FROM warehouse.lake.leaves").fetchall() == [(True,)]
        db.execute("DETACH warehouse")
        build.publish()
        build.close()
    assert len(rows(lake, "lake.bars"))


def test_every_column_is_described_and_every_key_is_tested(built: Path, target: Path) -> None:
    """dbt's own list says it: no column without words, no model without a unique key, no nullable key."""
    manifest = json.loads((target / "manifest.json").read_text())
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert set(KEYS) < set(models)
    for name, model in models.items():
        described = {column for column, about in model["columns"].items() if about["description"]}
        assert described == set(rows(built, f"{model['schema']}.{name}").columns), name
        mine = [test for test in tests if test.get("attached_node") == model["unique_id"]]
        (unique,) = (test["test_metadata"]["kwargs"] for test in mine if "unique_combination" in test["name"])
        known = {test["column_name"] for test in mine if test["name"].startswith("not_null")}
        assert set(unique["columns"]) <= known, name
        assert unique["columns"] == KEYS.get(name, unique["columns"])


def test_a_wrong_data_directory_is_named_in_one_line(tmp_path: Path, target: Path) -> None:
    """A build over a directory that does not exist says which, and makes nothing."""
    failed = dbt(target, "run", DATA_DIR=str(tmp_path / "never"))
    assert not failed.success and "never is no data directory" in str(failed.exception)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("here", "project", "began"),
    [
        ("/some/tree/dbt", "dbt", "/some/tree"),
        ("/some/tree/dbt", "./dbt/", "/some/tree"),
        ("/a/dbt", "/a/dbt", "/started"),
    ],
)
def test_a_relative_directory_is_meant_where_dbt_was_started(
    here: str, project: str, began: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dbt changes to the project's folder; the data directory of the settings lies below the one before."""
    monkeypatch.setenv("PWD", "/started")
    assert data_root(Path(here), project) == Path(began, "data")
