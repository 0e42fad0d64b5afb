"""Keep the end state of computed days below ``<data-dir>/state/``, durable before the leaf that ends with it.

A state is named by the input hash it was computed from and known to the ledger by its own hash, so one that is
missing, damaged or of another computation is never taken for the right one. What is in it is the dataset's affair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from trading_platform.completeness.records import LeafRecord
from trading_platform.store.fs.disk import REAL_DISK, make_directories, sync_file
from trading_platform.store.fs.layout import DataDir, Leaf

_SUFFIX = ".state"


def folder(data: DataDir, leaf: Leaf) -> Path:
    """Return where a leaf's states lie."""
    return data.state / leaf.directory


class EndState(NamedTuple):
    """A state to keep: of which leaf, computed from what."""

    leaf: Leaf
    input_hash: str
    payload: bytes


def save(data: DataDir, ended: Sequence[EndState]) -> None:
    """Write states durably."""
    paths = {folder(data, each.leaf) / f"{each.input_hash}{_SUFFIX}": each.payload for each in ended}
    make_directories([path.parent for path in paths])
    # Written in place: one that is torn does not have the hash it is known by.
    for path, payload in paths.items():
        REAL_DISK.unlink(path)
        file = REAL_DISK.open(path, "create")
        try:
            file.write(payload, 0)
        finally:
            file.close()
    # All are written before the first is synced: one commit of the file system's journal then serves them all.
    for path in paths:
        sync_file(path)
    for path in paths:
        REAL_DISK.sync_directory(path.parent)


def load(data: DataDir, leaf: Leaf, record: LeafRecord) -> bytes | None:
    """Return the state that the recorded leaf ended with, None if it is not there as it was written."""
    if record.end_state is None or record.input_hash is None:
        return None
    with suppress(FileNotFoundError):
        payload = (folder(data, leaf) / f"{record.input_hash}{_SUFFIX}").read_bytes()
        if digest(payload) == record.end_state:
            return payload
    return None


def prune(data: DataDir, leaf: Leaf, keep: str | None) -> None:
    """Remove every state of the leaf but the one of input hash `keep`."""
    place = folder(data, leaf)
    for name in REAL_DISK.listdir(place):
        if name.endswith(_SUFFIX) and name != f"{keep}{_SUFFIX}":
            REAL_DISK.unlink(place / name)


def digest(payload: bytes) -> str:
    """Return the hash that names a state's bytes."""
    return hashlib.sha256(payload).hexdigest()
