"""The machine's disk: the log in memory, able to lose what was not synced, everything else as real files.

What a process writes to the log lies in the page cache until it is synced: a kill keeps it, a power loss keeps any
part of it, sector by sector and name by name. Staging, lake and ledger are real files below a folder in memory; their
operations can end a process too, but they count as durable, as their own harnesses show (tests/fault).

`Platter.on_durable` is told of every byte that becomes durable in the log: the judge's independent witness.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.simulation.clockwork import Killed, Process
from trading_platform.domain.errors import DiskFull, StorageError
from trading_platform.store.fs.disk import REAL_DISK, File, MissingFile, Mode

SECTOR = 512


class Node:
    """A file of the log: as processes see it, and as it lies on the platter.

    Attributes
    ----------
    dirty : stretches written since the last sync.
    """

    __slots__ = ("dirty", "durable", "live")

    def __init__(self, content: bytes = b"") -> None:
        self.live, self.durable = bytearray(content), bytearray(content)
        self.dirty: list[tuple[int, bytes]] = []


class Platter:
    """What all processes of the machine share.

    Parameters
    ----------
    log : the folder below which files lie in memory.
    on_durable : told of each stretch of a file of the log once it is durable.

    Attributes
    ----------
    honest : whether a sync does what it says; a disk that lies is a planted bug.
    room : bytes that may still be allocated, None for any number.
    failing_syncs : how many of the next syncs fail.
    """

    def __init__(self, log: Path, on_durable: Callable[[Path, bytes], object]) -> None:
        self.log, self.on_durable = log, on_durable
        self.names: dict[Path, Node] = {}
        self.durable_names: dict[Path, Node] = {}
        self.folders: set[Path] = set()
        self.honest = True
        self.room: int | None = None
        self.failing_syncs = 0

    def take(self, size: int, path: Path) -> None:
        """Allocate so many bytes more (fewer, if negative)."""
        if self.room is None:
            return
        if size > self.room:
            raise DiskFull(f"write {path}: no space left on device")
        self.room -= size

    def lose_power(self, random: Random) -> None:
        """Keep what was synced, and any part of the rest."""
        names: dict[Path, Node] = {}
        kept: dict[int, Node] = {}
        for name in sorted({*self.names, *self.durable_names}):
            now, then = self.names.get(name), self.durable_names.get(name)
            node = now if now is then else random.choice([now, then])
            if node is None:
                continue
            if id(node) not in kept:
                kept[id(node)] = _survivor(node, random)
            names[name] = kept[id(node)]
        self.names, self.durable_names = names, dict(names)


def _survivor(node: Node, random: Random) -> Node:
    """Return what a power loss leaves of a file: its length and each unsynced sector by themselves."""
    if not node.dirty and len(node.live) == len(node.durable):
        return node
    mode = random.randrange(4)
    content = bytearray(node.durable)
    for offset, data in node.dirty:
        end = offset + len(data)
        for begin in range(offset - offset % SECTOR, end, SECTOR):
            if mode == 0 or (mode > 1 and random.random() < 0.5):
                low, high = max(begin, offset), min(begin + SECTOR, end)
                content.extend(bytes(max(0, high - len(content))))
                content[low:high] = data[low - offset : high - offset]
    size = random.choice([len(node.live), len(node.durable)])
    del content[size:]
    content.extend(bytes(size - len(content)))
    return Node(bytes(content))


class MemoryFile:
    """An open file of the log."""

    __slots__ = ("_disk", "_node", "path")

    def __init__(self, disk: ProcessDisk, path: Path, node: Node) -> None:
        self._disk, self.path, self._node = disk, path, node

    def write(self, data: bytes, offset: int) -> None:
        half = self._disk.operate("write", self.path, data if data.strip(b"\0") else b"")
        self._disk.platter.take(max(0, offset + len(data) - len(self._node.live)), self.path)
        if half:
            self._put(data[: len(data) // 2], offset)
            self._disk.die()
        self._put(data, offset)

    def _put(self, data: bytes, offset: int) -> None:
        live = self._node.live
        live.extend(bytes(max(0, offset - len(live))))
        live[offset : offset + len(data)] = data
        self._node.dirty.append((offset, bytes(data)))

    def read(self, size: int, offset: int) -> bytes:
        return bytes(self._node.live[offset : offset + size])

    def size(self) -> int:
        return len(self._node.live)

    def truncate(self, size: int) -> None:
        self._disk.operate("truncate", self.path)
        self._resize(size)

    def hurry(self, offset: int, size: int) -> None:
        pass

    def allocate(self, size: int) -> None:
        self._disk.operate("allocate", self.path)
        if size > len(self._node.live):
            self._resize(size)

    def _resize(self, size: int) -> None:
        live = self._node.live
        self._disk.platter.take(size - len(live), self.path)
        del live[size:]
        live.extend(bytes(size - len(live)))

    def sync(self) -> None:
        platter, node = self._disk.platter, self._node
        self._disk.operate("sync", self.path)
        if platter.failing_syncs:
            platter.failing_syncs -= 1
            # The kernel calls these pages clean now: no later sync brings them onto the platter.
            node.dirty.clear()
            raise StorageError(f"fdatasync {self.path}: input/output error")
        dirty, node.dirty = node.dirty, []
        if not platter.honest:
            return
        durable = node.durable
        for offset, data in dirty:
            durable.extend(bytes(max(0, offset - len(durable))))
            durable[offset : offset + len(data)] = data
            platter.on_durable(self.path, data)
        size = len(node.live)
        del durable[size:]
        durable.extend(bytes(size - len(durable)))

    def close(self) -> None:
        pass


class RealFile:
    """An open file outside the log."""

    def __init__(self, disk: ProcessDisk, file: File) -> None:
        self._disk, self._file, self.path = disk, file, file.path

    def write(self, data: bytes, offset: int) -> None:
        self._disk.operate("write", self.path)
        self._disk.refuse_if_full(self.path)
        self._file.write(data, offset)

    def read(self, size: int, offset: int) -> bytes:
        return self._file.read(size, offset)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._disk.operate("truncate", self.path)
        self._file.truncate(size)

    def hurry(self, offset: int, size: int) -> None:
        pass

    def allocate(self, size: int) -> None:
        self._disk.operate("allocate", self.path)
        self._disk.refuse_if_full(self.path)
        self._file.allocate(size)

    def sync(self) -> None:
        self._disk.operate("sync", self.path)

    def close(self) -> None:
        self._file.close()


class ProcessDisk:
    """The disk as one process has it: it dies with it, or brings its death at a planned operation.

    Parameters
    ----------
    trace : told the name, file and data of each operation.

    Attributes
    ----------
    dies_in : at which operation from now the process dies, None if at none; `half` of a write may be done by then.
    """

    def __init__(self, platter: Platter, process: Process, trace: Callable[[str, Path, bytes], object]) -> None:
        self.platter, self._process, self._trace = platter, process, trace
        self.dies_in: int | None = None
        self.half = False

    def operate(self, name: str, path: Path, data: bytes = b"") -> bool:
        """Count an operation; return whether the process dies in the middle of it."""
        if self._process.dead:
            raise Killed
        self._trace(name, path, data)
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                if self.half and name == "write":
                    return True
                self.die()
        return False

    def die(self) -> None:
        """Kill the process here and now."""
        self._process.kill()
        raise Killed

    def refuse_if_full(self, path: Path) -> None:
        if self.platter.room is not None and self.platter.room <= 0:
            raise DiskFull(f"write {path}: no space left on device")

    def _in_log(self, path: Path) -> bool:
        return self.platter.log in path.parents

    def open(self, path: Path, mode: Mode) -> File:
        if not self._in_log(path):
            self.operate("open", path)
            if mode == "create":
                self.refuse_if_full(path)
            return RealFile(self, REAL_DISK.open(path, mode))
        names = self.platter.names
        if mode != "create":
            if path not in names:
                raise MissingFile(f"open {path}: no such file")
            return MemoryFile(self, path, names[path])
        if path in names:
            raise StorageError(f"open {path}: file exists")
        self.operate("create", path)
        self.platter.take(1, path)
        names[path] = Node()
        return MemoryFile(self, path, names[path])

    def rename(self, source: Path, target: Path) -> None:
        self.operate("rename", target)
        if self._in_log(target):
            self.platter.names[target] = self.platter.names.pop(source)
        else:
            REAL_DISK.rename(source, target)

    def unlink(self, path: Path) -> None:
        self.operate("unlink", path)
        if self._in_log(path):
            node = self.platter.names.pop(path, None)
            if node is not None:
                self.platter.take(-len(node.live) - 1, path)
        else:
            REAL_DISK.unlink(path)

    def listdir(self, path: Path) -> list[str]:
        if path != self.platter.log and not self._in_log(path):
            return REAL_DISK.listdir(path)
        return sorted(entry.name for entry in {*self.platter.names, *self.platter.folders} if entry.parent == path)

    def mkdir(self, path: Path) -> None:
        if path == self.platter.log or self._in_log(path):
            self.platter.folders.add(path)
        else:
            REAL_DISK.mkdir(path)

    def exists(self, path: Path) -> bool:
        if path == self.platter.log or self._in_log(path):
            return path in self.platter.names or path in self.platter.folders
        return REAL_DISK.exists(path)

    def sync_directory(self, path: Path) -> None:
        self.operate("sync_directory", path)
        if not (path == self.platter.log or self._in_log(path)):
            return
        platter = self.platter
        for name in {name for name in (*platter.names, *platter.durable_names) if name.parent == path}:
            if name in platter.names:
                platter.durable_names[name] = platter.names[name]
            else:
                platter.durable_names.pop(name, None)
