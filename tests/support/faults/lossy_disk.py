"""In-memory disks that lose unsynced data at a crash as a real disk may: for durability tests.

What was not synced may survive a crash in any part: each 512-byte sector, each length, each directory entry by
itself. A file's name is durable only once its directory was synced, as POSIX promises no more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from trading_platform.domain.errors import StorageError
from trading_platform.store.fs.disk import MissingFile, Mode

SECTOR = 512


class PowerLoss(BaseException):
    """The machine went off in the middle of an operation."""


class Node:
    """A file's bytes: as processes see them, and as they lie on the platter."""

    def __init__(self, live: bytes = b"", durable: bytes = b"") -> None:
        self.live = bytearray(live)
        self.durable = bytes(durable)


class MemoryFile:
    """An open file of a MemoryDisk."""

    def __init__(self, disk: MemoryDisk, path: Path, node: Node) -> None:
        self.path = path
        self._disk, self._node = disk, node

    def write(self, data: bytes, offset: int) -> None:
        """Write all of it; a power loss in the middle leaves the first half in the page cache."""
        self._disk.operate("write", self.path, half=lambda: self._put(data[: len(data) // 2], offset))
        self._put(data, offset)
        self._disk.after()

    def _put(self, data: bytes, offset: int) -> None:
        live = self._node.live
        live.extend(bytes(max(0, offset - len(live))))
        live[offset : offset + len(data)] = data

    def read(self, size: int, offset: int) -> bytes:
        """Return what processes see."""
        return bytes(self._node.live[offset : offset + size])

    def size(self) -> int:
        """Return the length that processes see."""
        return len(self._node.live)

    def truncate(self, size: int) -> None:
        """Cut or extend."""
        self._disk.operate("truncate", self.path)
        del self._node.live[size:]
        self._node.live.extend(bytes(size - len(self._node.live)))
        self._disk.after()

    def hurry(self, offset: int, size: int) -> None:
        pass

    def allocate(self, size: int) -> None:
        """Extend with zeros."""
        self._disk.operate("allocate", self.path)
        self._node.live.extend(bytes(max(0, size - len(self._node.live))))
        self._disk.after()

    def sync(self) -> None:
        """Bring the bytes onto the platter, unless this disk lies."""
        self._disk.operate("sync", self.path)
        if self._disk.honest:
            self._node.durable = bytes(self._node.live)
        self._disk.after()

    def close(self) -> None:
        """Close."""


class MemoryDisk:
    """A file system in memory.

    Parameters
    ----------
    honest : whether `sync` does what it says; a disk that lies is the negative control.
    fail : asked before each operation (its name, path and number from 0): an error to raise, or None.
    die_at, die : lose power at that operation, ``before`` it, ``after`` it, or with a write ``half`` done.
    """

    def __init__(
        self,
        *,
        honest: bool = True,
        fail: Callable[[str, Path, int], Exception | None] = lambda name, path, number: None,
        die_at: int | None = None,
        die: str = "before",
    ) -> None:
        self.honest, self.fail, self.die_at, self.die = honest, fail, die_at, die
        self.names: dict[Path, Node] = {}
        self.durable_names: dict[Path, Node] = {}
        self.directories: set[Path] = set()
        self.operations: list[tuple[str, Path]] = []

    def operate(self, name: str, path: Path, half: Callable[[], None] = lambda: None) -> None:
        """Count an operation; fail or lose power if this is the one."""
        number = len(self.operations)
        if self.die_at is not None and number > self.die_at:
            raise PowerLoss
        self.operations.append((name, path))
        if number == self.die_at and self.die != "after":
            if self.die == "half":
                half()
            raise PowerLoss
        error = self.fail(name, path, number)
        if error is not None:
            raise error

    def after(self) -> None:
        """Lose power now if the operation just done was the one."""
        if self.die_at is not None and len(self.operations) > self.die_at:
            raise PowerLoss

    def open(self, path: Path, mode: Mode) -> MemoryFile:
        """Open a file."""
        if mode != "create":
            if path not in self.names:
                raise MissingFile(f"open {path}: no such file")
            return MemoryFile(self, path, self.names[path])
        if path in self.names:
            raise StorageError(f"open {path}: file exists")
        self.operate("create", path)
        self.names[path] = Node()
        self.after()
        return MemoryFile(self, path, self.names[path])

    def rename(self, source: Path, target: Path) -> None:
        """Move a name."""
        self.operate("rename", target)
        self.names[target] = self.names.pop(source)
        self.after()

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        self.operate("unlink", path)
        self.names.pop(path, None)
        self.after()

    def listdir(self, path: Path) -> list[str]:
        """Return the names of a directory."""
        return sorted(entry.name for entry in {*self.names, *self.directories} if entry.parent == path)

    def mkdir(self, path: Path) -> None:
        """Make a directory; durable at once."""
        self.directories.add(path)

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file or directory."""
        return path in self.names or path in self.directories or path.exists()

    def sync_directory(self, path: Path) -> None:
        """Bring a directory's names onto the platter."""
        self.operate("sync_directory", path)
        for name in {name for name in (*self.names, *self.durable_names) if name.parent == path}:
            if name in self.names:
                self.durable_names[name] = self.names[name]
            else:
                self.durable_names.pop(name, None)
        self.after()

    def after_power_loss(self, random: Random) -> MemoryDisk:
        """Return the disk as found after a power loss: what was synced, and any part of the rest."""
        found = MemoryDisk(honest=self.honest)
        found.directories = set(self.directories)
        kept: dict[int, Node] = {}
        for name in sorted({*self.names, *self.durable_names}):
            node = random.choice([self.names.get(name), self.durable_names.get(name)])
            if node is not None:
                kept.setdefault(id(node), _survivor(node, random))
                found.names[name] = found.durable_names[name] = kept[id(node)]
        return found

    def after_kill(self) -> MemoryDisk:
        """Return the disk as another process finds it: nothing is lost when only a process dies."""
        found = MemoryDisk(honest=self.honest)
        found.directories = set(self.directories)
        found.names = {name: Node(bytes(node.live), node.durable) for name, node in self.names.items()}
        found.durable_names = {name: found.names[name] for name in self.durable_names if name in found.names}
        return found


def _survivor(node: Node, random: Random) -> Node:
    live, durable = bytes(node.live), node.durable
    size = random.choice([len(live), len(durable)])
    longest = max(len(live), len(durable))
    live, durable = live.ljust(longest, b"\0"), durable.ljust(longest, b"\0")
    mode = random.randrange(4)
    sectors = []
    for at in range(0, longest, SECTOR):
        newer = mode == 0 or (mode > 1 and random.random() < 0.5)
        sectors.append((live if newer else durable)[at : at + SECTOR])
    content = b"".join(sectors)[:size]
    return Node(content, content)
