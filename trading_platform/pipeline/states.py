"""Keep the end state of computed days below ``<data-dir>/state/``, durable before the leaf that ends with it.

A state is named by the input hash it was computed from and known to the ledger by its own hash, so one that is
missing, damaged or of another computation is never taken for the right one. What is in it is the dataset's affair.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from trading_platform.store.disk import REAL_DISK, make_directory, write_atomically
from trading_platform.store.layout import DataDir, Leaf
from trading_platform.store.ledger.rows import LeafRecord

_SUFFIX = ".state"


def folder(data: DataDir, leaf: Leaf) -> Path:
    """Return where a leaf's states lie."""
    return data.state / leaf.directory


def save(data: DataDir, leaf: Leaf, input_hash: str, payload: bytes) -> str:
    """Write a state durably and return its hash."""
    place = folder(data, leaf)
    make_directory(place)
    write_atomically(place / f"{input_hash}{_SUFFIX}", payload)
    return digest(payload)


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
