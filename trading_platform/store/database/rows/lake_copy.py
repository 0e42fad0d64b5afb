"""Bring the lake's leaves into the database, each in one transaction: what was published is what lies there.

`platform.revisions` says which content of a leaf the database has; a leaf whose content is another one is due. Bars,
indicators and regimes are replaced by the day. Of ticks only what differs is: the live trades were written by
trades.py, the lake decided on copies, voids and days. Which trades are new is that module's; when to do it is
ingest/processor/database_follower.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg import sql

from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges, id_runs
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows import coverage
from trading_platform.store.database.rows.instruments import InstrumentNumbers, copy_in, tick_rows
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema
from trading_platform.store.ledger import Ledger
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

DATASETS = ("ticks", "bars", "indicators", "regimes")
"""In this order: the rows of indicators are those of bars."""
_GONE = ""
"""The content of a leaf that is not published any more."""
DAY_MS = 120_000
"""How long one statement about a whole day may take; live writing is bounded by the pool's 5 s."""
DAY_S = 3 * DAY_MS / 1000
"""And how much longer than others its transaction may take."""
_FRESH = sql.Identifier("fresh_day")
_REST = ("ts_event_ns", "ts_recv_ns", "price", "quantity", "side", "source")
_WORDS = {
    # By `ts_event` chunks are left out; it is rounded down to microseconds.
    "within": sql.SQL(
        "t.instrument_id = %(number)s AND t.ts_event >= %(from)s AND t.ts_event < %(to)s"
        " AND t.ts_event_ns >= %(start)s AND t.ts_event_ns < %(end)s"
    ),
    "differs": sql.SQL(" OR ").join(sql.SQL("t.{0} IS DISTINCT FROM f.{0}").format(sql.Identifier(n)) for n in _REST),
}
# An equality alone lets the server join by hash: a day of two times 60,000 rows took minutes with IS NOT DISTINCT FROM.
_SAME = {name: sql.SQL(f"t.epoch = f.epoch AND t.{name} = f.{name}") for name in ("trade_id", "trade_uid")}
_HERE = sql.SQL("SELECT count(*) FROM fresh_day f JOIN market.ticks t ON {same} WHERE {within}")
_ELSEWHERE = sql.SQL(
    "DELETE FROM market.ticks t USING fresh_day f WHERE t.instrument_id = %(number)s AND t.epoch = f.epoch"
    " AND t.trade_id = f.trade_id AND (t.ts_event_ns < %(start)s OR t.ts_event_ns >= %(end)s)"
)
_DIFFERING = sql.SQL("DELETE FROM market.ticks t USING fresh_day f WHERE {within} AND {same} AND ({differs})")
_VOID = sql.SQL(
    "DELETE FROM market.ticks t WHERE {within} AND t.epoch = %(epoch)s AND t.trade_id <@ %(void)s::int8multirange"
    " AND NOT EXISTS (SELECT FROM fresh_day f WHERE f.epoch = t.epoch AND f.trade_id = t.trade_id)"
)
_MISSING = sql.SQL(
    "INSERT INTO market.ticks SELECT f.* FROM fresh_day f"
    " WHERE NOT EXISTS (SELECT FROM market.ticks t WHERE {within} AND {same})"
)


class LakeCopy:
    """Copies leaves of one data directory; one process at a time does so.

    Parameters
    ----------
    pool : connections as `tp_writer`.
    """

    def __init__(self, data: DataDir, ledger: Ledger, pool: DatabasePool) -> None:
        self._data, self._ledger, self._pool = data, ledger, pool
        self._numbers = InstrumentNumbers()
        self._there: dict[str, str] | None = None

    def due(self, days: Iterable[str] | None = None) -> list[Leaf]:
        """Return the leaves whose content the database does not have, of these days (all, if None), in order.

        Last those that it has and that are not published any more.

        Raises
        ------
        DatabaseUnavailable : if the database is away.
        """
        there = self._revisions()
        wanted = [None] if days is None else sorted(set(days))
        known = {
            leaf: record.file_sha256
            for dataset in DATASETS
            for day in wanted
            for leaf, record in self._ledger.leaves(dataset, day=day).items()
        }
        held = (Leaf.from_path(PurePosixPath(path)) for path, digest in there.items() if digest != _GONE)
        gone = [
            leaf for leaf in held if leaf is not None and leaf not in known and (days is None or leaf.day in wanted)
        ]
        return [*(leaf for leaf, digest in known.items() if there.get(str(leaf.path)) != digest), *gone]

    def copy(self, leaves: Iterable[Leaf], over: Callable[[], bool] = lambda: False) -> int:
        """Copy leaves until `over`; return how many. A damaged file is passed over and logged.

        Raises
        ------
        DatabaseUnavailable : if the database is away or too slow; leaves copied before are there.
        """
        count = 0
        for leaf in leaves:
            if over():
                break
            try:
                count += self._copy(leaf)
            except CorruptionError as error:
                log.error("damaged, not copied to the database", leaf=str(leaf.path), reason=str(error))
        return count

    def _copy(self, leaf: Leaf) -> bool:
        record = self._ledger.leaf(leaf)
        digest = _GONE if record is None else record.file_sha256
        empty = schema.SHAPES[leaf.dataset].empty_table()
        table = empty if record is None else lake.read_leaf(self._data, leaf)
        if table is None:
            return False  # taken out in this moment
        with self._pool.transaction(more_s=DAY_S) as db:
            db.execute("SELECT set_config('statement_timeout', %s, true)", [f"{DAY_MS}ms"])
            numbers = self._numbers.of(db, [(leaf.venue, leaf.symbol)])
            number = numbers[leaf.venue, leaf.symbol]
            if leaf.dataset == "ticks":
                _replace_ticks(db, number, leaf.day, table, self._void(leaf))
            else:
                _replace_rows(db, leaf, number, table)
            db.execute(
                "INSERT INTO platform.revisions (path, content_hash, at, dataset, venue, symbol, day, rows)"
                " VALUES (%s, %s, clock_timestamp(), %s, %s, %s, %s, %s)",
                [str(leaf.path), digest, leaf.dataset, leaf.venue, leaf.symbol, leaf.day, table.num_rows],
            )
        self._numbers.keep(numbers)
        self._revisions()[str(leaf.path)] = digest
        return True

    def _void(self, leaf: Leaf) -> dict[int, IdRanges]:
        return self._ledger.used_up_of([(leaf.venue, leaf.symbol)]).get((leaf.venue, leaf.symbol), {})

    def _revisions(self) -> dict[str, str]:
        if self._there is None:
            self._there = _contents(self._pool)
        return self._there


def held_leaves(pool: DatabasePool) -> list[Leaf]:
    """Return the leaves that the database holds, by path.

    Raises
    ------
    DatabaseUnavailable : if it is away.
    """
    found = (Leaf.from_path(PurePosixPath(path)) for path, digest in _contents(pool).items() if digest != _GONE)
    return [leaf for leaf in found if leaf is not None]


def _contents(pool: DatabasePool) -> dict[str, str]:
    """Return which content of each leaf the database has."""
    query = "SELECT DISTINCT ON (path) path, content_hash FROM platform.revisions ORDER BY path, at DESC"
    with pool.transaction(more_s=DAY_S) as db:
        db.execute("SELECT set_config('statement_timeout', %s, true)", [f"{DAY_MS}ms"])
        return dict(db.execute(query).fetchall())


def _instant(ns: int) -> str:
    """Return an instant as PostgreSQL reads it.

    >>> _instant(1_723_075_200_000_000_000)
    '2024-08-08 00:00:00+00'
    """
    return str(np.datetime64(ns, "ns").astype("datetime64[s]")).replace("T", " ") + "+00"


def _replace_ticks(
    db: psycopg.Connection, number: int, day: str, ticks: pa.Table, void: Mapping[int, IdRanges]
) -> None:
    """Make the day hold the leaf's rows, and besides them only trades that are not published yet."""
    start = day_start(day)
    words: dict[str, object] = {"number": number, "start": start, "end": start + DAY_NS}
    words |= {"from": _instant(start), "to": _instant(start + DAY_NS)}

    def run(statement: sql.SQL, **more: object) -> psycopg.Cursor[Any]:
        return db.execute(statement.format(same=same, **_WORDS), {**words, **more})

    by_epoch = _ids_by_epoch(ticks)
    same = _SAME["trade_uid" if ticks.column("trade_id").null_count else "trade_id"]
    covered = {epoch: coverage.lock(db, number, epoch) for epoch in sorted(by_epoch.keys() | void.keys())}
    db.execute("CREATE TEMP TABLE fresh_day (LIKE market.ticks) ON COMMIT DROP")
    copy_in(db, _FRESH, tick_rows(ticks, number))
    db.execute("ANALYZE fresh_day")
    known = sum(int(covered[epoch].among(ids).sum()) for epoch, ids in by_epoch.items())
    if known and (row := run(_HERE).fetchone()) is not None and row[0] < known:
        # Live they had another day's time. No index leads there, and it is rare.
        run(_ELSEWHERE)
    run(_DIFFERING)
    for epoch, ids_ in void.items():
        run(_VOID, epoch=epoch, void=coverage.literal(list(ids_)))
    run(_MISSING)
    for epoch, ids in by_epoch.items():
        coverage.add(db, number, epoch, id_runs(np.sort(ids)))


def _ids_by_epoch(ticks: pa.Table) -> dict[int, npt.NDArray[np.int64]]:
    """Return the integer ids of each epoch; nothing of ticks that have none."""
    if ticks.column("trade_id").null_count:
        return {}
    ids, epoch = ticks.column("trade_id").to_numpy(), ticks.column("epoch").to_numpy()
    return {int(one): ids[epoch == one] for one in np.unique(epoch)}


def _replace_rows(db: psycopg.Connection, leaf: Leaf, number: int, table: pa.Table) -> None:
    """Replace the rows of a computed symbol-day."""
    place = sql.Identifier("market", leaf.dataset)
    keys: dict[str, object] = {"instrument_id": number, "timeframe": leaf.timeframe}
    if leaf.model is not None:
        keys["model"] = leaf.model
    same = sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier(key), sql.Placeholder(key)) for key in keys)
    start = day_start(leaf.day)
    db.execute(
        sql.SQL("DELETE FROM {} WHERE {} AND ts_open >= %(from)s AND ts_open < %(to)s").format(place, same),
        {**keys, "from": _instant(start), "to": _instant(start + DAY_NS)},
    )
    for rows in _long(table) if leaf.dataset == "indicators" else [table]:
        fixed = {name: pa.repeat(value, rows.num_rows) for name, value in keys.items()}
        fixed["instrument_id"] = pa.repeat(pa.scalar(number, pa.int32()), rows.num_rows)
        copy_in(db, place, pa.table({**fixed, **{name: rows.column(name) for name in rows.column_names}}))


def _long(table: pa.Table) -> Iterable[pa.Table]:
    """Yield a table per output of indicators: name and value of the rows where it has one."""
    for name in table.column_names:
        if name in ("ts_open", "ts_close", "complete"):
            continue
        some = table.select(["ts_open", "ts_close", "complete", name]).filter(table.column(name).is_valid())
        if some.num_rows:
            named = some.rename_columns(["ts_open", "ts_close", "complete", "value"])
            yield named.append_column("name", pa.repeat(name, some.num_rows))
