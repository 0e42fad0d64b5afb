"""Leave every trade in one day only, also where a venue printed copies of it with times on both sides of a midnight.

A symbol-day is published by itself (publish.py), so two such copies become a row in each of two files. Of all copies
the least wins, as within a day (merge.py); here the other day's file gives its row up, and the dispute is kept. Nothing
happens, and nothing is read, where the ids of neighbouring days do not overlap: nearly always.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.completeness.records import Conflict, LeafRecord
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import (
    merge,
    merge_slices as slices,
    parquet,
    publish as lake,
    publish_computed as computed,
    schema as shapes,
)
from trading_platform.store.lake.publish_computed import ComputedLeafLedger, PreparedLeaf

Ids = dict[int, npt.NDArray[np.int64]]
"""Trade ids by epoch."""


def resolve_neighbours(data: DataDir, leaf: Leaf, *, ledger: ComputedLeafLedger, disk: Disk = REAL_DISK) -> list[Leaf]:
    """Remove trades that a published symbol-day shares with a neighbour from one of the two days.

    Returns
    -------
    The leaves that gave rows up.

    Raises
    ------
    LockHeld : if another publisher of one of the days takes long.
    """
    changed: list[Leaf] = []
    early, late = _neighbours(leaf)
    for pair in ((early, leaf), (leaf, late)):
        if _may_share(ledger.leaf(pair[0]), ledger.leaf(pair[1])):
            changed += _resolve_pair(data, pair, ledger, disk)
    return changed


def has_neighbour(leaf: Leaf, published: Container[Leaf]) -> bool:
    """Tell whether the day before or the day after is among those: else there is nothing to decide."""
    return any(neighbour in published for neighbour in _neighbours(leaf))


def _neighbours(leaf: Leaf) -> tuple[Leaf, Leaf]:
    start = day_start(leaf.day)
    return leaf._replace(day=day_of(start - DAY_NS)), leaf._replace(day=day_of(start + DAY_NS))


def _may_share(early: LeafRecord | None, late: LeafRecord | None) -> bool:
    """Tell whether two published days may hold the same id."""
    if early is None or late is None:
        return False
    bounds = early.first_id, early.last_id, late.first_id, late.last_id
    if None in bounds:
        return False
    first, last, then_first, then_last = (int(bound) for bound in bounds if bound is not None)
    # A day of several numberings may end at a lower id than it begins with: only looking tells.
    turned = first > last or then_first > then_last
    return turned or (last >= then_first and then_last >= first)


def _resolve_pair(data: DataDir, pair: tuple[Leaf, Leaf], ledger: ComputedLeafLedger, disk: Disk) -> list[Leaf]:
    with ExitStack() as held:
        for leaf in pair:  # the earlier day first, whoever does this
            held.enter_context(lake.locked(data, leaf))
            lake.resolve_intent(data, leaf, ledger, disk)
        early, late = (_ids(data, leaf) for leaf in pair)
        shared = {epoch: np.intersect1d(ids, late[epoch]) for epoch, ids in early.items() if epoch in late}
        if not any(len(ids) for ids in shared.values()):
            return []
        copies = pa.concat_tables([table.filter(_among(table, shared)) for leaf in pair for table in _rows(data, leaf)])
        merged = merge.merge(merge.mark(copies, merge.NEW))
        disputes = [Conflict(pair[0].venue, pair[0].symbol, *dispute) for dispute in merged.disputes]
        ledger.add_conflicts(disputes)
        days = merged.rows.column("ts_event").cast(pa.int64()).to_numpy() // DAY_NS
        losers = []
        for leaf in pair:
            elsewhere = merged.rows.filter(pa.array(days != day_start(leaf.day) // DAY_NS))
            if elsewhere.num_rows:
                _give_up(data, leaf, _by_epoch(elsewhere), ledger, disk)
                losers.append(leaf)
    return losers


def _ids(data: DataDir, leaf: Leaf) -> Ids:
    table = lake.read_leaf(data, leaf, ["epoch", "trade_id"])
    return {} if table is None else _by_epoch(table)


def _by_epoch(table: pa.Table) -> Ids:
    if table.column("trade_id").null_count:  # a text id that names a trade by its time lies in one day only
        return {}
    epochs, ids = table.column("epoch").to_numpy(), table.column("trade_id").to_numpy()
    return {int(epoch): ids[epochs == epoch] for epoch in np.unique(epochs)}


def _rows(data: DataDir, leaf: Leaf) -> Iterator[pa.Table]:
    for part in slices.slices([slices.Source(data.lake / leaf.path, merge.PUBLISHED)]):
        yield part.drop_columns([merge.ORIGIN])


def _among(table: pa.Table, keys: Ids) -> pa.Array:
    """Tell which rows have one of the keys."""
    epochs, ids = table.column("epoch").to_numpy(), table.column("trade_id").to_numpy()
    found = np.zeros(len(ids), np.bool_)
    for epoch, wanted in keys.items():
        found |= (epochs == epoch) & np.isin(ids, wanted)
    return pa.array(found)


def _give_up(data: DataDir, leaf: Leaf, lost: Ids, ledger: ComputedLeafLedger, disk: Disk) -> None:
    """Publish the day without these keys."""
    fresh = lake.aside(data, leaf, disk)
    bounds: list[int] = []
    try:
        with parquet.refusal(fresh), parquet.RowWriter(fresh, shapes.TICKS) as writer:
            for table in _rows(data, leaf):
                kept = table.filter(pc.invert(_among(table, lost)))
                if kept.num_rows:
                    writer.add(kept)
                    bounds += [kept.column("trade_id")[at].as_py() for at in (0, -1)]
            written = writer.finish()
        if not bounds:
            lake.take_out(data, leaf, ledger, disk)
            return
        record = lake.verified(fresh, written, disk, lean=True)
        aside = PreparedLeaf(
            fresh, record._replace(first_id=bounds[0], last_id=bounds[-1]), ledger.leaf(leaf), changed=True
        )
        verdict = ledger.verdict(leaf) or Verdict()
        computed.swap(data, {leaf: aside}, {leaf: verdict}, ledger, disk, lambda name: None)
    finally:
        disk.unlink(fresh)
