"""What publishing does to the files of leaves: lock, write aside, verify, rename into place, finish after a crash.

Which leaves, and where their rows come from, is store/lake/publish.py and store/lake/publish_computed.py; how bytes
come to be is store/lake/parquet.py. Several leaves share each ledger transaction, and each commit of the file system's
journal: what is done for one of them costs 10 ms alone, and two in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from trading_platform.completeness.records import Conflict, LeafEntry, LeafRecord
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directories, make_directory, sync_file
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import parquet, schema as shapes, staging

WAIT_S = 600.0
"""How long a publisher waits for another one of the same leaf."""

Step = Callable[[str], None]
Part = tuple[Path, tuple[int, int, int]]
"""A staged part, and what tells it from another one of the same name."""


class LeafLedger(Protocol):
    """What publishing asks of the ledger."""

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published."""

    def intent(self, leaf: Leaf) -> LeafRecord | None:
        """Return what was about to be."""

    def entries(self, dataset: str, venue: str, symbol: str, day: str) -> dict[Leaf, LeafEntry]:
        """Return everything known of a symbol-day's leaves."""

    def entries_of(self, leaves: Sequence[Leaf]) -> dict[Leaf, LeafEntry]:
        """Return everything known of these."""

    def sharing(self, spans: Mapping[Leaf, Sequence[Range]]) -> dict[Leaf, list[Leaf]]:
        """Return the other days whose published ids overlap a leaf's spans of ids, of the leaves that have such."""

    def intend_all(self, records: Mapping[Leaf, LeafRecord], verdicts: Mapping[Leaf, Verdict]) -> None:
        """Keep verdicts, and write down what is about to be."""

    def confirm_all(self, leaves: Sequence[Leaf]) -> None:
        """Make the intents the records."""

    def confirm(self, leaf: Leaf) -> None:
        """Make the intent the record."""

    def abandon(self, leaf: Leaf) -> None:
        """Drop the intent."""

    def forget(self, leaf: Leaf) -> None:
        """Drop everything about the leaf."""

    def verdict(self, leaf: Leaf) -> Verdict | None:
        """Return the gate's last answer."""

    def used_up_of(self, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Mapping[int, IdRanges]]:
        """Return by (venue, symbol) and epoch the ids that hold no trade, whatever is served for them."""

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


class PreparedLeaf(NamedTuple):
    """A leaf's next file, durable beside the lake; `before` is what the ledger knows of the one that is there."""

    path: Path
    record: LeafRecord
    before: LeafRecord | None
    changed: bool


def no_step(name: str) -> None:
    """Go on."""


@contextmanager
def locked(data: DataDir, leaf: Leaf, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the leaf's lock: whoever replaces its file, or must see it stay, does so inside.

    LeafLedger of one computed dataset and symbol share one: thousands of them are written in a row by one process.
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


def verified(fresh: Path, written: parquet.Written, *, lean: bool) -> LeafRecord:
    """Read a new file back, and return what the ledger shall know of it."""
    return LeafRecord(written.rows, written.content_hash, parquet.verify_file(fresh, written, lean=lean))


def swap(
    data: DataDir,
    written: Mapping[Leaf, PreparedLeaf],
    verdicts: Mapping[Leaf, Verdict],
    ledger: LeafLedger,
    disk: Disk,
    step: Step,
) -> None:
    """Let verified files take the leaves' places, and keep the gates' answers."""
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


def differs(data: DataDir, leaf: Leaf, record: LeafRecord) -> bool:
    """Tell whether the file of that record is another one than what is published."""
    return not parquet.is_file(data.lake / leaf.path, record.file_sha256)


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


def remove_parts(data: DataDir, leaf: Leaf, parts: Iterable[Part], disk: Disk) -> None:
    """Remove the parts that were read, not what took a part's name meanwhile."""
    for path, seen in parts:
        if path.exists() and identity(path) == seen:
            disk.unlink(path)
    with suppress(OSError):  # another part has come, or the folder is gone already
        staging.folder(data, leaf).rmdir()


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
