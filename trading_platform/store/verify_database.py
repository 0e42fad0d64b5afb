"""Compare the database with the lake, row by row: what is published must lie there as it is.

What is on its way is no difference: a leaf that was not copied yet is counted, and trades that are not published yet
may be in the database already, if the ledger knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.lake_copy import DATASETS, LakeCopy
from trading_platform.store.database.rows.reading import DatabaseReader
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema
from trading_platform.store.ledger import Ledger
from trading_platform.store.verify import Violation


class Compared(NamedTuple):
    """What was compared.

    Attributes
    ----------
    leaves, waiting : leaves that were compared, and those whose content is not there yet.
    violations : what differs.
    """

    leaves: int
    waiting: int
    violations: tuple[Violation, ...]


def compare(data: DataDir, ledger: Ledger, pool: DatabasePool) -> Compared:
    """Compare every published leaf of the lake with the database.

    Parameters
    ----------
    pool : connections as `tp_reader`.

    Raises
    ------
    DatabaseUnavailable : if the database is away.
    """
    due = set(LakeCopy(data, ledger, pool).due())
    reader = DatabaseReader(pool)
    found: list[Violation] = []
    count = 0
    for dataset in DATASETS:
        for leaf in ledger.leaves(dataset):
            if leaf in due:
                continue
            count += 1
            found += _differences(data, ledger, reader, leaf)
    return Compared(count, len(due), tuple(found))


def _differences(data: DataDir, ledger: Ledger, reader: DatabaseReader, leaf: Leaf) -> Iterator[Violation]:
    try:
        here = lake.read_leaf(data, leaf)
    except CorruptionError:
        return  # the lake's own check says so
    if here is None:
        return
    there = _there(reader, leaf, here)
    if leaf.dataset == "ticks":
        there, unknown = _published(ledger, leaf, here, there)
        if unknown:
            yield Violation("database", str(leaf.path), f"{unknown} trades that the ledger does not know")
    if not there.equals(here):
        yield Violation("database", str(leaf.path), f"{_summary(here, there)} differ from the lake's")


def _there(reader: DatabaseReader, leaf: Leaf, here: pa.Table) -> pa.Table:
    start = day_start(leaf.day)
    span = (start, start + DAY_NS)
    if leaf.dataset == "ticks":
        return reader.ticks(leaf.venue, leaf.symbol, *span)
    assert leaf.timeframe is not None
    place = (leaf.venue, leaf.symbol, leaf.timeframe, *span)
    if leaf.dataset == "bars":
        return reader.bars(*place)
    if leaf.dataset == "regimes":
        return reader.regimes(*place, model=str(leaf.model))
    outputs = [name for name in here.column_names if name not in schema.SHAPES["indicators"].names]
    return reader.indicators(*place, outputs=lambda: outputs)


def _published(ledger: Ledger, leaf: Leaf, here: pa.Table, there: pa.Table) -> tuple[pa.Table, int]:
    """Return the rows of trades that are published, and how many of the others the ledger does not know."""
    name = "trade_uid" if here.column("trade_id").null_count else "trade_id"
    known = pc.is_in(there.column(name), value_set=here.column(name).combine_chunks())
    further = there.filter(pc.invert(known))
    unknown = 0
    if further.num_rows and name == "trade_id":
        epochs, ids = further.column("epoch").to_numpy(), further.column("trade_id").to_numpy()
        for epoch in np.unique(epochs).tolist():
            stored = IdRanges(ledger.state(leaf.venue, leaf.symbol, int(epoch)).stored)
            unknown += int((~stored.among(ids[epochs == epoch])).sum())
    return there.filter(known), unknown


def _summary(here: pa.Table, there: pa.Table) -> str:
    if here.num_rows != there.num_rows:
        return f"{there.num_rows:,} rows of {here.num_rows:,}"
    names = [name for name in here.column_names if not here.column(name).equals(there.column(name))]
    return f"column {', '.join(names[:3]) or 'order'}"
