"""Compress closed segments and, if told to, let old ones go: the order in which a crash at any point loses nothing.

    seal     ledger says staged → write aside → fdatasync → read back → rename → fsync directory → unlink the original
    retire   all it gave is published, checked id by id → pin the leaves → fsync → unlink → fsync directory

A pinned leaf holds trades whose log is gone: a replay merges into it and never starts it anew. Never done by a
recorder, nor to a lane's newest segment. The bytes are sealed_segment.py; walking lanes is
ingest/processor/log_maintenance.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges, Range
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directory, remove_leftovers, write_atomically
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, staging
from trading_platform.store.log.open_segment import read_header
from trading_platform.store.log.sealed_segment import Entry, Index, encode, parse, read
from trading_platform.store.log.segment_files import sealed_numbers, sealed_path, segment_path

LOCK_NAME = "sealing.lock"


class Published(Protocol):
    """What retiring asks of the ledger."""

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published."""

    def used_up(self, venue: str, symbol: str) -> Mapping[int, IdRanges]:
        """Return by epoch the ids that are never published, because they hold no trade."""


def sealing_lock(data: DataDir, lane: str) -> Path:
    """Return the lock of whoever seals or retires segments of the lane, or needs them to stay as they are."""
    return data.lane(lane) / LOCK_NAME


def segment_end(directory: Path, number: int, disk: Disk = REAL_DISK) -> int | None:
    """Return where the records of a closed segment end, None if the next one does not say."""
    following = read_header(directory, number + 1, disk)
    return None if following is None else following.previous_end


def seal(directory: Path, index: Index, end: int, *, disk: Disk = REAL_DISK) -> bool:
    """Put a closed segment's sealed form in its place; return whether that was possible.

    The caller holds the lane's sealing lock and knows, durably, that all of the segment is decoded and staged.

    Parameters
    ----------
    index : what the segment gave.
    end : where its records end; zeroed space behind them is not kept.

    Returns
    -------
    bool : False if the file is shorter than its records; it stays as it was found.

    Raises
    ------
    CorruptionError : if what was read back is not what was written; the original stays.
    """
    number = index.number
    original, target = segment_path(directory, number), sealed_path(directory, number)
    file = disk.open(original, "read")
    try:
        segment = file.read(end, 0)
    finally:
        file.close()
    if len(segment) < end:
        return False
    content = encode(segment, index)
    aside = target.with_suffix(".aside")
    disk.unlink(aside)
    file = disk.open(aside, "create")
    try:
        file.write(content, 0)
        file.sync()
        back = parse(file.read(len(content) + 1, 0), number)
    finally:
        file.close()
    if back.contents != index or back.segment() != segment:
        disk.unlink(aside)
        raise CorruptionError(f"{target}: what was read back is not what was written")
    disk.rename(aside, target)
    disk.sync_directory(directory)
    disk.unlink(original)
    disk.sync_directory(directory)
    return True


def finish(directory: Path, *, disk: Disk = REAL_DISK) -> None:
    """Finish what a crash left: an original beside its sealed form goes, or the sealed form if it is not sound."""
    for number in sealed_numbers(directory, disk):
        if not disk.exists(segment_path(directory, number)):
            continue
        try:
            read(directory, number, disk)
        except CorruptionError:
            disk.unlink(sealed_path(directory, number))
        else:
            # Its name may not be durable yet; the original's removal must not be durable before it.
            disk.sync_directory(directory)
            disk.unlink(segment_path(directory, number))
        disk.sync_directory(directory)


class Retirement:
    """One round of retiring: remembers which leaves it has checked.

    Parameters
    ----------
    before_ns : segments whose newest record was received earlier may go.
    """

    def __init__(self, data: DataDir, ledger: Published, before_ns: int, *, disk: Disk = REAL_DISK) -> None:
        self._data, self._ledger, self._before_ns, self._disk = data, ledger, before_ns, disk
        self._held: dict[Leaf, dict[int, IdRanges] | str] = {}

    def retire(self, lane: str) -> tuple[list[int], str | None]:
        """Let a lane's oldest segments go, one after the other, while nothing speaks against it.

        The newest sealed segment stays: it tells where decoding of those after it begins.

        Returns
        -------
        The numbers of the segments that are gone, and what kept the next old one (None: it is not old yet).
        """
        directory = self._data.lane(lane)
        gone: list[int] = []
        for number in sealed_numbers(directory, self._disk)[:-1]:
            try:
                index = read(directory, number, self._disk).contents
            except CorruptionError as error:
                return gone, f"segment {number}: {error}"
            if index.last_recv >= self._before_ns:
                break
            reason = self._objection(index)
            if reason is not None:
                return gone, f"segment {number}: {reason}"
            self._pin(index)
            self._disk.unlink(sealed_path(directory, number))
            self._disk.sync_directory(directory)
            gone.append(number)
        return gone, None

    def _objection(self, index: Index) -> str | None:
        if index.unknown:
            return f"{index.unknown} frames were never decoded"
        for entry in index.entries:
            used_up = self._ledger.used_up(entry.venue, entry.symbol).get(entry.epoch, IdRanges())
            if _missing(entry, used_up) is None:
                continue  # nothing of it is published
            held = self._published(Leaf("ticks", entry.venue, entry.symbol, entry.day))
            if isinstance(held, str):
                return held
            known = held.get(entry.epoch, IdRanges()).copy()
            known.update(used_up)
            missing = _missing(entry, known)
            if missing is not None:
                return f"{entry.venue} {entry.symbol} {entry.day}: id {missing[0]} is not published"
        return None

    def _published(self, leaf: Leaf) -> dict[int, IdRanges] | str:
        if leaf not in self._held:
            self._held[leaf] = _check(self._data, leaf, self._ledger.leaf(leaf))
        return self._held[leaf]

    def _pin(self, index: Index) -> None:
        for entry in index.entries:
            path = _pin_path(self._data, Leaf("ticks", entry.venue, entry.symbol, entry.day))
            if not self._disk.exists(path):
                make_directory(path.parent, disk=self._disk)
                write_atomically(path, b"segments that this day was made of are retired\n", disk=self._disk)


def _check(data: DataDir, leaf: Leaf, record: LeafRecord | None) -> dict[int, IdRanges] | str:
    """Return the ids a leaf holds by epoch, having verified every byte of it; else what is wrong."""
    path = data.lake / leaf.path
    name = f"{leaf.venue} {leaf.symbol} {leaf.day}"
    if record is None:
        return f"{name} is not published"
    if staging.parts_of(data, leaf):
        return f"{name} has parts that are not published"
    try:
        if parquet.file_sha256(path) != record.file_sha256:
            return f"{name} is not the file that was published"
        table = lake.read_leaf(data, leaf, ["trade_id", "epoch"])
    except (CorruptionError, OSError) as error:
        return f"{name}: {error}"
    if table is None or table.column("trade_id").null_count:
        return f"{name} has trades without ids"
    ids, epochs = table.column("trade_id").to_numpy(), table.column("epoch").to_numpy()
    return {int(epoch): IdRanges(id_runs(ids[epochs == epoch])) for epoch in np.unique(epochs)}


def id_runs(ids: np.ndarray) -> list[Range]:
    """Return the maximal closed ranges of a set of ids.

    >>> id_runs(np.array([5, 1, 2, 2, 3]))
    [(1, 3), (5, 5)]
    """
    ids = np.unique(ids)
    if not len(ids):
        return []
    breaks = np.flatnonzero(np.diff(ids) != 1)
    firsts, lasts = ids[np.concatenate(([0], breaks + 1))], ids[np.concatenate((breaks, [len(ids) - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _missing(entry: Entry, held: IdRanges) -> Range | None:
    return next((hole for first, last in entry.ranges for hole in held.missing(first, last)), None)


def _pin_path(data: DataDir, leaf: Leaf) -> Path:
    return data.state / leaf.directory / "pinned"


def is_pinned(data: DataDir, leaf: Leaf) -> bool:
    """Tell whether segments that the leaf was made of are gone: it may grow, never start anew."""
    return _pin_path(data, leaf).exists()


def sweep(directory: Path, *, disk: Disk = REAL_DISK) -> None:
    """Remove what a dead process was writing aside; the caller holds the sealing lock."""
    remove_leftovers(directory, disk=disk)
    for name in disk.listdir(directory):
        if name.endswith(".seg.aside"):
            disk.unlink(directory / name)
