"""A real disk that records, at each operation, what a crash would leave: for tests that crash at every point.

The work under test runs once, undisturbed, on real files. Before every operation (and in the middle of every write)
`each` is called, and may have copies made of what a dead process or a power loss would leave at that instant: a process
loses nothing; a power loss any part of what was not synced (as tests/support/faults/lossy_disk.py: sector by sector,
length and name by themselves). SQLite's own files are taken as they are: that its commits are atomic and durable is its
promise, kept by its own tests. Folders count as durable once made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import sqlalchemy as sa

from tests.support.faults.lossy_disk import Node, _survivor
from trading_platform.store.fs.disk import REAL_DISK, File, Mode

_ASIDE = {"lock", "processor.lock", "sealing.lock"}

Each = Callable[[str, Path], None]


class WatchedFile:
    """An open file of a WatchedDisk."""

    def __init__(self, disk: WatchedDisk, file: File) -> None:
        self.path = file.path
        self._disk, self._file = disk, file
        self._node = disk.node(file.path)

    def write(self, data: bytes, offset: int) -> None:
        self._disk.before("write", self.path)
        if len(data) > 1:
            self._file.write(data[: len(data) // 2], offset)
            self._disk.before("half a write", self.path)
        self._file.write(data, offset)

    def read(self, size: int, offset: int) -> bytes:
        return self._file.read(size, offset)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._disk.before("truncate", self.path)
        self._file.truncate(size)

    def hurry(self, offset: int, size: int) -> None:
        pass

    def allocate(self, size: int) -> None:
        self._disk.before("allocate", self.path)
        self._file.allocate(size)

    def sync(self) -> None:
        self._disk.before("sync", self.path)
        if self._disk.honest:
            self._disk.durable[self._node] = self._file.read(self._file.size(), 0)

    def close(self) -> None:
        self._file.close()


class WatchedDisk:
    """The operating system's files below `root`, watched.

    Parameters
    ----------
    each : called before each operation with its name and path.
    honest : whether syncing counts; a disk where it does not is the negative control.
    """

    def __init__(self, root: Path, each: Each, *, honest: bool = True) -> None:
        self.root, self.each, self.honest = root, each, honest
        self.durable: dict[int, bytes] = {}
        self.durable_names: dict[Path, int] = {}
        self._nodes: dict[Path, int] = {}
        self._made = 0

    def before(self, name: str, path: Path) -> None:
        self.each(name, path)

    def watch_commits(self, engine: sa.Engine, path: Path) -> None:
        """Count the ledger's commits as operations too."""

        def on_commit(connection: sa.Connection) -> None:
            if connection.get_execution_options().get("writing"):  # reading ends with a commit too
                self.before("ledger commit", path)

        sa.event.listen(engine, "commit", on_commit)

    def node(self, path: Path) -> int:
        """Return the identity of the file that has this name now."""
        if path not in self._nodes:
            self._made += 1
            self._nodes[path] = self._made
        return self._nodes[path]

    def open(self, path: Path, mode: Mode) -> WatchedFile:
        if mode == "create":
            self.before("create", path)
            self._nodes.pop(path, None)
        return WatchedFile(self, REAL_DISK.open(path, mode))

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename", target)
        REAL_DISK.rename(source, target)
        self._nodes[target] = self.node(source)
        del self._nodes[source]

    def unlink(self, path: Path) -> None:
        if not self.exists(path):
            return
        self.before("unlink", path)
        REAL_DISK.unlink(path)
        self._nodes.pop(path, None)

    def listdir(self, path: Path) -> list[str]:
        return REAL_DISK.listdir(path)

    def mkdir(self, path: Path) -> None:
        REAL_DISK.mkdir(path)

    def exists(self, path: Path) -> bool:
        return REAL_DISK.exists(path)

    def sync_directory(self, path: Path) -> None:
        self.before("sync directory", path)
        if not self.honest:
            return
        for name in [name for name in self.durable_names if name.parent == path]:
            del self.durable_names[name]
        if path.is_dir():
            for entry in os.scandir(path):
                if entry.is_file():
                    self.durable_names[Path(entry.path)] = self.node(Path(entry.path))

    def left(self, target: Path, random: Random | None) -> Path:
        """Copy to `target` what a power loss now would leave; without `random`, what a dead process would."""
        live: dict[Path, bytes] = {}
        for folder, _, names in os.walk(self.root):
            (target / Path(folder).relative_to(self.root)).mkdir(parents=True, exist_ok=True)
            for name in names:
                path = Path(folder) / name
                if name.startswith("ledger.sqlite"):
                    if not name.endswith("-shm"):
                        (target / name).write_bytes(path.read_bytes())
                elif name not in _ASIDE:
                    live[path] = path.read_bytes()
        files = live if random is None else self._after_power_loss(live, random)
        for path, content in files.items():
            place = target / path.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return target

    def _after_power_loss(self, live: dict[Path, bytes], random: Random) -> dict[Path, bytes]:
        contents = {self.node(path): content for path, content in live.items()}
        survivors: dict[int, bytes] = {}
        found: dict[Path, bytes] = {}
        for path in sorted({*live, *self.durable_names}):
            node = random.choice([self._nodes.get(path) if path in live else None, self.durable_names.get(path)])
            if node is None:
                continue
            if node not in survivors:
                durable = self.durable.get(node, b"")
                # A file whose last name is gone has no live bytes any more; its durable ones may come back.
                survivors[node] = bytes(_survivor(Node(contents.get(node, durable), durable), random).live)
            found[path] = survivors[node]
        return found
