"""Data directories of the size people have, made quickly: many symbols, days, gaps and seals; a lake of small leaves.

The rows are those that recording would have written; they go straight into the ledger's own tables.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, schema as shapes
from trading_platform.store.ledger import Ledger, tables as t

VENUE = "binance"
FIRST_DAY = "2024-01-01"
A_DAY = 1000
"""Ids of a symbol-day."""

Row = dict[str, Any]


class Size(NamedTuple):
    """How much a ledger holds; every day but the newest of each symbol is sealed."""

    symbols: int = 1000
    days: int = 365
    gaps: int = 100_000


def symbol(number: int) -> str:
    """Return the name of a symbol."""
    return f"C{number:04d}-USDT"


def fill_ledger(ledger: Ledger, size: Size) -> None:
    """Write the account of `size.symbols` sequences, each missing as many stretches, spread over its days."""
    with ledger.database.writing() as db:
        for number in range(size.symbols):
            for table, rows in _account(number, size).items():
                if rows:
                    db.execute(table.insert(), rows)
        if db.dialect.name == "postgresql":
            db.execute(sa.text("ANALYZE"))


def _account(number: int, size: Size) -> Mapping[sa.Table, list[Row]]:
    key = {"venue": VENUE, "symbol": symbol(number), "epoch": 0}
    first, begins = 1_000_000 * number + 1, day_start(FIRST_DAY)
    total, gaps = size.days * A_DAY, size.gaps // size.symbols
    step = total // (gaps + 1)
    missing = [(first + step * (at + 1), first + step * (at + 1) + at % 3) for at in range(gaps)]
    gone = {one for low, high in missing for one in range(low, high + 1)}
    lacking = [0] * size.days
    for one in gone:
        lacking[(one - first) // A_DAY] += 1
    borders = [first - 1, *(border for span in missing for border in span), first + total]
    stored = [(borders[at] + 1, borders[at + 1] - 1) for at in range(0, len(borders), 2)]
    head_ts = begins + size.days * DAY_NS - 1
    return {
        t.sequences: [
            {
                **key,
                "from_id": first,
                "head": first + total - 1,
                "head_ts": head_ts,
                "tail": "closed",
                "tail_ts": head_ts,
            }
        ],
        t.ranges: [{**key, "kind": "stored", "first_id": low, "last_id": high} for low, high in stored],
        t.coverage: [
            {
                **key,
                "day": day_of(begins + day * DAY_NS),
                "first_id": _held(first + day * A_DAY, gone, 1),
                "last_id": _held(first + (day + 1) * A_DAY - 1, gone, -1),
                "stored": A_DAY - lacking[day],
                "first_ts": begins + day * DAY_NS,
                "last_ts": begins + (day + 1) * DAY_NS - 1,
            }
            for day in range(size.days)
        ],
        t.gaps: [
            {
                **key,
                "first_missing": low,
                "last_missing": high,
                "state": "open",
                "reason": "ids skipped",
                "attempts": at % 4,
                "due_ns": 0,
                "prev_ts": None,
                "next_ts": None,
            }
            for at, (low, high) in enumerate(missing)
        ],
        t.leaves: [_leaf(number, day, lacking[day], sealed=day < size.days - 1) for day in range(size.days)],
    }


def _leaf(number: int, day: int, lacking: int, *, sealed: bool) -> Row:
    """Return the row of a published symbol-day."""
    leaf = Leaf("ticks", VENUE, symbol(number), day_of(day_start(FIRST_DAY) + day * DAY_NS))
    digest = hashlib.sha256(str(leaf.path).encode()).hexdigest()
    first = 1_000_000 * number + 1 + day * A_DAY
    record = LeafRecord(A_DAY - lacking, digest, digest[::-1], first_id=first, last_id=first + A_DAY - 1)
    return {
        "path": str(leaf.path),
        **leaf._asdict(),
        "published": True,
        "record": msgspec.json.encode(record._asdict()).decode(),
        "verdict": "[]",
        "sealed": digest if sealed else None,
        "seal_holds": sealed,
    }


def _held(number: int, gone: set[int], step: int) -> int:
    """Return the nearest id in a direction that is not missing."""
    while number in gone:
        number += step
    return number


def fill_lake(data: DataDir, leaves: int, days: int = 365) -> Iterator[Leaf]:
    """Make many small leaves of ticks and yield them: copies of one file, which no ledger knows."""
    begins = day_start(FIRST_DAY)
    one = pa.table(
        {
            "trade_id": pa.array([1, 2], pa.int64()),
            "trade_uid": pa.array([None, None], pa.string()),
            "epoch": pa.array([0, 0], pa.int16()),
            "ts_event": pa.array([begins, begins + 1], shapes.TIME),
            "ts_recv": pa.array([begins + 5, begins + 6], shapes.TIME),
            "price": [100.5, 101.5],
            "quantity": [1.0, 2.0],
            "side": ["buy", "sell"],
            "source": ["ws", "ws"],
        },
        schema=shapes.TICKS,
    )
    source = data.root / "one.parquet"
    parquet.write(source, one)
    for number in range(leaves):
        leaf = Leaf("ticks", VENUE, symbol(number // days), day_of(begins + number % days * DAY_NS))
        path = data.lake / leaf.path
        path.parent.mkdir(parents=True)
        shutil.copyfile(source, path)
        yield leaf
