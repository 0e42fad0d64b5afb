"""Keep space back, so that on a full disk a lane can still be closed in order.

The file `reserve` in the lane holds allocated, unused blocks while the lane is written. When a write finds no space the
file is deleted, and what was received already becomes durable in its place. Pausing the recorder is
ingest/recorder/disk_full.py.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from trading_platform.domain.errors import StorageError
from trading_platform.store.fs.disk import Disk, MissingFile

NAME = "reserve"
RESERVE_BYTES = 64 << 20
"""What a recorder keeps back: twice what it may hold in memory."""


class Reserve:
    """The reserve of one lane, held or given up."""

    def __init__(self, directory: Path, size: int, disk: Disk) -> None:
        self._path, self._size, self._disk = directory / NAME, size, disk
        self.held = False

    def take(self) -> None:
        """Allocate the space; one that a killed writer left is taken over.

        Raises
        ------
        DiskFull : if there is not that much; nothing stays allocated.
        """
        try:
            self._allocate()
        except StorageError:
            with suppress(StorageError):
                self._give_back()
            raise
        self.held = True

    def give_up(self) -> bool:
        """Free the space for what must be written now; return False if none was held."""
        if not self.held:
            return False
        self.held = False
        self._give_back()
        return True

    def _allocate(self) -> None:
        try:
            file = self._disk.open(self._path, "update")
        except MissingFile:
            file = self._disk.open(self._path, "create")
        try:
            if file.size() < self._size:
                file.allocate(self._size)
        finally:
            file.close()

    def _give_back(self) -> None:
        self._disk.unlink(self._path)
        # Some file systems free blocks only with the next commit of their journal.
        self._disk.sync_directory(self._path.parent)
