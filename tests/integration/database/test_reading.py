"""Every `read_*` gives the same rows from the database as from the lake, to the last digit and type."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd
import psycopg
import pytest

import trading_platform as tp
from tests.support.builders.lakes import Market, made_up
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform import cli

DAYS = ("2024-03-04", "2024-03-08")
READS = ("ticks", "bars", "indicators", "regimes")
SPANS = (DAYS, ("2024-03-05T03:00:00.000000001", "2024-03-05T07:30"), ("2024-04-01", "2024-04-02"))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of three days with bars, indicators and labels."""
    root = tmp_path_factory.mktemp("lake") / "data"
    market = Market.open(root)
    market.ledger.mark_kind("simulated")
    market.hold(made_up("2024-03-04", 3, 900))
    market.ledger.close()
    where = ["--data-dir", str(root)]
    days = ["--from", "2024-03-04", "--to", "2024-03-06"]
    assert cli.main(["backfill", "--assets", "bars,indicators,regimes", *days, *where]) == 0
    return root


@pytest.fixture
def filled(postgres: Server, lake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: F811
    """Give the lake with a database that was filled from it."""
    (lake / "state" / "database-id").unlink(missing_ok=True)
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", postgres.migrated())
    assert cli.main(["database", "migrate", "--data-dir", str(lake)]) == 0
    yield lake
    (lake / "state" / "database-id").unlink(missing_ok=True)


def test_the_rows_are_those_of_the_lake(filled: Path) -> None:
    """Whole days, a part of one that begins within a microsecond, and a span of which nothing is stored."""
    for name, span in product(READS, SPANS):
        read = getattr(tp, f"read_{name}")
        here, there = (read("BTC-USDT", *span, data_dir=filled, source=source) for source in ("lake", "database"))
        pd.testing.assert_frame_equal(here, there[here.columns.tolist()], check_exact=True)
        assert len(here) > 0 or span == SPANS[-1]


def test_what_the_database_cannot_answer_is_refused(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database set, another source, a question as of a time: one sentence each."""
    with pytest.raises(tp.UsageError, match="there is no database"):
        tp.read_bars("BTC-USDT", *DAYS, data_dir=lake, source="database")
    with pytest.raises(tp.UsageError, match="sources: lake database"):
        tp.read_bars("BTC-USDT", *DAYS, data_dir=lake, source="postgres")  # type: ignore[arg-type]
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(tp.UsageError, match="as_of is answered from the lake"):
        tp.read_bars("BTC-USDT", *DAYS, data_dir=lake, source="database", as_of="2024-03-05")
    assert os.environ["TRADING_PLATFORM_DATABASE_URL"]


QUERIES = (
    "SELECT * FROM ticks ORDER BY ALL",
    "SELECT * FROM bars WHERE timeframe = '5m' AND date = '2024-03-05' ORDER BY ts_open",
    "SELECT * FROM indicators WHERE timeframe = '1h' ORDER BY ALL",
    "SELECT model, state, count(*) FROM regimes GROUP BY ALL ORDER BY ALL",
    "SELECT t.date, count(*), max(b.close) FROM ticks t JOIN bars b USING (venue, symbol, date)"
    " WHERE timeframe = '1d' GROUP BY ALL ORDER BY ALL",
    "SELECT state, count(*) FROM coverage GROUP BY ALL ORDER BY ALL",
)


def test_the_wide_view_has_a_column_an_output(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the long table's rows beside each other, and follows the settings at the next `database migrate`."""
    url = os.environ["TRADING_PLATFORM_DATABASE_URL"]
    here = tp.read_indicators("BTC-USDT", *DAYS, timeframe="5m", data_dir=filled)
    names = here.columns.tolist()[3:]
    with psycopg.connect(url, options="-c role=tp_reader") as db:
        columns = ", ".join(names)
        rows = db.execute(
            f"SELECT {columns} FROM market.indicators_wide"
            " WHERE symbol = 'BTC-USDT' AND timeframe = '5m' ORDER BY ts_open"
        ).fetchall()
    there = pd.DataFrame(rows, columns=names, dtype=float)
    pd.testing.assert_frame_equal(here[names].dropna(how="all").reset_index(drop=True), there, check_exact=True)
    monkeypatch.setenv("TRADING_PLATFORM_INDICATORS", "rsi_14,ema_9")
    assert cli.main(["database", "migrate", "--data-dir", str(filled)]) == 0
    with psycopg.connect(url) as db:
        found = db.execute("SELECT * FROM market.indicators_wide LIMIT 0").description
        assert found is not None and [column.name for column in found][6:] == ["rsi_14", "ema_9"]
        db.execute("CREATE VIEW public.mine AS SELECT rsi_14 FROM market.indicators_wide")
    monkeypatch.setenv("TRADING_PLATFORM_INDICATORS", "ema_9")
    assert cli.main(["database", "migrate", "--data-dir", str(filled)]) == 2


def test_a_query_is_answered_alike(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same SQL over both sources prints the same bytes; what the database cannot tell is refused."""
    where = ["--format", "csv", "--data-dir", str(filled)]
    for text in QUERIES:
        assert cli.main(["query", text, *where]) == 0
        here = capsys.readouterr().out
        assert cli.main(["query", text, "--source", "database", *where]) == 0
        assert capsys.readouterr().out == here and here.count("\n") > 1
    refused = {
        "SELECT * FROM instruments": "instruments are not kept in the database",
        "DELETE FROM bars": "only SELECT is answered",
        "SELECT * FROM read_csv('/etc/passwd')": "not allowed here",
        "SELEC 1": "syntax error",
    }
    for text, words in refused.items():
        assert cli.main(["query", text, "--source", "database", *where]) == 2
        assert words in capsys.readouterr().err
    assert cli.main(["query", QUERIES[0], "--source", "database", "--as-of", "2024-03-05", *where]) == 2
    assert "as_of is answered from the lake" in capsys.readouterr().err
