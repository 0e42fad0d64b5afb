"""What a data directory is, kept beside its ledger: live or simulated, and of which simulated market.

The log cannot tell it, so a ledger that is lost and rebuilt from the log would forget it. All else that a ledger
remembers is told again by the log or by the venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from trading_platform.domain.errors import CorruptionError, PlatformError
from trading_platform.store.fs.checked_file import read_checked, write_checked
from trading_platform.store.fs.disk import make_directory
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock

_WAIT_S = 60.0


def is_mark(name: str) -> bool:
    """Tell whether a fact of this name is kept in the file, too.

    >>> is_mark("kind"), is_mark("market:binance"), is_mark("rest_url:binance")
    (True, True, False)
    """
    return name == "kind" or name.startswith("market:")


class Marks:
    """The file of one data directory."""

    def __init__(self, data: DataDir) -> None:
        self._path, self._lock = data.state / "marks", data.run / "marks.lock"

    def get(self, name: str) -> str | None:
        """Return a mark, None if there is none.

        Raises
        ------
        CorruptionError : if the file is damaged: what the directory is must not be guessed.
        """
        return _read(self._path).get(name)

    def put(self, name: str, value: str) -> None:
        """Keep a mark that the ledger holds already, durably. A damaged file is made again."""
        if self._sound().get(name) != value:
            self._add({name: value}, _WAIT_S)

    def complete(self, known: Mapping[str, str]) -> None:
        """Keep what a ledger of older code knows and the file does not. Also readers do: who may not write leaves it.

        A damaged file stays as it is for now.
        """
        with suppress(PlatformError, OSError):
            if absent := {name: value for name, value in known.items() if name not in _read(self._path)}:
                self._add(absent, 0.0)

    def _add(self, marks: Mapping[str, str], wait_s: float) -> None:
        with FileLock.acquire(self._lock, "the marks of a data directory", wait_s=wait_s):
            make_directory(self._path.parent)
            write_checked(self._path, msgspec.json.encode(self._sound() | dict(marks), order="sorted"))

    def _sound(self) -> dict[str, str]:
        try:
            return _read(self._path)
        except CorruptionError:
            return {}


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(read_checked(path), type=dict[str, str])
    except FileNotFoundError:
        return {}
