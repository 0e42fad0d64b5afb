"""`status` and `gaps list` tell the ledger to people in few lines and to programs in full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.large import Size, fill_ledger
from trading_platform import cli
from trading_platform.commands import gaps, status
from trading_platform.commands.support.tables import table
from trading_platform.completeness.day_status import runs
from trading_platform.domain.days import day_start
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger

LATER = day_start("2026-01-01")


def filled(folder: Path, size: Size) -> Ledger:
    """Return a ledger of that size."""
    ledger = Ledger.open(DataDir(folder).create())
    fill_ledger(ledger, size)
    return ledger


def said(capsys: pytest.CaptureFixture[str], folder: Path, words: str) -> str:
    """Run a command and return what it prints."""
    assert cli.main([*words.split(), "--data-dir", str(folder)]) == 0
    return capsys.readouterr().out


def test_a_symbol_with_few_runs_shows_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run of equal state has its line."""
    ledger = filled(tmp_path, Size(2, 9, 4))
    lines = said(capsys, tmp_path, "status").splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("  ")]
    every = runs(ledger.day_table(LATER)).values()
    assert shown == [run.first for each in every for run in each]
    ledger.close()


def test_a_symbol_with_many_runs_shows_counts_and_the_newest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its days are counted by state, a few runs that are not complete follow, and the last line says where all are."""
    ledger = filled(tmp_path, Size(1, 90, 30))
    (every,) = runs(ledger.day_table(LATER)).values()
    head, counts, *few, blank, last = said(capsys, tmp_path, "status").splitlines()
    assert head.startswith("binance C0000-USDT: ")
    assert counts.startswith(f"  90 days in {len(every)} runs: ") and len(every) > status.MOST_RUNS
    told = dict(reversed(part.split()) for part in counts.split(": ")[1].split(";")[0].split(", "))
    assert {state: int(days) for state, days in told.items()} == {
        state: sum(run.days for run in every if run.state == state) for state in told
    }
    newest = [run.first for run in every if run.state != "complete"][-status.FEW_RUNS :]
    assert [line.split()[0] for line in few] == newest
    assert blank == "" and "--json" in last
    found = json.loads(said(capsys, tmp_path, "status --json"))[0]["runs"]
    names = ("from", "to", "days", "state", "stored", "expected")
    assert found == [dict(zip(names, run, strict=True)) for run in every]
    ledger.close()


def test_open_gaps_are_listed_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text and JSON hold the rows of the ledger, by venue, symbol and first missing id, whatever their numbers."""
    ledger = filled(tmp_path, Size(3, 5, 60))
    with ledger.database.writing() as db:  # numbers that do not follow the order
        db.exec_driver_sql("UPDATE gaps SET id = 1000 - id, state = CASE WHEN id % 3 THEN 'open' ELSE 'leased' END")
    rows: list[dict[str, Any]] = [{**gap._asdict(), "missing": gap.missing} for gap in ledger.gaps()]
    assert json.loads(said(capsys, tmp_path, "gaps list --json")) == rows
    assert said(capsys, tmp_path, "gaps list") == table(rows, gaps.COLUMNS) + "\n"
    assert len(rows) == 60
    ledger.close()


@pytest.mark.process
def test_a_reader_of_the_ledger_imports_little(tmp_path: Path) -> None:
    """Neither the model of all settings, nor what migrates, nor a server's dialect is imported to tell what is held."""
    filled(tmp_path, Size(1, 2, 1)).close()
    script = (
        "import sys; from trading_platform import cli; code = cli.main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    words = [sys.executable, "-c", script, "status", "--data-dir", str(tmp_path)]
    environ = {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=environ)
    assert not {"pydantic", "alembic", "pyarrow", "pandas", "sqlalchemy.dialects.postgresql"} & set(done.stderr.split())
