"""Publish the computed leaves of a symbol-day together, with the steps and the durability of store/lake/publish.py.

A year is thousands of leaves: a ledger transaction and a lock less for each of them is minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from trading_platform.completeness.records import LeafEntry, LeafRecord
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, sync_file
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import leaf_files as files, parquet
from trading_platform.store.lake.leaf_files import LeafLedger, PreparedLeaf, Published, Step, no_step

STEPS = ("written", "intended", "renamed", "confirmed")
"""What `write_leaves` has just done when it calls `step`; ``renamed`` once a leaf."""


class LeafRows(NamedTuple):
    """Rows to be published, and what the ledger shall know of where they come from and where their state ends."""

    leaf: Leaf
    table: pa.Table
    input_hash: str
    end_state: str | None = None


def write_leaves(
    data: DataDir,
    fresh: Sequence[LeafRows],
    *,
    ledger: LeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    step: Step = no_step,
) -> list[Published]:
    """Replace computed leaves of one dataset, venue, symbol and day; equal tables give equal bytes.

    What the gate refuses stays as it was, the others are published.

    Parameters
    ----------
    step : told each of `STEPS` once it is done; tests stop there.

    Returns
    -------
    list of Published : one for each of `fresh`, in its order.
    """
    if not fresh:
        return []
    with files.locked(data, fresh[0].leaf):
        known = _resolved_entries(data, fresh, ledger, disk)
        conformed = [each._replace(table=files.conform(each.leaf, each.table)) for each in fresh]
        verdicts = {each.leaf: gate(each.table) for each in conformed}
        good = [each for each in conformed if verdicts[each.leaf].passed]
        try:
            written = _write(data, good, known, disk)
            step("written")
            files.swap(data, written, verdicts, ledger, disk, step)
        finally:
            for each in good:
                disk.unlink(files.aside(data, each.leaf, disk))
    return [_result(each.leaf, known, verdicts[each.leaf], written.get(each.leaf)) for each in fresh]


def _resolved_entries(
    data: DataDir, fresh: Sequence[LeafRows], ledger: LeafLedger, disk: Disk
) -> dict[Leaf, LeafEntry]:
    """Finish what a crash left, and return what is known then."""
    dataset, venue, symbol, day, *_ = fresh[0].leaf
    known = ledger.entries(dataset, venue, symbol, day)
    unsettled = [leaf for leaf, entry in known.items() if entry.intent is not None]
    for leaf in unsettled:
        files.resolve_intent(data, leaf, ledger, disk)
    return ledger.entries(dataset, venue, symbol, day) if unsettled else known


def _write(
    data: DataDir, fresh: Sequence[LeafRows], known: Mapping[Leaf, LeafEntry], disk: Disk
) -> dict[Leaf, PreparedLeaf]:
    """Write leaves aside, durably. They are not read back: what is damaged is noticed, and computed again."""
    # All are written before the first is synced: one commit of the file system's journal then serves them all.
    rows = {}
    for each in fresh:
        path = files.aside(data, each.leaf, disk)
        with parquet.refusal(path):
            rows[each.leaf] = path, parquet.write(path, each.table)
    for path, _ in rows.values():
        sync_file(path, disk)
    written = {}
    for each in fresh:
        path, count = rows[each.leaf]
        sha256 = parquet.file_sha256(path)
        record = LeafRecord(count.rows, count.content_hash, sha256, each.input_hash, each.end_state)
        target = data.lake / each.leaf.path
        changed = not disk.exists(target) or parquet.file_sha256(target) != record.file_sha256
        written[each.leaf] = PreparedLeaf(path, record, known.get(each.leaf, LeafEntry()).record, changed)
    return written


def _result(leaf: Leaf, known: Mapping[Leaf, LeafEntry], verdict: Verdict, written: PreparedLeaf | None) -> Published:
    if written is None:
        return files.as_before(leaf, known.get(leaf, LeafEntry()).record, verdict)
    return files.as_published(leaf, written.before, written.record, verdict, changed=written.changed)
