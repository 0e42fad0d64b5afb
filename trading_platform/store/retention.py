"""Delete old segments of the log once everything they gave is published, in an order that survives a crash.

    every sink holds it → all it gave is published, checked id by id → pin the leaves → fsync → unlink → fsync directory

A pinned leaf holds trades whose log is gone: a replay merges into it and never rebuilds it from nothing. Sealing, which
comes first, is log/sealing.py; walking lanes is ingest/processor/log_maintenance.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges, Range, id_runs
from trading_platform.domain.position import Position
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directory, write_atomically
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, staging
from trading_platform.store.log.sealed_segment import Entry, Index, read
from trading_platform.store.log.segment_files import sealed_numbers, sealed_path


class RetentionLedger(Protocol):
    """What retiring asks of the ledger."""

    def leaf(self, leaf: Leaf) -> LeafRecord | None:
        """Return what is published."""

    def least_flushed(self, lane: str) -> tuple[Position, str]:
        """Return up to where every sink holds a lane, and the name of the one that holds the least."""

    def used_up(self, venue: str, symbol: str) -> Mapping[int, IdRanges]:
        """Return by epoch the ids that are never published, because they hold no trade."""


class Retirement:
    """One round of retiring: remembers which leaves it has checked.

    Parameters
    ----------
    before_ns : segments whose newest record was received earlier may go.
    """

    def __init__(self, data: DataDir, ledger: RetentionLedger, before_ns: int, *, disk: Disk = REAL_DISK) -> None:
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
        held, sink = self._ledger.least_flushed(lane)
        for number in sealed_numbers(directory, self._disk)[:-1]:
            try:
                index = read(directory, number, self._disk).contents
            except CorruptionError as error:
                return gone, f"segment {number}: {error}"
            if index.last_recv >= self._before_ns:
                break
            if number >= held.segment:
                return gone, f"segment {number}: sink {sink} holds the lane only up to {held}"
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
    return {int(epoch): IdRanges(id_runs(np.sort(ids[epochs == epoch]))) for epoch in np.unique(epochs)}


def _missing(entry: Entry, held: IdRanges) -> Range | None:
    return next((hole for first, last in entry.ranges for hole in held.missing(first, last)), None)


def _pin_path(data: DataDir, leaf: Leaf) -> Path:
    return data.state / leaf.directory / "pinned"


def is_pinned(data: DataDir, leaf: Leaf) -> bool:
    """Tell whether segments that the leaf was made of are gone: it may grow, never start anew."""
    return _pin_path(data, leaf).exists()
