"""The one publisher: files of the lake appear, change and vanish only here.

A leaf is replaced under its lock, in steps that a crash may separate at any point:

    merge → gate → write aside → read back → remember copies, disputes → intend → rename → confirm → remove parts

Until the rename readers see the old file, after it the new one; parts go last, so nothing is ever in neither.
What a crash left is resolved by the next call for that leaf. Locks lie below ``run``, files being written below
``staging``: DuckDB and polars read every file of the lake, hidden ones too.

How copies become one row is store/lake/merge.py, how bytes come to be store/lake/parquet.py. Gates are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trading_platform.completeness.records import Conflict, LeafRecord
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import CorruptionError, UsageError
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directory
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import (
    hive_tree as tree,
    merge,
    merge_slices as slices,
    merge_writer as merge_file,
    parquet,
    schema as shapes,
    staging,
)
from trading_platform.store.lake.first_day import note_first_day

WAIT_S = 600.0
"""How long a publisher waits for another one of the same leaf."""

STEPS = ("merged", "verified", "remembered", "intended", "renamed", "confirmed", "removed")
"""What `publish` has just done when it calls `step`."""

Step = Callable[[str], None]


class LeafLedger(Protocol):
    """What publishing asks of the ledger."""

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published."""

    def intent(self, leaf: Leaf) -> LeafRecord | None:
        """Return what was about to be."""

    def intend(self, leaf: Leaf, new: LeafRecord) -> None:
        """Write down what is about to be."""

    def confirm(self, leaf: Leaf) -> None:
        """Make the intent the record."""

    def abandon(self, leaf: Leaf) -> None:
        """Drop the intent."""

    def forget(self, leaf: Leaf) -> None:
        """Drop everything about the leaf."""

    def verdict(self, leaf: Leaf) -> Verdict | None:
        """Return the gate's last answer."""

    def save_verdict(self, leaf: Leaf, verdict: Verdict) -> None:
        """Keep the gate's answer."""

    def used_up(self, venue: str, symbol: str) -> Mapping[int, IdRanges]:
        """Return by epoch the ids that hold no trade, whatever is served for them."""

    def add_conflicts(self, rows: Sequence[Conflict]) -> None:
        """Keep copies that differ."""


class Published(NamedTuple):
    """A leaf as it is now.

    Attributes
    ----------
    rows, content_hash, file_sha256 : of the file in the lake; 0 and empty if there is none.
    added : rows more than before.
    verdict : what the gate said of the new rows; if it did not pass, the lake is as it was.
    changed : whether the file was replaced.
    """

    leaf: Leaf
    rows: int
    added: int
    content_hash: str
    file_sha256: str
    verdict: Verdict
    changed: bool


def _no_step(name: str) -> None:
    """Go on."""


def publish(
    data: DataDir,
    leaf: Leaf,
    *,
    ledger: LeafLedger,
    gate: Gate,
    disk: Disk = REAL_DISK,
    wait_s: float = WAIT_S,
    step: Step = _no_step,
    again: bool = False,
) -> Published | None:
    """Merge a symbol-day's staged parts into its published ticks.

    Calls from several processes commute, and so do parts: the published rows are a function of the set of
    copies ever staged. A file that would stay the same is not rewritten.

    Parameters
    ----------
    gate : asked about consecutive slices of the merged rows (all of them in one slice below `slices.SLICE_ROWS`).
    step : told each of `STEPS` once it is done; tests stop there.
    again : whether what is published may hold ids that turned out to hold no trade.

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
    with locked(data, leaf, wait_s=wait_s):
        resolve_intent(data, leaf, ledger, disk)
        before = ledger.leaf(leaf)
        parts = [(path, identity(path)) for path in staging.parts_of(data, leaf)]
        present = check_published(data, leaf, before)
        if not parts and not (again and present) and (before is not None or not present):
            return None if before is None else as_before(leaf, before, ledger.verdict(leaf) or Verdict())
        # First: whatever stops this, no published day lies before the first one.
        note_first_day(data, [leaf.day], disk=disk)
        fresh = aside(data, leaf, disk)
        copies = fresh.with_suffix(".copies")
        try:
            sources = sources_of(data, leaf, [path for path, _ in parts], present=present)
            used_up = ledger.used_up(leaf.venue, leaf.symbol)
            merged = merge_file.write_merged(fresh, copies, sources, gate, used_up=used_up)
            step("merged")
            ledger.save_verdict(leaf, merged.verdict)
            if not merged.verdict.passed:
                return as_before(leaf, before, merged.verdict)
            if not merged.written.rows:
                return _emptied(data, leaf, parts, merged.verdict, ledger=ledger, disk=disk)
            record = verified_ticks(fresh, merged, disk)
            step("verified")
            remember(data, leaf, copies, disk)
            if merged.disputes:
                ledger.add_conflicts([Conflict(leaf.venue, leaf.symbol, *dispute) for dispute in merged.disputes])
            step("remembered")
            changed = _swap(data, leaf, fresh, before, record, ledger=ledger, disk=disk, step=step)
        finally:
            disk.unlink(fresh)
            disk.unlink(copies)
        remove_parts(data, leaf, parts, disk)
        step("removed")
        return as_published(leaf, before, record, merged.verdict, changed=changed)


def _emptied(
    data: DataDir,
    leaf: Leaf,
    parts: Iterable[tuple[Path, tuple[int, int, int]]],
    verdict: Verdict,
    *,
    ledger: LeafLedger,
    disk: Disk,
) -> Published | None:
    """Take out what is published of a leaf that holds no trade; return what became of it, None if nothing did."""
    before = ledger.leaf(leaf)
    if before is not None:
        take_out(data, leaf, ledger, disk)
    remove_parts(data, leaf, parts, disk)
    return None if before is None else Published(leaf, 0, -before.rows, "", "", verdict, changed=True)


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
    step: Step = _no_step,
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
    table = conform(leaf, table)
    with locked(data, leaf, wait_s=wait_s):
        resolve_intent(data, leaf, ledger, disk)
        before = ledger.leaf(leaf)
        if over is not None and not over(before):
            return as_before(leaf, before, ledger.verdict(leaf) or Verdict())
        verdict = gate(table)
        ledger.save_verdict(leaf, verdict)
        if not verdict.passed:
            return as_before(leaf, before, verdict)
        fresh = aside(data, leaf, disk)
        try:
            with parquet.refusal(fresh):
                written = parquet.write(fresh, table)
            record = verified(fresh, written, disk, lean=False)
            record = record._replace(input_hash=input_hash, end_state=end_state)
            step("verified")
            changed = _swap(data, leaf, fresh, before, record, ledger=ledger, disk=disk, step=step)
        finally:
            disk.unlink(fresh)
        return as_published(leaf, before, record, verdict, changed=changed)


def remove_leaf(
    data: DataDir, leaf: Leaf, *, ledger: LeafLedger, disk: Disk = REAL_DISK, wait_s: float = WAIT_S
) -> None:
    """Take a leaf out of the lake, with what is remembered of its copies; its staged parts stay."""
    with locked(data, leaf, wait_s=wait_s):
        take_out(data, leaf, ledger, disk)


def take_out(data: DataDir, leaf: Leaf, ledger: LeafLedger, disk: Disk) -> None:
    """Do so for who holds the leaf's lock."""
    # The ledger first: a file that it does not know is published again or removed again, a missing one is a loss.
    ledger.forget(leaf)
    for path in (data.lake / leaf.path, copies_path(data, leaf)):
        if disk.exists(path):
            disk.unlink(path)
            disk.sync_directory(path.parent)
            with suppress(OSError):
                path.parent.rmdir()


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


@contextmanager
def locked(data: DataDir, leaf: Leaf, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the leaf's lock: whoever replaces its file, or must see it stay, does so inside.

    Leaves of one computed dataset and symbol share one: thousands of them are written in a row by one process.
    """
    what = f"{leaf.dataset} {leaf.venue} {leaf.symbol} {leaf.day}".replace("  ", " ")
    recorded = leaf.timeframe is None
    place = leaf.directory if recorded else Path(leaf.dataset, f"venue={leaf.venue}", f"symbol={leaf.symbol}")
    with FileLock.acquire(data.run / "leaf-locks" / place / "lock", what, wait_s=wait_s):
        yield


def aside(data: DataDir, leaf: Leaf, disk: Disk) -> Path:
    """Return where the leaf's next file is written: one place per leaf, so a crash leaves at most one behind."""
    make_directory(staging.temporary(data), disk=disk)
    return staging.temporary(data) / leaf.path.as_posix().replace("/", ",")


def verified(fresh: Path, written: parquet.Written, disk: Disk, *, lean: bool) -> LeafRecord:
    """Make the new file durable, read it back, and return what the ledger shall know of it."""
    sync_file(fresh, disk)
    parquet.verify_file(fresh, written, lean=lean)
    return LeafRecord(written.rows, written.content_hash, parquet.file_sha256(fresh))


def verified_ticks(fresh: Path, merged: merge_file.Merge, disk: Disk) -> LeafRecord:
    """Do the same for ticks."""
    first, last = merged.ids
    return verified(fresh, merged.written, disk, lean=True)._replace(first_id=first, last_id=last)


def sync_file(path: Path, disk: Disk) -> None:
    """Make the bytes of a file durable."""
    file = disk.open(path, "update")
    try:
        file.sync()
    finally:
        file.close()


def _swap(
    data: DataDir,
    leaf: Leaf,
    fresh: Path,
    before: LeafRecord | None,
    record: LeafRecord,
    *,
    ledger: LeafLedger,
    disk: Disk,
    step: Step,
) -> bool:
    """Let the verified file take the leaf's place; return whether its bytes differ from what was there."""
    path = data.lake / leaf.path
    changed = differs(data, leaf, record, disk)
    if not changed and record == before:
        return False
    make_directory(path.parent, disk=disk)
    ledger.intend(leaf, record)
    step("intended")
    if changed:
        disk.rename(fresh, path)
        disk.sync_directory(path.parent)
        step("renamed")
    ledger.confirm(leaf)
    step("confirmed")
    return changed


def differs(data: DataDir, leaf: Leaf, record: LeafRecord, disk: Disk) -> bool:
    """Tell whether the file of that record is another one than what is published."""
    path = data.lake / leaf.path
    return not disk.exists(path) or parquet.file_sha256(path) != record.file_sha256


def resolve_intent(data: DataDir, leaf: Leaf, ledger: LeafLedger, disk: Disk) -> None:
    """Finish what a crash left between intent and confirmation."""
    intent = ledger.intent(leaf)
    if intent is None:
        return
    path = data.lake / leaf.path
    if disk.exists(path) and parquet.file_sha256(path) == intent.file_sha256:
        disk.sync_directory(path.parent)
        ledger.confirm(leaf)
    else:
        ledger.abandon(leaf)


def check_published(data: DataDir, leaf: Leaf, record: LeafRecord | None) -> bool:
    """Return whether a file is published, and refuse one that is not what the ledger recorded."""
    path = data.lake / leaf.path
    present = path.exists()
    if record is not None and not present:
        raise CorruptionError(f"{path} is missing although it was published; rebuild it with: replay")
    if record is not None and parquet.file_sha256(path) != record.file_sha256:
        raise CorruptionError(f"{path} is not the file that was published; rebuild it with: replay")
    return present


def look_at(data: DataDir, leaf: Leaf, *, ledger: LeafLedger) -> None:
    """Compare the bytes of a published file with what the ledger says of it; about 1.5 GB/s.

    Raises
    ------
    CorruptionError : if the file is gone or is not the one that was published.
    """
    record = ledger.leaf(leaf)
    if record is None or parquet.is_file(data.lake / leaf.path, record.file_sha256):
        return
    with locked(data, leaf):  # another process may just have replaced it, or died doing so
        resolve_intent(data, leaf, ledger, REAL_DISK)
        check_published(data, leaf, ledger.leaf(leaf))


def copies_path(data: DataDir, leaf: Leaf) -> Path:
    """Return where copies are kept that a later merge may need."""
    return data.state / leaf.directory / "copies.parquet"


def sources_of(data: DataDir, leaf: Leaf, parts: Iterable[Path], *, present: bool) -> list[slices.Source]:
    """Return the files that are merged: parts, what is published, what is remembered of its copies."""
    copies = copies_path(data, leaf)
    sources = [slices.Source(path) for path in parts]
    sources += [slices.Source(data.lake / leaf.path, merge.PUBLISHED)] if present else []
    sources += [slices.Source(copies, merge.REMEMBERED)] if copies.exists() else []
    return sources


def remember(data: DataDir, leaf: Leaf, copies: Path, disk: Disk) -> None:
    """Keep the copies that a later merge may need.

    Before the rename: should the machine stop in between, they are merely merged twice.
    """
    path = copies_path(data, leaf)
    if not copies.exists():
        return  # what is remembered stays so: none now means none before
    if path.exists() and parquet.file_sha256(path) == parquet.file_sha256(copies):
        return
    make_directory(path.parent, disk=disk)
    sync_file(copies, disk)
    disk.rename(copies, path)
    disk.sync_directory(path.parent)


def identity(path: Path) -> tuple[int, int, int]:
    """Return what tells a part from another one of the same name."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def remove_parts(data: DataDir, leaf: Leaf, parts: Iterable[tuple[Path, tuple[int, int, int]]], disk: Disk) -> None:
    """Remove the parts that were read, not what took a part's name meanwhile."""
    for path, seen in parts:
        if path.exists() and identity(path) == seen:
            disk.unlink(path)
    with suppress(OSError):  # another part has come, or the folder is gone already
        staging.folder(data, leaf).rmdir()


def conform(leaf: Leaf, table: pa.Table) -> pa.Table:
    """Return a table in the shape of the leaf's dataset, every NaN of one form."""
    table = shapes.conform(table, shapes.shape_of(leaf.dataset, table.column_names))
    for at, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(at)
            values = parquet.canonical_nan(column.to_numpy())
            table = table.set_column(at, field, pa.array(values, field.type, mask=np.asarray(column.is_null())))
    return table


def as_before(leaf: Leaf, record: LeafRecord | None, verdict: Verdict) -> Published:
    """Describe a leaf that stays as it is."""
    record = record or LeafRecord(0, "", "")
    return Published(leaf, record.rows, 0, record.content_hash, record.file_sha256, verdict, changed=False)


def as_published(
    leaf: Leaf, before: LeafRecord | None, record: LeafRecord, verdict: Verdict, *, changed: bool
) -> Published:
    """Describe a leaf that has taken the place of `before`."""
    added = record.rows - (0 if before is None else before.rows)
    return Published(leaf, record.rows, added, record.content_hash, record.file_sha256, verdict, changed)
