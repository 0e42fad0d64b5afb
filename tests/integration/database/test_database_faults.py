"""Whatever happens to the server, the line or the writer, `verify` finds lake and database equal afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.database.sink_world import World
from tests.support.builders.platform_in_process import BOUNDS, LANE
from tests.support.database import Server, postgres, running  # noqa: F401  the fixture
from tests.support.faults.toxic_proxy import ToxicProxy
from trading_platform.domain.errors import DatabaseUnavailable
from trading_platform.ingest.processor.database_follower import DatabaseFollower
from trading_platform.ingest.processor.database_sink import NAME
from trading_platform.store.database import roles
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows import instruments
from trading_platform.store.verify_database import compare
from trading_platform.telemetry import metrics
from trading_platform.venues import VENUES

HASTY = {"query_ms": 300, "silent_s": 0.2}


@pytest.fixture
def world(postgres: Server, tmp_path: Path) -> Iterator[World]:  # noqa: F811
    """Give an empty platform and an empty database."""
    world = World(tmp_path, postgres.migrated())
    try:
        yield world
    finally:
        world.close()


def check(world: World, trades: int) -> None:
    """Feed, publish, copy; then every leaf is compared and equal, each trade is there once, and covered."""
    world.follow()
    world.platform.publish()
    world.copy()
    found = compare(world.platform.data, world.platform.ledger, world.pool)
    assert (found.violations, found.waiting) == ((), 0) and found.leaves > 0
    assert world.equal()
    assert world.one("SELECT count(*) FROM market.ticks") == trades
    assert world.one("SELECT sum(upper(r) - lower(r)) FROM platform.coverage, unnest(ids) r") == trades


@contextmanager
def through(world: World) -> Iterator[tuple[ToxicProxy, DatabasePool]]:
    """Give a proxy in front of the server, and a hasty writer's connections through it."""
    place = world.url.rpartition("@")[2].partition("/")[0]
    with ToxicProxy(place) as proxy:
        pool = DatabasePool(world.url.replace(place, f"127.0.0.1:{proxy.port}"), roles.WRITER, **HASTY)  # type: ignore[arg-type]
        try:
            yield proxy, pool
        finally:
            pool.close()


def test_a_server_killed_within_a_copy_keeps_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the middle of a COPY: after the restart nothing of it is there, and then everything is, once."""
    with running() as server:
        world = World(tmp_path, server.migrated())
        try:
            world.record([*range(1, 40)])
            world.follow()
            world.record([*range(40, 160)])
            real = instruments.encode
            with world.pool.transaction() as db:
                session = db.info.backend_pid  # the pool's only one

            def killed(table: object) -> Iterator[bytes]:
                yield from real(table)
                server.kill()
                # Its children only notice after a while: this one could still commit.
                os.kill(session, signal.SIGKILL)

            monkeypatch.setattr(instruments, "encode", killed)
            with pytest.raises(DatabaseUnavailable):
                world.follow()
            monkeypatch.undo()
            with pytest.raises(DatabaseUnavailable):
                world.follow()
            server.start()
            assert world.one("SELECT count(*) FROM market.ticks") == 39
            check(world, 159)
        finally:
            world.close()


@pytest.mark.parametrize("what", ["live", "leaf"])
def test_a_writer_that_dies_within_a_copy_leaves_nothing(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """Its connection just ends, within live trades or within a leaf: the next one begins where the position is."""
    world.record([*range(1, 40)])
    world.platform.publish()

    def dies(_: object) -> Iterator[bytes]:
        yield b"\0"
        raise KeyboardInterrupt

    monkeypatch.setattr(instruments, "encode", dies)
    with pytest.raises(KeyboardInterrupt):
        world.follow() if what == "live" else world.copy()
    monkeypatch.undo()
    for table in ("market.ticks", "platform.watermarks", "platform.revisions"):
        assert world.one(f"SELECT count(*) FROM {table}") == 0
    check(world, 39)


def test_a_commit_whose_answer_is_lost_is_done_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server commits, the line is a black hole for the answer: the position is there, and nothing comes twice."""
    world.record([*range(1, 40)])
    real = psycopg.Connection.commit
    with through(world) as (proxy, pool):
        with pool.transaction():
            pass  # connected

        def lost(db: psycopg.Connection) -> None:
            proxy.timeout.add("down")
            real(db)

        monkeypatch.setattr(psycopg.Connection, "commit", lost)
        with pytest.raises(DatabaseUnavailable):
            world.follow(pool)
        monkeypatch.undo()
        proxy.timeout.clear()
        assert world.one("SELECT count(*) FROM market.ticks") == 39
        held = world.platform.ledger.sink(LANE, NAME)[0]
        done = world.platform.ledger.lane(LANE)[0]
        assert held < done
        assert world.one(f"SELECT segment || ':' || byte_offset FROM platform.watermarks WHERE sink = '{NAME}'") == str(
            done
        )
        before = world.one("SELECT max(updated_at) FROM platform.coverage")
        world.follow(pool)
        assert world.platform.ledger.sink(LANE, NAME)[0] == done
        assert world.one("SELECT max(updated_at) FROM platform.coverage") == before
    check(world, 39)


def test_a_black_hole_is_given_up_and_a_slow_line_is_not(world: World) -> None:
    """A server that takes everything and answers nothing costs one bounded transaction; latency only costs time."""
    world.record([*range(1, 40)])
    with through(world) as (proxy, pool):
        with pool.transaction():
            pass
        proxy.timeout = {"up", "down"}
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            world.follow(pool)
        proxy.timeout = set()
        proxy.latency_s = 0.01
        world.follow(pool)
    check(world, 39)


def test_an_exhausted_pool_names_itself_and_others_go_on(world: World) -> None:
    """Whoever finds no free connection waits for a bounded time; another pool of the same server is not touched."""
    world.record([*range(1, 40)])
    small = DatabasePool(world.url, roles.WRITER, size=1, free_s=0.05)
    with small.transaction(), pytest.raises(DatabaseUnavailable, match="no free connection"):
        world.follow(small)
    small.close()
    check(world, 39)


def test_a_database_that_is_away_is_left_alone_and_its_lag_grows(world: World) -> None:
    """Five failures open the breaker for 30 s; the lag counts all the while, and is nothing once all is there."""
    world.record([*range(1, 40)])
    now, tries = [1_000.0], []

    def connect() -> DatabasePool:
        tries.append(now[0])
        if now[0] < 1_040.0:
            raise DatabaseUnavailable("away")
        return DatabasePool(world.url, roles.WRITER)

    follower = DatabaseFollower(
        world.platform.data,
        world.platform.ledger,
        VENUES,
        BOUNDS,
        connect,
        wall_ns=lambda: int(now[0] * 1e9),
        monotonic=lambda: now[0],
        lanes=(LANE,),
    )
    lags = []
    while now[0] < 1_040.0:
        now[0] += 1.0
        follower.round()
        lags.append(metrics.SINK_LAG.labels(NAME)._value.get())
    follower.close()
    assert tries == [1_001.0, 1_002.0, 1_003.0, 1_004.0, 1_005.0, 1_035.0]
    assert lags == [float(at) for at in range(1, 41)]
    now[0] = 1_066.0
    follower.round()
    assert metrics.SINK_LAG.labels(NAME)._value.get() == 0.0
    follower.close()
    check(world, 39)
