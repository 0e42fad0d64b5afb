"""Publish ticks that were decoded anew from the log, several leaves together, with the steps of store/lake/publish.py.

What is in the lake stays as it is until the new file takes its place: readers never see a leaf missing, and a stop at
any point leaves each leaf old or new. Where the rows come from is ingest/replay/replay.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from trading_platform.completeness.records import Conflict, LeafEntry
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import (
    merge_slices as slices,
    merge_writer as merge_file,
    publish as lake,
    publish_computed as computed,
    staging,
)
from trading_platform.store.lake.first_day import note_first_day
from trading_platform.store.lake.publish import Published, Step
from trading_platform.store.lake.publish_computed import ComputedLeafLedger, PreparedLeaf

STEPS = ("merged", "verified", *computed.STEPS[1:], "removed")
"""What `rebuild` has just done when it calls `step`; ``merged``, ``verified`` and ``renamed`` once a leaf."""


class LeafRebuild(NamedTuple):
    """A leaf to be published anew.

    Attributes
    ----------
    groups : its rows.
    into : whether they are merged into what is published, which holds trades that are nowhere else.
    """

    leaf: Leaf
    groups: Sequence[slices.Group]
    into: bool = False


def _no_step(name: str) -> None:
    """Go on."""


def rebuild(
    data: DataDir,
    wanted: Sequence[LeafRebuild],
    *,
    ledger: ComputedLeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    step: Step = _no_step,
) -> list[Published]:
    """Replace published ticks by what `wanted` and the staged parts hold; one ledger transaction for all of them.

    What the gate refuses stays as it was, its parts too; the others are published. Parts that were read are removed.

    Returns
    -------
    list of Published : one for each of `wanted` that has rows, in order of the leaves.

    Raises
    ------
    CorruptionError : if a part, or a published file that is merged into, is damaged; nothing is changed.
    """
    note_first_day(data, (each.leaf.day for each in wanted), disk=disk)
    with ExitStack() as held:
        # In one order, so that two who do this never wait for each other.
        works = all_works = [_Work(data, each, disk) for each in sorted(wanted, key=lambda each: each.leaf)]
        for work in works:
            held.enter_context(lake.locked(data, work.leaf))
        try:
            for work in works:
                work.merge(ledger, gate, step)
            for work in works:
                if not work.merged.written.rows:
                    work.take_out(ledger)
            works = [work for work in works if work.merged.written.rows]
            good = [work for work in works if work.merged.verdict.passed]
            for work in good:
                # All before the first is read back: one commit of the file system's journal then serves them all.
                lake.sync_file(work.fresh, disk)
            for work in good:
                work.verify()
                step("verified")
            _publish(data, works, good, ledger, disk, step)
            for work in good:
                work.clean()
            step("removed")
        finally:
            for work in all_works:
                work.drop()
    return [work.result() for work in works]


def _publish(
    data: DataDir, works: Sequence[_Work], good: Sequence[_Work], ledger: ComputedLeafLedger, disk: Disk, step: Step
) -> None:
    conflicts = [conflict for work in good for conflict in work.conflicts()]
    if conflicts:
        ledger.add_conflicts(conflicts)
    for work in good:
        lake.remember(data, work.leaf, work.copies, disk)
    verdicts = {work.leaf: work.merged.verdict for work in works}
    computed.swap(data, {work.leaf: work.aside for work in good}, verdicts, ledger, disk, step)


class _Work:
    """What is done for one leaf."""

    merged: merge_file.Merge
    aside: PreparedLeaf

    def __init__(self, data: DataDir, anew: LeafRebuild, disk: Disk) -> None:
        self._data, self._anew, self._disk = data, anew, disk
        self.leaf = anew.leaf
        self.fresh = lake.aside(data, anew.leaf, disk)
        self.copies = self.fresh.with_suffix(".copies")
        self._parts: list[tuple[Path, tuple[int, int, int]]] = []
        self._entry = LeafEntry()

    def merge(self, ledger: ComputedLeafLedger, gate: Gate, step: Step) -> None:
        """Write the leaf's next file."""
        lake.resolve_intent(self._data, self.leaf, ledger, self._disk)
        known = ledger.entries("ticks", self.leaf.venue, self.leaf.symbol, self.leaf.day)
        self._entry = known.get(self.leaf, LeafEntry())
        self._parts = [(path, lake.identity(path)) for path in staging.parts_of(self._data, self.leaf)]
        paths = [path for path, _ in self._parts]
        if self._anew.into:
            present = lake.check_published(self._data, self.leaf, self._entry.record)
            sources = lake.sources_of(self._data, self.leaf, paths, present=present)
        else:
            sources = [slices.Source(path) for path in paths]
        used_up = ledger.used_up(self.leaf.venue, self.leaf.symbol)
        self.merged = merge_file.write_merged(
            self.fresh, self.copies, sources, gate, self._anew.groups, used_up=used_up
        )
        step("merged")

    def verify(self) -> None:
        """Read the file back and compare it with what is published."""
        record = lake.verified_ticks(self.fresh, self.merged, self._disk)
        changed = lake.differs(self._data, self.leaf, record, self._disk)
        self.aside = PreparedLeaf(self.fresh, record, self._entry.record, changed)

    def conflicts(self) -> list[Conflict]:
        """Return the copies that do not agree."""
        return [Conflict(self.leaf.venue, self.leaf.symbol, *dispute) for dispute in self.merged.disputes]

    def clean(self) -> None:
        """Remove what the new file has made superfluous."""
        path = lake.copies_path(self._data, self.leaf)
        if not self._anew.into and not self.merged.remembered and self._disk.exists(path):
            self._disk.unlink(path)
            self._disk.sync_directory(path.parent)
        lake.remove_parts(self._data, self.leaf, self._parts, self._disk)

    def take_out(self, ledger: ComputedLeafLedger) -> None:
        """Take out what is published: none of its ids holds a trade."""
        if self._entry.record is not None:
            lake.take_out(self._data, self.leaf, ledger, self._disk)
        lake.remove_parts(self._data, self.leaf, self._parts, self._disk)

    def drop(self) -> None:
        """Remove what was written aside."""
        self._disk.unlink(self.fresh)
        self._disk.unlink(self.copies)

    def result(self) -> Published:
        """Describe the leaf as it is now."""
        verdict: Verdict = self.merged.verdict
        if not verdict.passed:
            return lake.as_before(self.leaf, self._entry.record, verdict)
        return lake.as_published(self.leaf, self._entry.record, self.aside.record, verdict, changed=self.aside.changed)
