"""Loading trades into the keyed hypertable

A TimescaleDB of the run's own (Apache edition, fsync off, as the tests have it). The table is `market.ticks` with its
unique index of instrument, time, epoch and id, chunks of a day. Trades of one instrument come in batches of 100,000, a
transaction each, in the order of their ids. The live load is what `ingest` does: what is covered is left out, the rest
encoded from columns and copied, coverage and position are written. The plain COPY encodes and copies the same batches
and nothing else. Ways take turns, the table is emptied in between; values are medians of the rounds, ratios those
of each round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg import sql

from tests.bench.__main__ import Line
from tests.support.database import Server, running
from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.days import day_start
from trading_platform.domain.position import Position
from trading_platform.store.database import access, urls
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.instruments import copy_in, tick_rows
from trading_platform.store.database.rows.trades import TradeWriter
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import schema

BATCH, BATCHES, FEW, ROUNDS = 100_000, 5, 10_000, 7
KEY = SequenceKey("binance", "BTC-USDT")
TICKS = sql.Identifier("market", "ticks")
Way = Callable[[DatabasePool, int, list[pa.Table]], None]


class Taken(NamedTuple):
    """What a way took for a row: ns by the wall, and of this process's CPU."""

    wall: float
    cpu: float


def measure() -> Iterator[Line]:
    """Load the same batches in each way, in turns."""
    with running() as server, tempfile.TemporaryDirectory() as folder:
        yield from compare(server, DataDir(Path(folder) / "data").create())


def compare(server: Server, data: DataDir) -> Iterator[Line]:
    """Yield the lines."""
    url = server.migrated()
    fresh, again = batches(0.0), batches(0.01)
    few = [fresh[0].slice(0, FEW)]
    ways: dict[str, tuple[Way, list[pa.Table]]] = {
        "plain": (plain, fresh),
        "live": (live, fresh),
        "live, 1 % repeated": (live, again),
        "temp": (temporary, fresh),
        "pandas": (partial(pandas, url), few),
    }
    pool = access.writer(data, url)
    number = instrument(url)
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    try:
        for _ in range(ROUNDS):
            for name, (way, tables) in ways.items():
                taken[name].append(timed(url, pool, number, way, tables))
    finally:
        pool.close()
    wall = {name: statistics.median(one.wall for one in found) for name, found in taken.items()}
    for name, ns in wall.items():
        yield Line(f"{name}: rows a second", 1e9 / ns, "rows/s")
    for other, name, live_way, headline in RATIOS:
        each = [one.wall / mine.wall for one, mine in zip(taken[other], taken[live_way], strict=True)]
        yield Line(name, statistics.median(each), "×", headline=headline)
    cpu = statistics.median(one.cpu for one in taken["live"])
    yield Line("live load: CPU of the client (goal: 150 or less)", cpu, "ns a row")


RATIOS = (
    ("plain", "live load to plain binary COPY (goal: 0.9 or more)", "live", True),
    ("plain", "the same with 1 % repeated ids (goal: 0.9 or more)", "live, 1 % repeated", False),
    ("temp", "live load to COPY into a temporary table and ON CONFLICT (goal: 2.1 or more)", "live", False),
    ("pandas", "live load to pandas.to_sql (goal: 10 or more)", "live", False),
)


def timed(url: str, pool: DatabasePool, number: int, way: Way, tables: list[pa.Table]) -> Taken:
    """Load all batches into empty tables; each trade must be there once."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("TRUNCATE market.ticks, platform.coverage, platform.watermarks")
    began, cpu = time.perf_counter_ns(), time.process_time_ns()
    way(pool, number, tables)
    ended, used = time.perf_counter_ns(), time.process_time_ns()
    wanted = len(np.unique(np.concatenate([table.column("trade_id").to_numpy() for table in tables])))
    with psycopg.connect(url) as db:
        assert db.execute("SELECT count(*), count(DISTINCT trade_id) FROM market.ticks").fetchone() == (wanted, wanted)
    return Taken((ended - began) / wanted, (used - cpu) / wanted)


def batches(repeated: float) -> list[pa.Table]:
    """Return batches of trades; a share of each but the first repeats ids of the batch before, with equal payloads."""
    rows = BATCH * BATCHES
    rng = np.random.default_rng(7)
    ids = np.arange(1, rows + 1)
    times = day_start("2024-08-08") + ids * 10_000_000
    table = pa.table(
        {
            "trade_id": ids,
            "trade_uid": pa.nulls(rows, pa.string()),
            "epoch": np.zeros(rows, np.int16),
            "ts_event": pa.array(times).cast(schema.TIME),
            "ts_recv": pa.array(times + 3_000_000).cast(schema.TIME),
            "price": np.round(60_000 + rng.normal(size=rows).cumsum(), 2),
            "quantity": np.round(rng.exponential(0.1, rows) + 1e-5, 5),
            "side": schema.coded(rng.integers(0, 2, rows).astype(np.uint8), schema.SIDES),
            "source": schema.coded(np.zeros(rows, np.uint8), ("ws", "rest", "archive")),
        },
        schema=schema.LEAN,
    )
    found = [table.slice(at, BATCH) for at in range(0, rows, BATCH)]
    copies = int(BATCH * repeated)
    if not copies:
        return found
    return [found[0], *(pa.concat_tables([b.slice(BATCH - copies), a]) for b, a in zip(found, found[1:], strict=False))]


def instrument(url: str) -> int:
    """Return the number of the instrument."""
    with psycopg.connect(url) as db:
        row = db.execute(
            "INSERT INTO market.instruments (venue, symbol) VALUES (%s, %s) RETURNING id", KEY[:2]
        ).fetchone()
    assert row is not None
    return int(row[0])


def plain(pool: DatabasePool, number: int, tables: list[pa.Table]) -> None:
    """Copy the batches."""
    for table in tables:
        with pool.transaction() as db:
            copy_in(db, TICKS, tick_rows(table, number))


def live(pool: DatabasePool, number: int, tables: list[pa.Table]) -> None:
    """Write the batches as `ingest` does."""
    writer = TradeWriter(pool, "bench")
    for at, table in enumerate(tables, 1):
        writer.write("live-binance", {KEY: table}, Position(0, at))


def temporary(pool: DatabasePool, number: int, tables: list[pa.Table]) -> None:
    """Copy the batches into a temporary table and insert what is new."""
    fresh = sql.Identifier("fresh")
    for table in tables:
        with pool.transaction() as db:
            db.execute("CREATE TEMP TABLE fresh (LIKE market.ticks) ON COMMIT DROP")
            copy_in(db, fresh, tick_rows(table, number))
            db.execute("INSERT INTO market.ticks SELECT * FROM fresh ON CONFLICT DO NOTHING")


def pandas(url: str, pool: DatabasePool, number: int, tables: list[pa.Table]) -> None:
    """Insert with pandas, as a first program would."""
    engine = sa.create_engine(urls.for_sqlalchemy(url))
    for table in tables:
        frame = schema.plain(tick_rows(table, number)).to_pandas()
        frame.to_sql("ticks", engine, schema="market", if_exists="append", index=False)
    engine.dispose()
