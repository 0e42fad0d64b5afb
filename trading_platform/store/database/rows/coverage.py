"""`platform.coverage`: the ids of each instrument and epoch that the database holds or must not take again.

Whoever writes ticks of an instrument locks its row first: so two writers never bring one trade twice.
"""

from __future__ import annotations

import psycopg

from trading_platform.domain.id_ranges import IdRanges, Range


def lock(db: psycopg.Connection, number: int, epoch: int) -> IdRanges:
    """Return what is covered, its row locked until the transaction ends; a new row is empty."""
    query = "SELECT ids::text FROM platform.coverage WHERE instrument_id = %s AND epoch = %s FOR UPDATE"
    row = db.execute(query, [number, epoch]).fetchone()
    if row is None:
        db.execute(
            "INSERT INTO platform.coverage (instrument_id, epoch, ids) VALUES (%s, %s, '{}') ON CONFLICT DO NOTHING",
            [number, epoch],
        )
        row = db.execute(query, [number, epoch]).fetchone()
        assert row is not None
    return ranges(str(row[0]))


def add(db: psycopg.Connection, number: int, epoch: int, runs: list[Range]) -> None:
    """Cover further ids; the caller has locked the row."""
    db.execute(
        "UPDATE platform.coverage SET ids = ids + %s::int8multirange, updated_at = now()"
        " WHERE instrument_id = %s AND epoch = %s",
        [literal(runs), number, epoch],
    )


def literal(runs: list[Range]) -> str:
    """Return closed ranges as PostgreSQL writes a multirange.

    >>> literal([(1, 3), (7, 7)])
    '{[1,4),[7,8)}'
    """
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in runs) + "}"


def ranges(text: str) -> IdRanges:
    """Return what PostgreSQL prints of a multirange of whole numbers.

    >>> list(ranges("{[1,4),[7,8)}")), list(ranges("{}"))
    ([(1, 3), (7, 7)], [])
    """
    inner = text[1:-1]
    found = []
    for one in inner.split("),") if inner else []:
        first, last = one.strip("[)").split(",")
        found.append((int(first), int(last) - 1))
    return IdRanges(found)
