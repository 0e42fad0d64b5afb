"""The one publisher of recorded trades: files of ticks appear, change and vanish only here.

LeafLedger are replaced under their locks, some together, in steps that a crash may separate at any point:

    merge → gate → write aside → read back → remember copies, disputes → intend → rename → confirm → remove parts

Until the rename readers see the old file, after it the new one; parts go last, so nothing is ever in neither.
What a crash left is resolved by the next call for that leaf. Locks lie below ``run``, files being written below
``staging``: DuckDB and polars read every file of the lake, hidden ones too.

What is done to a leaf's files is store/lake/leaf_files.py, how copies become one row store/lake/merge.py, what becomes
of a trade in two days store/lake/day_boundary.py, how bytes come to be store/lake/parquet.py. Gates are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

import pyarrow as pa

from trading_platform.completeness.records import Conflict, LeafEntry, LeafRecord
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import CorruptionError, UsageError
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, sync_file
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import (
    day_boundary as boundary,
    hive_tree as tree,
    leaf_files as files,
    merge,
    merge_slices as slices,
    merge_writer as merge_file,
    parquet,
    staging,
)
from trading_platform.store.lake.first_day import note_first_day
from trading_platform.store.lake.leaf_files import (
    WAIT_S,
    LeafLedger,
    Part,
    PreparedLeaf,
    Published,
    Step,
    look_at,
    no_step,
)

__all__ = [
    "STEPS",
    "WAIT_S",
    "DueLeaf",
    "LeafLedger",
    "Published",
    "Step",
    "content_hash",
    "leaves",
    "look_at",
    "publish",
    "publish_together",
    "read_leaf",
    "rebuild",
    "remove_leaf",
    "write_leaf",
]

STEPS = ("merged", "verified", "remembered", "intended", "renamed", "confirmed", "resolved", "removed")
"""What has just been done when `step` is called; ``merged``, ``verified`` and ``renamed`` once a leaf."""


class DueLeaf(NamedTuple):
    """A leaf to be published.

    Attributes
    ----------
    groups : rows besides those that are staged.
    into : whether rows are merged into what is published, or replace it.
    again : whether what is published may hold ids that turned out to hold no trade.
    """

    leaf: Leaf
    groups: Sequence[slices.Group] = ()
    into: bool = True
    again: bool = False


class Together(NamedTuple):
    """What became of leaves that were published together.

    Attributes
    ----------
    published : as they are now, in the order asked for, without those that hold nothing and those not reached.
    damaged : one error for each leaf whose files are damaged: it stays as it is.
    reached : how many of the leaves were looked at.
    """

    published: list[Published]
    damaged: dict[Leaf, CorruptionError]
    reached: int


def publish(
    data: DataDir,
    leaf: Leaf,
    *,
    ledger: LeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    wait_s: float = WAIT_S,
    step: Step = no_step,
) -> Published | None:
    """Merge a symbol-day's staged parts into its published ticks.

    Calls from several processes commute, and so do parts: the published rows are a function of the set of
    copies ever staged. A file that would stay the same is not rewritten.

    Parameters
    ----------
    gate : asked about consecutive slices of the merged rows (all of them in one slice below `slices.SLICE_ROWS`).
    step : told each of `STEPS` once it is done; tests stop there.

    Returns
    -------
    Published or None : None if nothing is published and nothing staged.

    Raises
    ------
    CorruptionError : if the published file or a part is damaged; nothing is changed.
    LockHeld : if another publisher of this leaf takes longer than `wait_s`.
    """
    if not DATASETS[leaf.dataset].recorded:
        raise UsageError(f"only what is recorded is merged from parts, not {leaf.dataset}")
    done = publish_together(data, [DueLeaf(leaf)], ledger=ledger, gate=gate, disk=disk, wait_s=wait_s, step=step)
    for error in done.damaged.values():
        raise error
    return done.published[0] if done.published else None


def publish_together(
    data: DataDir,
    due: Sequence[DueLeaf],
    *,
    ledger: LeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    wait_s: float = WAIT_S,
    step: Step = no_step,
    enough: Callable[[], bool] = lambda: False,
) -> Together:
    """Do what `publish` does for some leaves, with one ledger transaction before the renames and one after them.

    What the gate refuses stays as it was, its parts too; the others are published.

    Parameters
    ----------
    enough : asked before each leaf; once it says so only those before are published.

    Raises
    ------
    LockHeld : if another publisher of one of them takes longer than `wait_s`.
    """
    with _held(data, due, disk, wait_s) as works:
        entries = _resolved_entries(data, [work.leaf for work in works], ledger, disk)
        used_up = ledger.used_up_of({(work.leaf.venue, work.leaf.symbol) for work in works})
        damaged: dict[Leaf, CorruptionError] = {}
        reached = []
        for work in works:
            if enough():
                break
            reached.append(work)
            try:
                work.merge(entries.get(work.leaf), used_up.get((work.leaf.venue, work.leaf.symbol), {}), gate)
            except CorruptionError as error:
                damaged[work.leaf] = error
            else:
                step("merged")
        whole = [work for work in reached if work.leaf not in damaged]
        good = _replace(data, whole, ledger, disk, step)
        # Asked for once all is confirmed: of two who publish copies of one trade, the later one finds the other's.
        shared = ledger.sharing({work.leaf: work.new for work in good})
        for work in good:
            if work.leaf not in shared:
                work.clean()
    unclean = [work for work in good if work.leaf in shared]
    for work in list(unclean):
        try:
            boundary.resolve_shared(data, work.leaf, work.new, ledger=ledger, disk=disk, wait_s=wait_s)
        except CorruptionError as error:  # the other day's file
            damaged[work.leaf] = error
            unclean.remove(work)
    step("resolved")
    for work in unclean:
        # Last: should this stop before, the parts are merged once more, and what they share is resolved then.
        with files.locked(data, work.leaf, wait_s=wait_s):
            work.clean()
    step("removed")
    results = (work.result() for work in whole if work.leaf not in damaged)
    return Together([result for result in results if result is not None], damaged, len(reached))


def rebuild(
    data: DataDir,
    wanted: Sequence[DueLeaf],
    *,
    ledger: LeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    step: Step = no_step,
) -> list[Published]:
    """Replace published ticks by what `wanted` and the staged parts hold.

    What is in the lake stays as it is until the new file takes its place. Trades that lie in two days afterwards are
    the caller's to resolve, once all days are there (`day_boundary.resolve_shared`).

    Returns
    -------
    list of Published : one for each of `wanted` that has rows, in order of the leaves.

    Raises
    ------
    CorruptionError : if a part, or a published file that is merged into, is damaged; nothing is changed.
    """
    with _held(data, sorted(wanted, key=lambda each: each.leaf), disk, WAIT_S) as works:
        entries = _resolved_entries(data, [work.leaf for work in works], ledger, disk)
        used_up = ledger.used_up_of({(work.leaf.venue, work.leaf.symbol) for work in works})
        for work in works:
            work.merge(entries.get(work.leaf), used_up.get((work.leaf.venue, work.leaf.symbol), {}), gate)
            step("merged")
        for work in _replace(data, works, ledger, disk, step):
            work.clean()
        step("removed")
    return [told for work in works if not work.emptied and (told := work.result()) is not None]


@contextmanager
def _held(data: DataDir, due: Sequence[DueLeaf], disk: Disk, wait_s: float) -> Iterator[list[_Work]]:
    """Hold the leaves' locks; what was written aside of them is gone at the end."""
    works = [_Work(data, each, disk) for each in due]
    with ExitStack() as held:
        # In one order, so that two who do this never wait for each other.
        for leaf in sorted(work.leaf for work in works):
            held.enter_context(files.locked(data, leaf, wait_s=wait_s))
        try:
            yield works
        finally:
            for work in works:
                work.drop()


def _resolved_entries(data: DataDir, leaves: Sequence[Leaf], ledger: LeafLedger, disk: Disk) -> dict[Leaf, LeafEntry]:
    """Finish what a crash left, and return what is known then."""
    known = ledger.entries_of(leaves)
    unsettled = [leaf for leaf, entry in known.items() if entry.intent is not None]
    for leaf in unsettled:
        files.resolve_intent(data, leaf, ledger, disk)
    return ledger.entries_of(leaves) if unsettled else known


def _replace(data: DataDir, works: Sequence[_Work], ledger: LeafLedger, disk: Disk, step: Step) -> list[_Work]:
    """Let what was merged take its place; return the leaves that did, of which parts are left to be removed."""
    asked = [work for work in works if work.merged is not None]
    for work in asked:
        if work.emptied:
            work.take_out(ledger)
    asked = [work for work in asked if not work.emptied]
    good = [work for work in asked if work.verdict.passed]
    # First: whatever stops this, no published day lies before the first one.
    note_first_day(data, [work.leaf.day for work in good], disk=disk)
    for work in good:
        # All before the first is read back: one commit of the file system's journal then serves them all.
        sync_file(work.fresh, disk)
    for work in good:
        work.verify()
        step("verified")
    for work in good:
        files.remember(data, work.leaf, work.copies, disk)
    if conflicts := [conflict for work in good for conflict in work.conflicts()]:
        ledger.add_conflicts(conflicts)
    step("remembered")
    if asked:
        verdicts = {work.leaf: work.verdict for work in asked}
        files.swap(data, {work.leaf: work.aside for work in good}, verdicts, ledger, disk, step)
    return good


class _Work:
    """What is done for one leaf.

    Attributes
    ----------
    merged : None before `merge`, and if there is nothing to be done.
    """

    aside: PreparedLeaf

    def __init__(self, data: DataDir, anew: DueLeaf, disk: Disk) -> None:
        self._data, self._anew, self._disk = data, anew, disk
        self.leaf = anew.leaf
        self.fresh = files.aside(data, anew.leaf, disk)
        self.copies = self.fresh.with_suffix(".copies")
        self.merged: merge_file.Merge | None = None
        self._parts: list[Part] = []
        self._entry = LeafEntry()
        self._present = False

    def merge(self, entry: LeafEntry | None, used_up: Mapping[int, IdRanges], gate: Gate) -> None:
        """Write the leaf's next file, if it is to have one."""
        anew = self._anew
        self._entry = entry or LeafEntry()
        self._parts = [(path, files.identity(path)) for path in staging.parts_of(self._data, self.leaf)]
        paths = [path for path, _ in self._parts]
        sources = [slices.Source(path) for path in paths]
        if anew.into:
            record = self._entry.record
            self._present = files.check_published(self._data, self.leaf, record)
            again = self._present and (anew.again or record is None)
            if not (paths or anew.groups or again):
                return
            sources += [slices.Source(self._data.lake / self.leaf.path, merge.PUBLISHED)] if self._present else []
            copies = files.copies_path(self._data, self.leaf)
            sources += [slices.Source(copies, merge.REMEMBERED)] if copies.exists() else []
        self.merged = merge_file.write_merged(self.fresh, self.copies, sources, gate, anew.groups, used_up=used_up)

    @property
    def emptied(self) -> bool:
        """Whether none of the leaf's ids holds a trade."""
        return self.merged is not None and not self.merged.written.rows

    @property
    def verdict(self) -> Verdict:
        """The gate's answer."""
        return self._entry.verdict or Verdict() if self.merged is None else self.merged.verdict

    @property
    def new(self) -> Sequence[Range]:
        """Spans of ids that hold all that is new."""
        return () if self.merged is None else self.merged.new

    def verify(self) -> None:
        """Read the file back and compare it with what is published."""
        assert self.merged is not None
        first, last = self.merged.ids
        record = files.verified(self.fresh, self.merged.written, lean=True)._replace(first_id=first, last_id=last)
        before = self._entry.record
        if self._present and before is not None:  # the file was compared with its record
            changed = record.file_sha256 != before.file_sha256
        else:
            changed = files.differs(self._data, self.leaf, record)
        self.aside = PreparedLeaf(self.fresh, record, before, changed)

    def conflicts(self) -> list[Conflict]:
        """Return the copies that do not agree."""
        disputes = () if self.merged is None else self.merged.disputes
        return [Conflict(self.leaf.venue, self.leaf.symbol, *dispute) for dispute in disputes]

    def clean(self) -> None:
        """Remove what the new file has made superfluous."""
        path = files.copies_path(self._data, self.leaf)
        if not self._anew.into and self.merged is not None and not self.merged.remembered and self._disk.exists(path):
            self._disk.unlink(path)
            self._disk.sync_directory(path.parent)
        files.remove_parts(self._data, self.leaf, self._parts, self._disk)

    def take_out(self, ledger: LeafLedger) -> None:
        """Take out what is published: none of its ids holds a trade."""
        if self._entry.record is not None:
            files.take_out(self._data, self.leaf, ledger, self._disk)
        files.remove_parts(self._data, self.leaf, self._parts, self._disk)

    def drop(self) -> None:
        """Remove what was written aside."""
        self._disk.unlink(self.fresh)
        self._disk.unlink(self.copies)

    def result(self) -> Published | None:
        """Describe the leaf as it is now, None if nothing is published and nothing was staged."""
        before = self._entry.record
        if self.emptied:
            nothing = Published(self.leaf, 0, 0, "", "", self.verdict, changed=True)
            return None if before is None else nothing._replace(added=-before.rows)
        if self.merged is None:
            return None if before is None else files.as_before(self.leaf, before, self.verdict)
        if not self.verdict.passed:
            return files.as_before(self.leaf, before, self.verdict)
        return files.as_published(self.leaf, before, self.aside.record, self.verdict, changed=self.aside.changed)


def write_leaf(  # noqa: PLR0913  clock, disk and callbacks are handed in by name
    data: DataDir,
    leaf: Leaf,
    table: pa.Table,
    *,
    ledger: LeafLedger,
    gate: Gate,
    input_hash: str | None,
    end_state: str | None = None,
    disk: Disk = REAL_DISK,
    wait_s: float = WAIT_S,
    step: Step = no_step,
    over: Callable[[LeafRecord | None], bool] | None = None,
) -> Published:
    """Replace a computed leaf by `table`; equal tables give equal bytes.

    Parameters
    ----------
    input_hash, end_state : what the ledger shall know of where the rows come from and where their state ends.
    over : told under the leaf's lock what is published; where it says no, that stays.
    """
    if DATASETS[leaf.dataset].recorded:
        raise UsageError(f"{leaf.dataset} are published from parts, never written")
    table = files.conform(leaf, table)
    with files.locked(data, leaf, wait_s=wait_s):
        before = _resolved_entries(data, [leaf], ledger, disk).get(leaf, LeafEntry())
        if over is not None and not over(before.record):
            return files.as_before(leaf, before.record, before.verdict or Verdict())
        verdict = gate(table)
        fresh = files.aside(data, leaf, disk)
        written: dict[Leaf, PreparedLeaf] = {}
        try:
            if verdict.passed:
                with parquet.refusal(fresh):
                    rows = parquet.write(fresh, table)
                sync_file(fresh, disk)
                record = files.verified(fresh, rows, lean=False)
                record = record._replace(input_hash=input_hash, end_state=end_state)
                written[leaf] = PreparedLeaf(fresh, record, before.record, files.differs(data, leaf, record))
                step("verified")
            files.swap(data, written, {leaf: verdict}, ledger, disk, step)
        finally:
            disk.unlink(fresh)
    if leaf not in written:
        return files.as_before(leaf, before.record, verdict)
    return files.as_published(leaf, before.record, record, verdict, changed=written[leaf].changed)


def remove_leaf(
    data: DataDir, leaf: Leaf, *, ledger: LeafLedger, disk: Disk = REAL_DISK, wait_s: float = WAIT_S
) -> None:
    """Take a leaf out of the lake, with what is remembered of its copies; its staged parts stay."""
    with files.locked(data, leaf, wait_s=wait_s):
        files.take_out(data, leaf, ledger, disk)


def read_leaf(data: DataDir, leaf: Leaf, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Read a published file, every page verified; None if there is none.

    Raises
    ------
    CorruptionError : if it is damaged.
    """
    try:
        return parquet.read(data.lake / leaf.path, columns)
    except FileNotFoundError:
        return None


def leaves(
    data: DataDir,
    dataset: str,
    *,
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    model: str | None = None,
) -> list[Leaf]:
    """Return the leaves that have a file, by day, then venue, symbol, timeframe and model."""
    named = {"venue": venue, "symbol": symbol, "timeframe": timeframe, "model": model}
    wanted = {key: None if value is None else (value,) for key, value in named.items()}
    keys, root = DATASETS[dataset].keys, data.lake / dataset
    found: list[Leaf] = []
    for values in tree.walk(root, keys, wanted):
        each = dict(zip(keys, values, strict=True))
        leaf = Leaf(
            dataset, each["venue"], each.get("symbol", ""), each["date"], each.get("timeframe"), each.get("model")
        )
        with suppress(UsageError):  # a folder that is not ours
            if (data.lake / leaf.path).is_file():
                found.append(leaf)
    return sorted(found, key=lambda x: (x.day, x.venue, x.symbol, x.timeframe or "", x.model or ""))


def content_hash(table: pa.Table) -> str:
    """Return the hash of what downstream depends on: of ticks `schema.CONTENT`, else every column.

    However the rows are chunked:

    >>> two = pa.table({"x": pa.chunked_array([[1.5], [None]])})
    >>> content_hash(two) == content_hash(two.combine_chunks())
    True
    """
    total = parquet.ContentHash(table.schema)
    total.add(table)
    return total.hexdigest()
