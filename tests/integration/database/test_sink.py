"""Trades reach the database once each, and what the lake decides follows: equal rows, whatever happens between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.integration.database.sink_world import END, START, World
from tests.support.builders.platform_in_process import BOUNDS, DAY, LANE, ts_event
from tests.support.database import Server, postgres  # noqa: F401  the fixture
from trading_platform.cli import main
from trading_platform.completeness.gap_detector import advance
from trading_platform.completeness.records import Batch, Claim, Seen, SequenceKey
from trading_platform.domain.errors import DatabaseUnavailable
from trading_platform.domain.position import START as START_OF_LOG, Position
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.database_sink import NAME, DatabaseSink
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.processor.sink_follower import SinkFollower
from trading_platform.store.database import pool as pools
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.reading import DatabaseReader
from trading_platform.store.database.rows.trades import TradeWriter
from trading_platform.store.database.upkeep import maintenance
from trading_platform.store.lake import reader as lake, schema, staging
from trading_platform.store.verify_database import compare
from trading_platform.venues import VENUES


@pytest.fixture
def world(postgres: Server, tmp_path: Path) -> Iterator[World]:  # noqa: F811
    """Give an empty platform and an empty database."""
    world = World(tmp_path, postgres.migrated())
    try:
        yield world
    finally:
        world.close()


def test_live_trades_are_there_before_they_are_published(world: World) -> None:
    """What is decoded reaches the database without a publish, and equals the lake once that is done."""
    world.record([1, 2, 3, 98, 101, 102])
    world.record([5, 6], "ETHUSDT")
    world.follow()
    assert world.there().column("trade_id").to_pylist() == [1, 2, 3, 98, 101, 102]
    assert world.here().num_rows == 0
    world.platform.publish()
    assert world.equal()
    assert world.one("SELECT ids::text FROM platform.coverage WHERE instrument_id = 1") == "{[1,4),[98,99),[101,103)}"
    assert world.one("SELECT segment FROM platform.watermarks") == world.platform.ledger.lane(LANE)[0].segment


def test_a_leaf_brings_what_was_never_live(world: World) -> None:
    """Without the sink everything comes by leaves; a second copy finds nothing due."""
    world.record([1, 2, 3, 98, 101, 102])
    world.platform.publish()
    assert world.copy() == 2
    assert world.equal()
    assert world.copy() == 0
    world.follow()
    assert world.equal()
    assert world.one("SELECT count(*) FROM platform.revisions") == 2


def test_a_copy_with_an_earlier_time_wins_as_in_the_lake(world: World) -> None:
    """The database takes the first copy that it meets; the leaf puts the lake's choice in its place."""
    world.record([1, 2, 3])
    world.follow()
    world.run("UPDATE market.ticks SET ts_recv_ns = ts_recv_ns + 5, source = 'rest' WHERE trade_id = 2")
    world.platform.publish()
    assert not world.equal()
    world.copy()
    assert world.equal()


def test_a_trade_of_another_day_is_moved(world: World) -> None:
    """Stored live with another day's time, a trade stands once, on the lake's day."""
    world.record([1, 2, 3, 101])
    world.follow()
    columns = "instrument_id, epoch, trade_id, trade_uid, {}, {}, ts_recv, ts_recv_ns, price, quantity, side, source"
    later = columns.format("ts_event + interval '3 days'", "ts_event_ns + 259200000000000")
    world.run(
        f"WITH gone AS (DELETE FROM market.ticks WHERE trade_id = 3 RETURNING *) INSERT INTO market.ticks"
        f" ({columns.format('ts_event', 'ts_event_ns')}) SELECT {later} FROM gone"
    )
    world.platform.publish()
    world.copy()
    assert world.equal()
    assert world.one("SELECT count(*) FROM market.ticks") == 4


def test_a_published_day_keeps_what_is_live_since(world: World) -> None:
    """Copying a leaf of the running day removes nothing that was received after it was published."""
    world.record([1, 2])
    world.platform.publish()
    world.record([3, 4])
    world.follow()
    world.copy()
    assert world.there().column("trade_id").to_pylist() == [1, 2, 3, 4]
    world.platform.publish()
    world.copy()
    assert world.equal()


def test_writing_again_changes_nothing(world: World) -> None:
    """The outcome of a commit may be unknown: whatever is repeated, in whatever cuts, each trade is there once."""
    rng = Random(3)
    world.record([*range(1, 40), *range(101, 140)])
    world.follow()
    start = world.platform.ledger.sink("nothing", NAME)
    for _ in range(5):
        world.platform.ledger.mark_flushed(LANE, NAME, *start)
        held = world.platform.ledger.sink(LANE, NAME)[0]
        sink = DatabaseSink(TradeWriter(world.pool, NAME), LANE, held)
        platform = world.platform
        follower = SinkFollower(platform.data, LANE, platform.ledger, VENUES, BOUNDS, sink, batch_bytes=500)
        while follower.step():
            if rng.random() < 0.4:
                follower.flush()
        follower.flush()
        follower.close()
        assert sink.written == 0
    world.platform.publish()
    assert world.equal()


def test_a_lock_that_is_held_costs_one_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session holds the instrument's row: the write ends in time, and the next one does it."""
    world.record([1, 2, 3])
    world.follow()
    world.record([4, 5])
    hasty = DatabasePool(world.url, "tp_writer", lock_ms=100)
    with psycopg.connect(world.url) as other:
        other.execute("SELECT FROM platform.coverage FOR UPDATE")
        with pytest.raises(DatabaseUnavailable, match="did not do it in time"):
            world.follow(hasty)
        other.rollback()
    world.follow(hasty)
    hasty.close()
    world.platform.publish()
    assert world.equal()


def test_a_server_that_is_away_loses_nothing(world: World) -> None:
    """Connections break in the middle of writing: the log has everything, and the next round writes it."""
    world.record([1, 2, 3])
    world.follow()
    world.record([4, 5, 6])
    with psycopg.connect(world.url, autocommit=True) as db:
        # As when the server is restarted: every session of the pool ends.
        mine = "pid <> pg_backend_pid() AND datname = current_database()"
        db.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
    with pytest.raises(DatabaseUnavailable):
        world.follow()
    world.follow()
    world.platform.publish()
    assert world.equal()


def test_a_statement_is_bounded(world: World) -> None:
    """A query of the writer ends after its time, also inside of a copy."""
    hasty = DatabasePool(world.url, "tp_writer", query_ms=50)
    with pytest.raises(DatabaseUnavailable, match="did not do it in time"), hasty.transaction() as db:
        db.execute("SELECT pg_sleep(2)")
    hasty.close()
    assert pools.QUERY_MS == 5_000


def test_an_id_without_a_trade_stays_out(world: World) -> None:
    """A channel says that an id holds none before the database saw its trade: following the log brings it no more."""
    world.record([*range(1, 10)])
    void = Seen(voids=[Claim(5, 5, "type NA", 7)])
    batch = Batch("fetch-1", START_OF_LOG, Position(0, 1), {SequenceKey("binance", "BTC-USDT"): void})
    world.platform.ledger.apply(batch, advance)
    world.platform.publish()
    world.copy()
    world.follow()
    assert world.there().column("trade_id").to_pylist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert world.equal()


def test_a_leaf_that_is_taken_out_of_the_lake_is_taken_out_here(world: World) -> None:
    """All of a day's ids turn out to hold no trade: file and rows go; a later publish brings the day back."""
    world.record([*range(1, 10), 101])
    world.follow()
    world.platform.publish()
    assert world.copy() == 2
    void = Seen(voids=[Claim(101, 101, "type NA", 7)])
    batch = Batch("fetch-1", START_OF_LOG, Position(0, 1), {SequenceKey("binance", "BTC-USDT"): void})
    world.platform.ledger.apply(batch, advance)
    world.platform.publish()
    assert world.here().num_rows == 9
    assert world.copy() == 1 and world.equal()
    assert world.copy() == 0
    world.record([102])
    world.platform.publish()
    world.follow()
    assert world.copy() == 1 and world.equal()


def test_the_log_is_kept_until_the_database_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`database forget` does so by name, on record, and not while the setting names a database."""
    world.record([*range(1, 10)])
    world.follow()
    words = ["database", "forget", "--data-dir", str(world.platform.data.root)]
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", world.url)
    assert main(words) == 2 and "unset it first" in capsys.readouterr().err
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", "")
    world.platform.ledger.add_sink(NAME)
    assert main(words) == 0 and NAME not in world.platform.ledger.sinks()
    assert main(words) == 2 and "no sink that can be forgotten" in capsys.readouterr().err


def test_the_apache_edition_has_nothing_to_maintain(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compression and refreshes are the community's; the hourly view is right without. A failure is waited over."""
    world.record([*range(1, 10), 101])
    world.follow()
    assert maintenance.keep(world.url) == (0, False)
    assert world.one("SELECT sum(trade_count) FROM market.ticks_by_hour") == 10
    asked: list[float] = []

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) > 2

    tried: list[str] = []

    def away(url: str) -> maintenance.Maintained:
        tried.append(url)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(maintenance, "keep", away)
    maintenance.keep_on(world.url, wait)
    assert (asked, tried) == ([maintenance.EVERY_S] * 3, [world.url] * 2)


def texts(uids: list[str], *, late_ns: int = 0, price: float = 1.5) -> pa.Table:
    """Return trades with text ids, a second apart, whose times are that much later."""
    times = [ts_event(0) + int(uid[1:]) * 10**9 for uid in uids]
    rows = len(uids)
    columns = {
        "trade_id": pa.nulls(rows, pa.int64()),
        "trade_uid": uids,
        "epoch": pa.array([0] * rows, pa.int16()),
        "ts_event": pa.array([at + late_ns for at in times], pa.int64()).cast(schema.TIME),
        "ts_recv": pa.array([at + late_ns + 5 for at in times], pa.int64()).cast(schema.TIME),
        "price": [price] * rows,
        "quantity": [2.0] * rows,
        "side": pa.array(["buy"] * rows),
        "source": pa.array(["ws"] * rows),
    }
    return schema.lean(pa.table(columns, schema=schema.TICKS))


def test_trades_with_text_ids_are_there_once(world: World) -> None:
    """Repeated in one batch, in a later one, and with another time: the leaf leaves the lake's rows, and only these."""
    key = SequenceKey("bybit", "BTC-USDT")
    writer = TradeWriter(world.pool, NAME)
    sent = [texts(["u1", "u2", "u2", "u3"]), texts(["u3", "u4"]), texts(["u2", "u5"], late_ns=2_000_000)]
    written = [writer.write(LANE, {key: table}, Position(0, at)) for at, table in enumerate(sent, 1)]
    assert written == [3, 1, 2]
    data, ledger = world.platform.data, world.platform.ledger
    staging.write_part(data, *key[:2], DAY, LANE, START_OF_LOG, Position(0, 1), texts(["u1", "u2", "u3", "u4", "u6"]))
    published = publish_staged(data, ledger, pass_all)
    assert [one.rows for one in published] == [5]
    assert world.copy() == 1
    there = DatabaseReader(world.pool).ticks(*key[:2], START, END)
    assert there.column("trade_uid").to_pylist() == ["u1", "u2", "u3", "u4", "u5", "u6"], "u5 is only live as yet"
    here = lake.read_ticks(data, *key[:2], START, END)
    assert there.filter(pc.not_equal(there.column("trade_uid"), "u5")).equals(here)
    assert compare(data, ledger, world.pool).violations == ()
