"""Other programs read the lake's tree as it is: their time functions work, a filter on a partition finds its rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from tests.support.builders.fakes import NOON, Copy as Trade, ticks
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import parquet, schema as shapes

DAY_NS = 86_400 * 10**9
DAYS = ("2024-08-08", "2024-08-09")
VENUES = ("binance", "kraken-futures")
TIMEFRAMES = ("1m", "1d")
SYMBOLS = (
    *("NULL-USDT", "TRUE-USDT", "1000SATS-USDT", "1E5-USDT", "INF-USDT", "NAN-USDT", "1-2", "0X10-USDT"),
    *("2024-08", "BTC-USD-211231"),
)
"""Names that a reader which guesses types could take for something else."""

Count = Callable[[Path, str, str, Any], int]
"""(lake, dataset, key, value) to the rows whose partition has that value."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of every venue, symbol, timeframe and day: two ticks, one bar and one regime each."""
    root = tmp_path_factory.mktemp("data") / "lake"
    for at, day in enumerate(DAYS):
        noon = NOON + at * DAY_NS
        trades = ticks([Trade(i, ts_event=noon + i, ts_recv=noon + 10**9) for i in range(2)])
        row = {"ts_open": noon, "ts_close": noon + 60 * 10**9, "state": 1, "close": 2.5}
        bars, regimes = (
            pa.table({field.name: pa.array([row.get(field.name)], field.type) for field in shape}, schema=shape)
            for shape in (shapes.BARS, shapes.REGIMES)
        )
        for venue, symbol in product(VENUES, SYMBOLS):
            put(root, Leaf("ticks", venue, symbol, day), trades)
            for timeframe in TIMEFRAMES:
                put(root, Leaf("bars", venue, symbol, day, timeframe), bars)
                put(root, Leaf("regimes", venue, symbol, day, timeframe, "gaussian_hmm"), regimes)
    return root


def put(root: Path, leaf: Leaf, table: pa.Table) -> None:
    """Write a leaf's file as a publisher does."""
    path = root / leaf.path
    path.parent.mkdir(parents=True)
    parquet.write(path, table)


def in_duckdb(root: Path, dataset: str, key: str, value: Any) -> int:
    query = f"SELECT count(*) FROM read_parquet('{root}/{dataset}/**/*.parquet') WHERE {key} = ?"
    row = duckdb.connect().execute(query, [value]).fetchone()
    assert row is not None
    return int(row[0])


def in_polars(root: Path, dataset: str, key: str, value: Any) -> int:
    frame = pl.scan_parquet(f"{root}/{dataset}/**/*.parquet", hive_partitioning=True)
    return frame.filter(pl.col(key) == value).collect().height


def in_pyarrow(root: Path, dataset: str, key: str, value: Any) -> int:
    wanted = value.isoformat() if isinstance(value, date) else value
    return ds.dataset(root / dataset, partitioning="hive").count_rows(filter=ds.field(key) == wanted)


@lru_cache
def frame_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder)


def in_pandas(root: Path, dataset: str, key: str, value: Any) -> int:
    wanted = value.isoformat() if isinstance(value, date) else value
    frame = frame_of(root / dataset)
    return int((frame[key].astype(str) == wanted).sum())


@pytest.mark.parametrize("count", [in_duckdb, in_polars, in_pyarrow, in_pandas])
def test_a_filter_on_each_partition_finds_its_rows(root: Path, count: Count) -> None:
    """No program takes a name for a number, a truth value, a day or nothing."""
    symbols, venues, days = len(SYMBOLS), len(VENUES), len(DAYS)
    for symbol in SYMBOLS:
        assert count(root, "ticks", "symbol", symbol) == 2 * venues * days, symbol
    for venue in VENUES:
        assert count(root, "ticks", "venue", venue) == 2 * symbols * days
    for day in DAYS:
        assert count(root, "ticks", "date", date.fromisoformat(day)) == 2 * symbols * venues
    for timeframe in TIMEFRAMES:
        assert count(root, "bars", "timeframe", timeframe) == symbols * venues * days
    assert count(root, "regimes", "model", "gaussian_hmm") == 2 * symbols * venues * days
    assert count(root, "bars", "symbol", "NULL-USDT") == 2 * venues * days


def test_duckdb_takes_the_times_of_the_files(root: Path) -> None:
    """Truncation, parts, buckets, intervals and comparisons work on the files' own columns, without our views."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    query = f"""
        SELECT date_trunc('hour', ts_event), hour(ts_event), extract(minute FROM ts_event),
               time_bucket(INTERVAL 5 MINUTE, ts_event), ts_event + INTERVAL 1 HOUR, ts_event::DATE,
               strftime(ts_event, '%H:%M'), date_diff('second', ts_event, ts_recv),
               epoch_ns(ts_recv) - epoch_ns(ts_event)
        FROM read_parquet('{root}/ticks/**/*.parquet')
        WHERE ts_event >= TIMESTAMPTZ '2024-08-09 00:00:00+00' AND ts_event < TIMESTAMPTZ '2024-08-10 02:00:00+02'
          AND ts_event BETWEEN '2024-08-09 12:00:00' AND TIMESTAMPTZ '2024-08-09 13:00:00Z'
          AND symbol = 'NULL-USDT' AND venue = 'binance' AND date = DATE '2024-08-09' ORDER BY ts_event"""
    first, second = db.execute(query).fetchall()
    noon = datetime(2024, 8, 9, 12, tzinfo=UTC)
    after = noon.replace(hour=13)
    assert first == (noon, 12, 0, noon, after, noon.date(), "12:00", 1, 10**9)
    assert second == (noon, 12, 0, noon, after, noon.date(), "12:00", 1, 10**9 - 1)


def test_polars_pyarrow_and_pandas_take_them_too(root: Path) -> None:
    """The times of the files are instants in UTC for every reader: truncated, compared, taken apart."""
    noon = datetime(2024, 8, 9, 12, tzinfo=UTC)
    frame = pl.scan_parquet(f"{root}/ticks/**/*.parquet", hive_partitioning=True).filter(
        pl.col("ts_event") >= noon, pl.col("date") == noon.date(), pl.col("symbol") == "TRUE-USDT"
    )
    hours = frame.select(pl.col("ts_event").dt.truncate("1h"), pl.col("ts_recv").dt.hour()).unique().collect()
    assert hours.rows() == [(noon, 12)]
    source = ds.dataset(root / "ticks", partitioning="hive")
    held = source.to_table(filter=(ds.field("ts_event") >= pa.scalar(noon)) & (ds.field("symbol") == "NAN-USDT"))
    assert set(pc.hour(held["ts_event"]).to_pylist()) == {12}
    assert held.num_rows == 2 * len(VENUES)
    rows = pd.read_parquet(
        root / "ticks", filters=[("symbol", "==", "1E5-USDT"), ("ts_event", ">=", pd.Timestamp(noon))]
    )
    assert set(rows["ts_event"].dt.floor("h")) == {pd.Timestamp(noon)}
    assert len(rows) == 2 * len(VENUES)
