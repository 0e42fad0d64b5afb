"""Run dbt in this process on the project of the tree, and read what it made."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pandas as pd
from dbt.cli.main import dbtRunner, dbtRunnerResult

PROJECT = Path(__file__).resolve().parents[3] / "dbt"

KEYS = {
    "daily_market_summary": ["venue", "symbol", "date"],
    "hour_of_day_profile": ["venue", "symbol", "hour"],
    "regime_performance": ["model", "timeframe", "venue", "symbol", "label"],
    "regime_transitions": ["model", "timeframe", "venue", "symbol", "label", "next_label"],
    "completeness": ["venue", "symbol", "date"],
    "cross_venue_spread": ["symbol", "venue", "other_venue", "date"],
    "venue_share": ["symbol", "date", "venue"],
}
"""The marts, and what a row of each is one of."""


def dbt(target: Path, *words: str, project: Path = PROJECT, **environ: str) -> dbtRunnerResult:
    """Run a command of dbt's; `target` takes what it compiles, and keeps the parsed project for the next one."""
    places = ("--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(target))
    with mock.patch.dict(os.environ, {f"TRADING_PLATFORM_{name}": value for name, value in environ.items()}):
        return dbtRunner().invoke([*words, *places, "--log-level", "none", "--log-level-file", "none"])


def statuses(result: dbtRunnerResult) -> dict[str, list[str]]:
    """Return the names of models and tests by what became of them."""
    if result.exception is not None:
        raise result.exception
    found: dict[str, list[str]] = {}
    for one in result.result.results:
        found.setdefault(str(one.status), []).append(one.node.name)
    return found


def rows(data: Path, table: str) -> pd.DataFrame:
    """Return a table of the published warehouse."""
    with duckdb.connect(str(data / "warehouse.duckdb"), read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        return db.sql(f"FROM {table}").df()


def change(data: Path, statement: str) -> None:
    """Change the published warehouse, as nobody does."""
    with duckdb.connect(str(data / "warehouse.duckdb")) as db:
        db.execute(statement)


def values(frame: pd.DataFrame, columns: list[str], key: list[str]) -> list[tuple[Any, ...]]:
    """Return the rows as plain values in the order of their keys; days as text, no value as None."""
    plain = frame[columns].astype(object).where(frame[columns].notna(), None)
    for name in {"date"} & set(columns):
        plain[name] = [str(value)[:10] for value in plain[name]]
    return sorted(
        (tuple(map(_plain, row)) for row in plain.itertuples(index=False)),
        key=lambda r: str([r[columns.index(k)] for k in key]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return value.item() if hasattr(value, "item") else value
