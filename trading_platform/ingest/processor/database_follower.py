"""Keep the database up to date with one data directory: its lanes, its leaves, what its ledger knows.

Nothing waits for it. Whatever it fails at is done again in a later round, from the positions and revisions that the
database has; while the database is away, five failures open a breaker for 30 s. What is written is store/database/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

from trading_platform.domain.days import DAY_NS, day_of
from trading_platform.domain.errors import CorruptionError, DatabaseUnavailable, LedgerUnavailable, LockHeld
from trading_platform.domain.position import START
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.database_sink import NAME, DatabaseSink
from trading_platform.ingest.processor.sink_follower import SinkFollower
from trading_platform.ingest.rate_limits.circuit_breaker import Breaker
from trading_platform.store.database.mirror import LedgerMirror
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.lake_copy import LakeCopy
from trading_platform.store.database.rows.trades import TradeWriter
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Ledger
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)

FLUSH_ROWS = 100_000
"""Trades of one transaction at most; it must end within the pool's 5 s."""
LEAVES_EVERY_S, ALL_LEAVES_EVERY_S, MIRROR_EVERY_S = 10.0, 600.0, 15.0
SHARE = 20.0
"""After the leaves of the running day were copied, that many times as long passes before they are looked at again."""


class Fed(NamedTuple):
    """What one round brought into the database."""

    trades: int = 0
    leaves: int = 0


class DatabaseFollower:
    """Follows one data directory.

    Parameters
    ----------
    connect : opens connections as `tp_writer`; called again until it succeeds.
    wall_ns, monotonic : clocks.
    lanes : the lanes of this process's own, fed by nobody else; all others, and the leaves, are done by whichever
        process has the lock.
    """

    def __init__(
        self,
        data: DataDir,
        ledger: Ledger,
        venues: Mapping[str, VenueAdapter],
        bounds: Bounds,
        connect: Callable[[], DatabasePool],
        *,
        wall_ns: Callable[[], int],
        monotonic: Callable[[], float],
        lanes: tuple[str, ...] = (),
    ) -> None:
        self._data, self._ledger, self._venues, self._bounds = data, ledger, venues, bounds
        self._connect, self._wall_ns, self._monotonic, self._own = connect, wall_ns, monotonic, lanes
        self._breaker = Breaker()
        self._there_ns = wall_ns()
        self._pool: DatabasePool | None = None
        self._fed: dict[str, tuple[SinkFollower, DatabaseSink]] = {}
        self._common = ExitStack()
        self._leads = False
        self._leaves: LakeCopy | None = None
        self._mirror: LedgerMirror | None = None
        self._leaves_at = self._all_at = self._mirror_at = -1e18

    def round(self, over: Callable[[], bool] = lambda: False, *, whole: bool = False) -> Fed:
        """Bring over what is there now, as far as it is due; return what was done, nothing if the database is away.

        Parameters
        ----------
        over : asked between two transactions whether to stop.
        whole : everything that is due, whenever it was looked at last.
        """
        now_ns = int(self._monotonic() * 1e9)
        if not self._breaker.admits(now_ns):
            metrics.SINK_LAG.labels(NAME).set((self._wall_ns() - self._there_ns) / 1e9)
            return Fed()
        self._breaker.trying(now_ns)
        try:
            done = self._round(over, whole)
        except (DatabaseUnavailable, LedgerUnavailable) as error:
            self._breaker.failed(now_ns)
            self._forget_pool()
            log.warning("database not written", reason=str(error))
            done = Fed()
            # Counted from when it was last there: how much lies in the log meanwhile is not known here.
            metrics.SINK_LAG.labels(NAME).set((self._wall_ns() - self._there_ns) / 1e9)
        else:
            self._breaker.worked()
            self._there_ns = self._wall_ns()
            if not any(self._is_behind(lane) for lane in self._fed):
                metrics.SINK_LAG.labels(NAME).set(0.0)
        metrics.BREAKER_STATE.labels("database").set(self._breaker.state(now_ns))
        return done

    def close(self) -> None:
        """Give everything back."""
        self._forget_pool()
        self._common.close()

    def _round(self, over: Callable[[], bool], whole: bool) -> Fed:
        if self._pool is None:
            self._pool = self._connect()
            self._leaves = LakeCopy(self._data, self._ledger, self._pool)
            self._mirror = LedgerMirror(self._pool)
        trades = sum(self._feed(lane, over) for lane in self._lanes() if not over())
        if not self._lead():
            return Fed(trades)
        leaves = self._copy_leaves(over, whole)
        if self._mirror is not None and (whole or self._monotonic() >= self._mirror_at) and not over():
            self._mirror.refresh(self._ledger, self._wall_ns())
            self._mirror_at = self._monotonic() + MIRROR_EVERY_S
        return Fed(trades, leaves)

    def _lanes(self) -> list[str]:
        """Return our own lanes, and if we lead those that no ingest has for its own."""
        known = self._ledger.lane_positions()
        others = [lane for lane in known if not lane.startswith("live-")] if self._lead() else []
        return [lane for lane in self._own if lane in known] + others

    def _lead(self) -> bool:
        """Tell whether what is common to all is ours to do."""
        if not self._leads:
            try:
                self._common.callback(FileLock.acquire(self._data.run / "database.lock", "the database").release)
                self._leads = True
            except LockHeld:
                return False
        return True

    def _feed(self, lane: str, over: Callable[[], bool]) -> int:
        if lane not in self._fed:
            try:
                self._fed[lane] = self._open(lane)
            except LockHeld:
                return 0
        follower, sink = self._fed[lane]
        written = 0
        while not over():
            found = follower.step()
            if sink.waits and (not found or sink.rows >= FLUSH_ROWS):
                newest_ns = sink.newest_ns or self._wall_ns()
                follower.flush()
                written += sink.written
                lag_s = (self._wall_ns() - newest_ns) / 1e9 if self._is_behind(lane) else 0.0
                metrics.SINK_LAG.labels(NAME).set(max(0.0, lag_s))
            if not found:
                break
        return written

    def _is_behind(self, lane: str) -> bool:
        return self._fed[lane][0].position < self._ledger.lane(lane)[0]

    def _open(self, lane: str) -> tuple[SinkFollower, DatabaseSink]:
        assert self._pool is not None
        self._ledger.add_sink(NAME)
        if self._ledger.sink(lane, NAME)[0] == START:
            # What is staged already comes by leaves, which is ten times as quick as decoding the log again.
            _, staged, context = self._ledger.lane(lane)
            self._ledger.mark_flushed(lane, NAME, staged, context)
        writer = TradeWriter(self._pool, NAME, self._ledger.used_up_of)
        sink = DatabaseSink(writer, lane, self._ledger.sink(lane, NAME)[0])
        return SinkFollower(self._data, lane, self._ledger, self._venues, self._bounds, sink), sink

    def _copy_leaves(self, over: Callable[[], bool], whole: bool) -> int:
        began = self._monotonic()
        everything = whole or began >= self._all_at
        if self._leaves is None or over() or not (everything or began >= self._leaves_at):
            return 0
        now_ns = self._wall_ns()
        days = None if everything else [day_of(now_ns - DAY_NS), day_of(now_ns)]
        try:
            copied = self._leaves.copy(self._leaves.due(days), over)
        except CorruptionError as error:
            log.error("leaves not copied to the database", reason=str(error))
            copied = 0
        ended = self._monotonic()
        self._leaves_at = ended + max(LEAVES_EVERY_S, SHARE * (ended - began))
        if everything and not over():
            self._all_at = ended + max(ALL_LEAVES_EVERY_S, SHARE * (ended - began))
        return copied

    def _forget_pool(self) -> None:
        for follower, _ in self._fed.values():
            follower.close()
        self._fed.clear()
        if self._pool is not None:
            self._pool.close()
        self._pool = self._leaves = self._mirror = None


def sync(
    data: DataDir,
    ledger: Ledger,
    venues: Mapping[str, VenueAdapter],
    bounds: Bounds,
    pool: DatabasePool,
    *,
    wall_ns: Callable[[], int],
    monotonic: Callable[[], float],
) -> Fed:
    """Bring everything that is published into the database now, unless a running ingest does so; return what was done.

    Raises
    ------
    DatabaseUnavailable : if the database is away.
    """
    follower = DatabaseFollower(data, ledger, venues, bounds, lambda: pool, wall_ns=wall_ns, monotonic=monotonic)
    try:
        return follower._round(lambda: False, whole=True)
    finally:
        follower.close()
