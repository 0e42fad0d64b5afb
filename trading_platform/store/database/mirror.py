"""What the ledger knows, as tables of schema `platform`: gaps, completeness, conflicts, the audit log; and instruments.

The ledger stays where it is, beside the log. A copy is whole: one transaction, in which count and checksum of what
lies in the database are compared with those of the ledger's rows. What the sink itself knows (coverage, watermarks,
revisions) is not copied from here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.types.json import Jsonb

from trading_platform.completeness.records import Conflict, DayStatus
from trading_platform.domain.errors import CorruptionError
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.proofs import checksum, row_text
from trading_platform.store.ledger import Ledger, tables as t

Row = tuple[object, ...]
_COPY_S = 60.0
"""How much longer than others the transaction of a copy may take: each of its statements is bounded by the pool."""
_LOCK = 7_261_943_003
"""Any number, the same in every process: one copy at a time."""


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    keeps: bool = False  # rows that the ledger does not have any more


_GAPS = _Table(
    "gaps",
    (*"id venue symbol epoch first_missing last_missing state reason attempts due_ns prev_ts_ns next_ts_ns".split(),),
    ("id",),
)
_COMPLETENESS = _Table("completeness", DayStatus._fields, ("venue", "symbol", "day"))
_CONFLICTS = _Table("conflicts", Conflict._fields, Conflict._fields)
_AUDIT = _Table("audit_log", ("ledger_key", "actor", "action", "subject", "detail"), ("ledger_key",), keeps=True)


class Copied(NamedTuple):
    """What was copied of one table.

    Attributes
    ----------
    table : its name in schema `platform`.
    rows, checksum : of the ledger and of the database, which are equal.
    written : rows that were new, different or gone there.
    """

    table: str
    rows: int
    checksum: str
    written: int


class LedgerMirror:
    """Keeps the tables equal to the ledger.

    Parameters
    ----------
    pool : connections as `tp_writer`.
    """

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._known: dict[str, tuple[int, str]] = {}

    def refresh(self, ledger: Ledger, now_ns: int) -> list[Copied]:
        """Bring the tables up to date and return what was done; a table that did not change costs no statement.

        Parameters
        ----------
        ledger : the data directory's.
        now_ns : the present; it decides which day is still running.

        Raises
        ------
        DatabaseUnavailable : if the database is away or busy; nothing was changed.
        CorruptionError : if what lies there then is not what was copied; nothing was changed.
        """
        wanted = {
            _GAPS: _gaps(ledger),
            _COMPLETENESS: [_clean(row) for row in ledger.day_report(now_ns)],
            _CONFLICTS: [_clean(row) for row in ledger.conflicts()],
        }
        audited = _audited(ledger)
        found = []
        with self._pool.transaction(more_s=_COPY_S) as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for table, rows in (*wanted.items(), (_AUDIT, audited)):
                totals = len(rows), _sum(rows)
                written = 0
                if self._known.get(table.name) != totals:
                    written = _replace(db, table, rows) if table is not _AUDIT else _append(db, ledger)
                    _compare(db, table, totals, [row[0] for row in rows] if table.keeps else None)
                found.append(Copied(table.name, *totals, written))
        self._known = {copied.table: (copied.rows, copied.checksum) for copied in found}
        return found


def instrument_ids(db: psycopg.Connection, ledger: Ledger) -> dict[tuple[str, str], int]:
    """Return the number of each (venue, symbol) that the ledger knows; a new one gets one, with its listed facts."""
    listed: dict[tuple[str, str], object] = {}
    for venue in sorted({venue for venue, _ in ledger.symbols()}):
        listed |= {(one.venue, one.symbol): msgspec.to_builtins(one._asdict()) for one in ledger.instruments(venue)}
    known = _numbers(db)
    for pair in ledger.symbols():
        if pair not in known:
            db.execute(
                "INSERT INTO market.instruments (venue, symbol, payload) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [*pair, Jsonb(listed.get(pair))],
            )
    return known if set(ledger.symbols()) <= known.keys() else _numbers(db)


def _numbers(db: psycopg.Connection) -> dict[tuple[str, str], int]:
    rows = db.execute("SELECT venue, symbol, id FROM market.instruments")
    return {(venue, symbol): number for venue, symbol, number in rows}


def _gaps(ledger: Ledger) -> list[Row]:
    c = t.gaps.c
    columns = (c.id, c.venue, c.symbol, c.epoch, c.first_missing, c.last_missing, c.state, c.reason, c.attempts)
    with ledger.database.reading() as db:
        return [_clean(row) for row in db.execute(sa.select(*columns, c.due_ns, c.prev_ts, c.next_ts))]


def _audited(ledger: Ledger) -> list[Row]:
    return [row[:-1] for row in _audit_rows(ledger)]


def _audit_rows(ledger: Ledger) -> list[Row]:
    """Return the ledger's audit log, each with a key of its content: numbers begin anew in a rebuilt ledger."""
    c = t.audit_log.c
    with ledger.database.reading() as db:
        rows = db.execute(sa.select(c.at_ns, c.actor, c.action, c.subject, c.detail).order_by(c.id)).all()
    found = {}
    for at_ns, *texts in rows:
        words = _clean(texts)
        key = hashlib.sha256("\0".join(map(str, (at_ns, *words))).encode()).hexdigest()
        at = dt.datetime.fromtimestamp(at_ns // 10**9, dt.UTC) + dt.timedelta(microseconds=at_ns % 10**9 // 1000)
        found[key] = (key, *words, at)
    return list(found.values())


def _clean(row: Iterable[object]) -> Row:
    """Return a row whose texts PostgreSQL can hold: no zero byte, nothing that is not UTF-8."""
    return tuple(
        value.replace("\0", "\ufffd").encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for value in row
    )


def _replace(db: psycopg.Connection, table: _Table, rows: Sequence[Row]) -> int:
    """Make a table hold exactly these rows; return how many it did not hold."""
    place, fresh = sql.Identifier("platform", table.name), sql.Identifier(f"fresh_{table.name}")
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    db.execute(
        sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(fresh, columns, place)
    )
    with db.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(fresh, columns)) as copy:
        for row in rows:
            copy.write_row(row)
    same = sql.SQL(" AND ").join(sql.SQL("f.{0} = t.{0}").format(sql.Identifier(name)) for name in table.key)
    gone = db.execute(
        sql.SQL("DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM {} f WHERE {})").format(place, fresh, same)
    ).rowcount
    rest = [name for name in table.columns if name not in table.key]
    what = sql.SQL("NOTHING") if not rest else _update(rest)
    put = sql.SQL("INSERT INTO {} AS t ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}")
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    return gone + db.execute(put.format(place, columns, columns, fresh, key, what)).rowcount


def _update(names: Sequence[str]) -> sql.Composed:
    both = [(sql.Identifier(name), sql.Identifier("excluded", name), sql.Identifier("t", name)) for name in names]
    assigned = sql.SQL(", ").join(sql.SQL("{} = {}").format(name, new) for name, new, _ in both)
    new, old = (sql.SQL(", ").join(pair[at] for pair in both) for at in (1, 2))
    return sql.SQL("UPDATE SET {} WHERE ({}) IS DISTINCT FROM ({})").format(assigned, new, old)


def _append(db: psycopg.Connection, ledger: Ledger) -> int:
    """Add the rows of the audit log that are not there: it is never changed."""
    there = {key for (key,) in db.execute("SELECT ledger_key FROM platform.audit_log WHERE ledger_key IS NOT NULL")}
    fresh = [row for row in _audit_rows(ledger) if row[0] not in there]
    statement = (
        "INSERT INTO platform.audit_log (ledger_key, actor, action, subject, detail, at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
    )
    with db.cursor() as cursor:
        cursor.executemany(statement, fresh)
    return len(fresh)


def _sum(rows: Iterable[Row]) -> str:
    """Return the checksum that `proofs.checksum` gives of the same rows."""
    total = 0
    for row in rows:
        text = "\t".join(r"\N" if value is None else str(value).replace("\t", " ") for value in row)
        total += int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)
    return str(total)


def _compare(db: psycopg.Connection, table: _Table, wanted: tuple[int, str], keys: list[object] | None) -> None:
    place = sql.Identifier("platform", table.name)
    query = sql.SQL("SELECT count(*), coalesce(sum({}), 0)::text FROM {}").format(
        checksum(row_text(table.columns)), place
    )
    if keys is not None:
        query += sql.SQL(" WHERE {} = ANY(%s)").format(sql.Identifier(table.key[0]))
    found = db.execute(query, None if keys is None else [keys]).fetchone()
    if found != wanted:
        raise CorruptionError(f"platform.{table.name} is not the ledger's after a copy: {found} there, {wanted} here")
