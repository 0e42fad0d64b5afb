"""The first UTC day that the lake holds trades of, in one small file: Dagster's partitions begin with it.

Written by whoever publishes an earlier day than it says, read when Dagster's definitions are loaded, watched by `up`.
It only ever moves back. What the days hold is the ledger's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import CorruptionError, UsageError
from trading_platform.store.fs.checked_file import read_checked, write_checked
from trading_platform.store.fs.disk import REAL_DISK, Disk, make_directory
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import hive_tree as tree

_WAIT_S = 60.0


def first_day(data: DataDir) -> str | None:
    """Return the first day with published trades, None if there is none.

    Where the file is missing or damaged (a lake of older code, or one that was copied here), the lake's folders are
    looked through.

    >>> import tempfile
    >>> from pathlib import Path
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
        return _day(read_checked(data.first_day_path).decode())
    except (OSError, CorruptionError):
        return None


def note_first_day(data: DataDir, days: Iterable[str], *, disk: Disk = REAL_DISK) -> None:
    """Let the file say the first of these days, if it says a later one or nothing."""
    first = min(days, default=None)
    if first is None or not _is_news(data, first):
        return
    with FileLock.acquire(data.run / "first-day.lock", "the first day", wait_s=_WAIT_S):
        if _is_news(data, first):
            make_directory(data.first_day_path.parent, disk=disk)
            write_checked(data.first_day_path, min([first, *_published(data)]).encode(), disk=disk)


def _is_news(data: DataDir, first: str) -> bool:
    said = noted_first_day(data)
    return said is None or first < said


def _published(data: DataDir) -> Iterator[str]:
    """Yield the first day of each symbol that has a file."""
    root = data.lake / "ticks"
    folders = tree.walk(root, ["venue", "symbol", "date"])
    for (venue, symbol), days in groupby(folders, key=lambda values: values[:2]):
        above = root / f"venue={venue}" / f"symbol={symbol}"
        dates = (date for *_, date in days if _day(date) and (above / f"date={date}" / "ticks.parquet").exists())
        yield from islice(dates, 1)


def _day(text: str) -> str | None:
    try:
        parse_day(text)
    except UsageError:
        return None
    return text
