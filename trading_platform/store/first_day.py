"""The first UTC day that the lake holds trades of, in one small file: Dagster's partitions begin with it.

Written by whoever publishes an earlier day than it says, read when Dagster's definitions are loaded, watched by `up`.
It only ever moves back. What the days hold is the ledger's to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import google_crc32c

from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import UsageError
from trading_platform.store.disk import REAL_DISK, Disk, make_directory, write_atomically
from trading_platform.store.layout import DataDir
from trading_platform.store.locks import FileLock

_WAIT_S = 60.0


def first_day(data: DataDir) -> str | None:
    """Return the first day with published trades, None if there is none.

    Where the file is missing or damaged (a lake of older code, or one that was copied here), the lake's folders are
    looked through.

    >>> import tempfile
    >>> data = DataDir(Path(tempfile.mkdtemp())).create()
    >>> note_first_day(data, ["2024-08-09", "2024-08-08"])
    >>> note_first_day(data, ["2024-08-10"])
    >>> first_day(data)
    '2024-08-08'
    """
    return noted_first_day(data) or min(_published(data), default=None)


def noted_first_day(data: DataDir) -> str | None:
    """Return what the file says, None if it is missing or damaged: cheap enough to be asked all the time."""
    try:
        return _decoded(data.first_day_path.read_bytes())
    except OSError:
        return None


def note_first_day(data: DataDir, days: Iterable[str], *, disk: Disk = REAL_DISK) -> None:
    """Let the file say the first of these days, if it says a later one or nothing."""
    first = min(days, default=None)
    if first is None or _said(data, disk) <= first:
        return
    with FileLock.acquire(data.run / "first-day.lock", "the first day", wait_s=_WAIT_S):
        if _said(data, disk) > first:
            make_directory(data.first_day_path.parent, disk=disk)
            write_atomically(data.first_day_path, _encoded(min([first, *_published(data)])), disk=disk)


_NONE = "9999-12-31"


def _said(data: DataDir, disk: Disk) -> str:
    if not disk.exists(data.first_day_path):
        return _NONE
    file = disk.open(data.first_day_path, "read")
    try:
        return _decoded(file.read(64, 0)) or _NONE
    finally:
        file.close()


def _encoded(day: str) -> bytes:
    return f"{day} {google_crc32c.value(day.encode()):08x}\n".encode()


def _decoded(content: bytes) -> str | None:
    day = content[:10].decode("latin-1")
    return day if _is_day(day) and content == _encoded(day) else None


def _published(data: DataDir) -> Iterator[str]:
    for venue in _folders(data.lake / "ticks", "venue="):
        for symbol in _folders(venue, "symbol="):
            for folder in _folders(symbol, "date="):
                day = folder.name.removeprefix("date=")
                if _is_day(day) and (folder / "ticks.parquet").exists():
                    yield day


def _is_day(text: str) -> bool:
    try:
        parse_day(text)
    except UsageError:
        return False
    return True


def _folders(parent: Path, prefix: str) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return []
