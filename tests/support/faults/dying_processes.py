"""A watched disk on which processes die: at any operation one process, or the whole machine with what was not synced.

Processes are calls here: what runs inside `process` is one, and may be killed at its n-th operation, lose the machine
its power there, or stand still there while another one acts. What dies does nothing more, its `finally` blocks
included. How a power loss picks among what was not synced is tests/support/faults/lossy_disk.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.support.faults.crash_points import _ASIDE, WatchedDisk, WatchedFile
from trading_platform.store.fs.disk import REAL_DISK, Mode


class Died(BaseException):
    """This process was killed."""


class PowerLost(Died):
    """The machine went off."""


class _Process:
    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self.left, self.act = at, act
        self.end: type[Died] | None = None


class _File(WatchedFile):
    """Closed once, by its user or after the death of that one."""

    def close(self) -> None:
        if self in self._disk.opened:
            self._disk.opened.remove(self)
            super().close()


class DyingDisk(WatchedDisk):
    """Real files below `root` whose users can die; see the module."""

    def __init__(self, root: Path, *, honest: bool = True) -> None:
        super().__init__(root, self._operation, honest=honest)
        self._running: list[_Process] = []
        self.opened: set[WatchedFile] = set()
        self.operations = 0

    @contextmanager
    def process(self, at: int = 0, act: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Run a process; before its operation number `at` (from 1) call `act`, which may raise Died."""
        running = _Process(at, act)
        self._running.append(running)
        try:
            yield
        finally:
            self._running.remove(running)

    def _operation(self, name: str, path: Path) -> None:
        self.operations += 1
        if not self._running:
            return
        me = self._running[-1]
        if me.end is not None:
            raise me.end
        # Nobody else can write to the ledger while a commit of it is under way: the next operation will do.
        if me.left == 1 and name == "ledger commit" and not isinstance(me.act, Death):
            return
        me.left -= 1
        if me.left == 0:
            try:
                me.act()
            except Died as death:
                me.end = type(death)
                raise

    def open(self, path: Path, mode: Mode) -> WatchedFile:
        if mode == "create":
            self.before("create", path)
            self._nodes.pop(path, None)
        file = _File(self, REAL_DISK.open(path, mode))
        self.opened.add(file)
        return file

    def close_all(self) -> None:
        """Close what the dead had open."""
        for file in list(self.opened):
            file.close()

    def lose_power(self, random: Random) -> None:
        """Leave of the files what was synced, and any part of the rest."""
        self.close_all()
        live = {
            path: path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not path.name.startswith("ledger.sqlite") and path.name not in _ASIDE
        }
        found = self._after_power_loss(live, random)
        for path in live.keys() - found.keys():
            path.unlink()
        self._nodes.clear()
        self.durable.clear()
        self.durable_names.clear()
        for path, content in found.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            node = self.durable_names[path] = self.node(path)
            self.durable[node] = content


class Death:
    """Something for `process` to do: die."""

    def __init__(self, how: type[Died]) -> None:
        self.how = how

    def __call__(self) -> None:
        raise self.how
