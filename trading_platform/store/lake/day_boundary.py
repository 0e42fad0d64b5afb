"""Leave every trade in one day only, also where copies of it were printed with times of two days.

A symbol-day is published by itself (publish.py), so two such copies become a row in each of two files. Of all copies
the least wins, as within a day (merge.py); here the other day's file gives its row up, and the dispute is kept. The
other day is any whose recorded ids overlap those that are new: nearly never is there one. Then only the row groups are
read that may hold these ids, however many days there are and however large they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.completeness.records import Conflict
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, sync_file
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import leaf_files as files, merge, merge_slices as slices, parquet, schema as shapes
from trading_platform.store.lake.leaf_files import WAIT_S, LeafLedger, PreparedLeaf

Ids = dict[int, npt.NDArray[np.int64]]
"""Trade ids by epoch."""


def resolve_shared(
    data: DataDir,
    leaf: Leaf,
    new: Sequence[Range] | None = None,
    *,
    ledger: LeafLedger,
    disk: Disk = REAL_DISK,
    wait_s: float = WAIT_S,
) -> list[Leaf]:
    """Remove trades that a published symbol-day shares with other days from all but one.

    Parameters
    ----------
    new : spans of the ids that are looked at; all of the day if not told.

    Returns
    -------
    The leaves that gave rows up.

    Raises
    ------
    LockHeld : if another publisher of one of the days takes longer than `wait_s`.
    """
    if new is None:
        record = ledger.leaf(leaf)
        told = record is not None and record.first_id is not None and record.last_id is not None
        new = [(record.first_id, record.last_id)] if told else []  # type: ignore[union-attr, list-item]
    changed: list[Leaf] = []
    for other in ledger.sharing({leaf: new}).get(leaf, ()):
        changed += _resolve_pair(data, sorted((leaf, other)), new, ledger, disk, wait_s)
    return changed


def _resolve_pair(
    data: DataDir, pair: Sequence[Leaf], new: Sequence[Range], ledger: LeafLedger, disk: Disk, wait_s: float
) -> list[Leaf]:
    with ExitStack() as held:
        for leaf in pair:  # the earlier day first, whoever does this
            held.enter_context(files.locked(data, leaf, wait_s=wait_s))
            files.resolve_intent(data, leaf, ledger, disk)
        early, late = (_ids(data, leaf, new) for leaf in pair)
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


def _ids(data: DataDir, leaf: Leaf, spans: Sequence[Range]) -> Ids:
    """Return a day's ids within the spans."""
    try:
        table = slices.ids_within(data.lake / leaf.path, spans)
    except FileNotFoundError:
        return {}
    return _by_epoch(table)


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


def _give_up(data: DataDir, leaf: Leaf, lost: Ids, ledger: LeafLedger, disk: Disk) -> None:
    """Publish the day without these keys."""
    fresh = files.aside(data, leaf, disk)
    least: list[int] = []
    greatest: list[int] = []
    try:
        with parquet.refusal(fresh), parquet.RowWriter(fresh, shapes.TICKS) as writer:
            for table in _rows(data, leaf):
                kept = table.filter(pc.invert(_among(table, lost)))
                if kept.num_rows:
                    writer.add(kept)
                    ends = pc.min_max(kept.column("trade_id")).as_py()
                    least.append(ends["min"])
                    greatest.append(ends["max"])
            written = writer.finish()
        if not least:
            files.take_out(data, leaf, ledger, disk)
            return
        sync_file(fresh, disk)
        record = files.verified(fresh, written, lean=True)._replace(first_id=min(least), last_id=max(greatest))
        verdict = ledger.verdict(leaf) or Verdict()
        aside = PreparedLeaf(fresh, record, ledger.leaf(leaf), changed=True)
        files.swap(data, {leaf: aside}, {leaf: verdict}, ledger, disk, files.no_step)
    finally:
        disk.unlink(fresh)
