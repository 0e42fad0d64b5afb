"""`ingest` with a database: it fills while trades come in; killed or away, it has everything after the next rounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.builders.ingest_process import Ingest
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.cli import main
from trading_platform.domain.days import DAY_NS
from trading_platform.simulate.synthetic_market import DEMO_START_NS
from trading_platform.store.database import access
from trading_platform.store.database.rows.reading import DatabaseReader
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import reader as lake

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
SPAN = (DEMO_START_NS - DAY_NS, DEMO_START_NS + DAY_NS)


def rows(url: str) -> int:
    with psycopg.connect(url) as db:
        found = db.execute("SELECT count(*) FROM market.ticks").fetchone()
    assert found is not None
    return int(found[0])


def test_lake_and_database_are_equal_after_a_kill(
    postgres: Server,  # noqa: F811
    simulator: Callable[..., Simulator],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Trades come in live; the feeder is killed with -9 and comes back; an orderly stop leaves equal rows."""
    url = postgres.migrated()
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", url)
    data = DataDir(tmp_path / "data")
    ingest = Ingest(simulator(synthetic(3600, symbols=SYMBOLS), speed=20), data.root, SYMBOLS)
    try:
        wait_until(lambda: rows(url) > 50, timeout_s=60, every_s=0.2, what="live trades in the database")
        ingest.wait_for("database")
        ingest.kill("database")
        before = rows(url)
        wait_until(lambda: rows(url) > before + 50, timeout_s=60, every_s=0.2, what="trades after the kill")
        assert ingest.stop() == 0
    finally:
        ingest.end()
    where = ["--data-dir", str(data.root)]
    main(["recover", "--once", *where])  # what the stop had no time for; the venue may have moved on meanwhile
    capsys.readouterr()
    assert main(["verify", "--json", *where]) == 0
    told = json.loads(capsys.readouterr().out)["database"]
    assert told["files"] >= len(SYMBOLS) and told["waiting"] == 0
    pool = access.reader(data, url)
    try:
        for symbol in SYMBOLS:
            here = lake.read_ticks(data, "binance", symbol, *SPAN)
            assert here.num_rows > 50
            assert DatabaseReader(pool).ticks("binance", symbol, *SPAN).equals(here)
    finally:
        pool.close()
    with psycopg.connect(url) as db:
        db.execute("UPDATE market.ticks SET price = price * 10 WHERE ctid IN (SELECT ctid FROM market.ticks LIMIT 1)")
    assert main(["verify", *where]) == 1
    assert "column price differ from the lake's" in capsys.readouterr().out
