"""A platform in one process with a database behind it, for tests of what is written there."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pyarrow as pa

from tests.support.builders.platform_in_process import BOUNDS, LANE, SmallPlatform, ts_event
from trading_platform.ingest.processor.database_sink import NAME, DatabaseSink
from trading_platform.ingest.processor.sink_follower import SinkFollower
from trading_platform.store.database import access
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.lake_copy import LakeCopy
from trading_platform.store.database.rows.reading import DatabaseReader
from trading_platform.store.database.rows.trades import TradeWriter
from trading_platform.store.lake import reader as lake
from trading_platform.venues import VENUES

SYMBOLS = ("BTC-USDT", "ETH-USDT")
START, END = ts_event(0), ts_event(10_000)


class World:
    """A platform in one process and its database."""

    def __init__(self, root: Path, url: str) -> None:
        self.platform = SmallPlatform(root / "data")
        self.url = url
        self.pool: DatabasePool = access.writer(self.platform.data, url)

    def follow(self, pool: DatabasePool | None = None, lane: str = LANE) -> None:
        """Feed the lane to the database as far as it is decoded."""
        platform = self.platform
        held = platform.ledger.sink(lane, NAME)[0]
        writer = TradeWriter(pool or self.pool, NAME, platform.ledger.used_up_of)
        sink = DatabaseSink(writer, lane, held)
        follower = SinkFollower(platform.data, lane, platform.ledger, VENUES, BOUNDS, sink, batch_bytes=2000)
        try:
            while follower.step():
                pass
            follower.flush()
        finally:
            follower.close()

    def copy(self) -> int:
        """Bring the leaves that are due into the database."""
        copies = LakeCopy(self.platform.data, self.platform.ledger, self.pool)
        return copies.copy(copies.due())

    def record(self, ids: list[int], symbol: str = "BTCUSDT") -> None:
        """Receive trades, account for them, put them into staging."""
        self.platform.start()
        self.platform.record(ids, venue_symbol=symbol)
        self.platform.stop()
        self.platform.process()

    def there(self, symbol: str = "BTC-USDT") -> pa.Table:
        return DatabaseReader(self.pool).ticks("binance", symbol, START, END)

    def here(self, symbol: str = "BTC-USDT") -> pa.Table:
        return lake.read_ticks(self.platform.data, "binance", symbol, START, END)

    def equal(self) -> bool:
        """Tell whether the lake and the database hold the same rows, to the last digit."""
        return all(self.there(symbol).equals(self.here(symbol)) for symbol in SYMBOLS)

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url) as db:
            db.execute(statement)

    def one(self, query: str) -> object:
        with psycopg.connect(self.url) as db:
            row = db.execute(query).fetchone()
        assert row is not None
        return row[0]

    def close(self) -> None:
        self.pool.close()
        self.platform.close()
