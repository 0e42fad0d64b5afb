"""Every `read_*` gives the same rows from the database as from the lake, to the last digit and type."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd
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
