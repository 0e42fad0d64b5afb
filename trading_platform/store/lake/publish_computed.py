"""Publish the computed leaves of a symbol-day together, with the steps and the durability of store/lake/publish.py.

A year is thousands of leaves: a ledger transaction and a lock less for each of them is minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from trading_platform.completeness.records import LeafEntry, LeafRecord
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directories
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake
from trading_platform.store.lake.publish import Published, Step

STEPS = ("written", "intended", "renamed", "confirmed")
"""What `write_leaves` has just done when it calls `step`; ``renamed`` once a leaf."""


class ComputedLeafLedger(lake.LeafLedger, Protocol):
    """What publishing several leaves asks of the ledger."""

    def entries(self, dataset: str, venue: str, symbol: str, day: str) -> dict[Leaf, LeafEntry]:
        """Return everything known of a symbol-day's leaves."""

    def intend_all(self, records: Mapping[Leaf, LeafRecord], verdicts: Mapping[Leaf, Verdict]) -> None:
        """Keep verdicts and intents."""

    def confirm_all(self, leaves: Sequence[Leaf]) -> None:
        """Make the intents the records."""


class LeafRows(NamedTuple):
    """Rows to be published, and what the ledger shall know of where they come from and where their state ends."""

    leaf: Leaf
    table: pa.Table
    input_hash: str
    end_state: str | None = None


def _no_step(name: str) -> None:
    """Go on."""


class PreparedLeaf(NamedTuple):
    """A leaf's next file, durable beside the lake; `before` is what the ledger knows of the one that is there."""

    path: Path
    record: LeafRecord
    before: LeafRecord | None
    changed: bool


def write_leaves(
    data: DataDir,
    fresh: Sequence[LeafRows],
    *,
    ledger: ComputedLeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    step: Step = _no_step,
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
    with lake.locked(data, fresh[0].leaf):
        known = _resolved_entries(data, fresh, ledger, disk)
        conformed = [each._replace(table=lake.conform(each.leaf, each.table)) for each in fresh]
        verdicts = {each.leaf: gate(each.table) for each in conformed}
        good = [each for each in conformed if verdicts[each.leaf].passed]
        try:
            written = _write(data, good, known, disk)
            step("written")
            swap(data, written, verdicts, ledger, disk, step)
        finally:
            for each in good:
                disk.unlink(lake.aside(data, each.leaf, disk))
    return [_result(each.leaf, known, verdicts[each.leaf], written.get(each.leaf)) for each in fresh]


def _resolved_entries(
    data: DataDir, fresh: Sequence[LeafRows], ledger: ComputedLeafLedger, disk: Disk
) -> dict[Leaf, LeafEntry]:
    """Finish what a crash left, and return what is known then."""
    dataset, venue, symbol, day, *_ = fresh[0].leaf
    known = ledger.entries(dataset, venue, symbol, day)
    unsettled = [leaf for leaf, entry in known.items() if entry.intent is not None]
    for leaf in unsettled:
        lake.resolve_intent(data, leaf, ledger, disk)
    return ledger.entries(dataset, venue, symbol, day) if unsettled else known


def _write(
    data: DataDir, fresh: Sequence[LeafRows], known: Mapping[Leaf, LeafEntry], disk: Disk
) -> dict[Leaf, PreparedLeaf]:
    """Write leaves aside, durably. They are not read back: what is damaged is noticed, and computed again."""
    # All are written before the first is synced: one commit of the file system's journal then serves them all.
    rows = {}
    for each in fresh:
        path = lake.aside(data, each.leaf, disk)
        with parquet.refusal(path):
            rows[each.leaf] = path, parquet.write(path, each.table)
    for path, _ in rows.values():
        lake.sync_file(path, disk)
    written = {}
    for each in fresh:
        path, count = rows[each.leaf]
        sha256 = parquet.file_sha256(path)
        record = LeafRecord(count.rows, count.content_hash, sha256, each.input_hash, each.end_state)
        target = data.lake / each.leaf.path
        changed = not disk.exists(target) or parquet.file_sha256(target) != record.file_sha256
        written[each.leaf] = PreparedLeaf(path, record, known.get(each.leaf, LeafEntry()).record, changed)
    return written


def swap(
    data: DataDir,
    written: Mapping[Leaf, PreparedLeaf],
    verdicts: Mapping[Leaf, Verdict],
    ledger: ComputedLeafLedger,
    disk: Disk,
    step: Step,
) -> None:
    """Let the verified files take the leaves' places."""
    news = {leaf: each for leaf, each in written.items() if each.changed or each.record != each.before}
    moves = {data.lake / leaf.path: each.path for leaf, each in news.items() if each.changed}
    make_directories([target.parent for target in moves], disk=disk)
    ledger.intend_all({leaf: each.record for leaf, each in news.items()}, verdicts)
    step("intended")
    for target, path in moves.items():
        disk.rename(path, target)
        step("renamed")
    for target in moves:
        disk.sync_directory(target.parent)
    if news:
        ledger.confirm_all(list(news))
    step("confirmed")


def _result(leaf: Leaf, known: Mapping[Leaf, LeafEntry], verdict: Verdict, written: PreparedLeaf | None) -> Published:
    if written is None:
        return lake.as_before(leaf, known.get(leaf, LeafEntry()).record, verdict)
    return lake.as_published(leaf, written.before, written.record, verdict, changed=written.changed)
