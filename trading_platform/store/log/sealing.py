"""Compress closed segments, in an order in which a crash at any point loses nothing.

    ledger says staged → write aside → fdatasync → read back → rename → fsync directory → unlink the original

Never done by a recorder, nor to a lane's newest segment. The bytes are sealed_segment.py, deleting old segments is
store/retention.py, walking lanes is ingest/processor/log_maintenance.py.
"""

from __future__ import annotations

from pathlib import Path

from trading_platform.domain.errors import CorruptionError
from trading_platform.store.fs.disk import REAL_DISK, Disk, remove_leftovers
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.log.open_segment import read_header
from trading_platform.store.log.sealed_segment import Index, encode, parse, read
from trading_platform.store.log.segment_files import sealed_numbers, sealed_path, segment_path

LOCK_NAME = "sealing.lock"


def sealing_lock(data: DataDir, lane: str) -> Path:
    """Return the lock that is held to seal or delete segments of the lane, or to keep them as they are."""
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


def sweep(directory: Path, *, disk: Disk = REAL_DISK) -> None:
    """Remove what a dead process was writing aside; the caller holds the sealing lock."""
    remove_leftovers(directory, disk=disk)
    for name in disk.listdir(directory):
        if name.endswith(".seg.aside"):
            disk.unlink(directory / name)
