"""A Linux network namespace for tests with a virtual link, and faults of that link. Needs root.

Who works in the namespace is a thread that has entered it; everybody else stays outside. Where this is not allowed a
test is skipped loudly; with CI=true it fails.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
_NEW_NET = 0x40000000
_NOBODY = "02:00:00:00:00:99"


class Link:
    """A cable between this machine (`here`) and a namespace (`there`).

    Attributes
    ----------
    here, there : addresses of its two ends.
    """

    def __init__(self, number: int) -> None:
        self.name = f"tp{os.getpid() % 100_000}n{number}"
        self.ours, self.theirs = f"{self.name}a"[-15:], f"{self.name}b"[-15:]
        third, fourth = divmod((os.getpid() * 4 + number * 4) % 65_536, 256)
        self.here, self.there = f"10.{200 + number % 50}.{third}.{fourth & ~3 | 1}", ""
        self.there = self.here.rpartition(".")[0] + f".{fourth & ~3 | 2}"
        # A thread is born where its parent lives: whoever pulls at the cable's near end must live outside.
        self._outside = ThreadPoolExecutor(1)

    def make(self) -> None:
        """Lay the cable."""
        self._run("ip", "netns", "add", self.name)
        self._run("ip", "link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", self.name)
        # Many packets handed on as one would pass, however narrow the cable is.
        self._run("ip", "link", "set", self.ours, "gso_max_segs", "1")
        self._run("ip", "addr", "add", f"{self.here}/30", "dev", self.ours)
        self._inside("ip", "addr", "add", f"{self.there}/30", "dev", self.theirs)
        self._run("ip", "link", "set", self.ours, "up")
        self._inside("ip", "link", "set", self.theirs, "up")
        self._inside("ip", "link", "set", "lo", "up")

    def remove(self) -> None:
        """Take it away, namespace and all."""
        for words in (("ip", "link", "del", self.ours), ("ip", "netns", "del", self.name)):
            subprocess.run(words, capture_output=True, check=False, env=_ENVIRON)
        self._outside.shutdown()

    def plug(self, *, yes: bool) -> None:
        """Pull the cable out on our side, or put it back."""
        self._run("ip", "link", "set", self.ours, "up" if yes else "down")

    def deaf(self, *, yes: bool) -> None:
        """Send everything for the namespace to a machine that is not there, silently; or no longer."""
        self._astray(yes, self._run, self.there, self.ours)

    def mute(self, *, yes: bool) -> None:
        """Let everything from the namespace go astray, silently; or no longer."""
        self._astray(yes, self._inside, self.here, self.theirs)

    def _astray(self, yes: bool, run: Callable[..., None], address: str, device: str) -> None:
        if yes:
            run("ip", "neigh", "replace", address, "lladdr", _NOBODY, "dev", device, "nud", "permanent")
        else:
            run("ip", "neigh", "del", address, "dev", device)

    def slow(self, rate: str) -> None:
        """Bound what goes to the namespace, as ``64kbit``."""
        self._run(
            "tc", "qdisc", "replace", "dev", self.ours, "root", "tbf", "rate", rate, "burst", "3200", "latency", "4s"
        )

    def narrow(self, mtu: int) -> None:
        """Let the far end take no larger packets, and nobody say so."""
        self._inside("ip", "link", "set", self.theirs, "mtu", str(mtu))

    def inside(self, work: Callable[[], T]) -> T:
        """Do work on a thread that lives in the namespace; return or raise what it does."""
        result: list[T] = []
        error: list[BaseException] = []

        def run() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open() as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(work())
            except BaseException as problem:  # noqa: BLE001  raised where it is waited for
                error.append(problem)

        thread = threading.Thread(target=run, name=f"in {self.name}")
        thread.start()
        thread.join()
        if error:
            raise error[0]
        return result[0]

    def _inside(self, *command: str) -> None:
        self._run("ip", "netns", "exec", self.name, *command)

    def _run(self, *command: str) -> None:
        self._outside.submit(subprocess.run, command, capture_output=True, text=True, check=True, env=_ENVIRON).result()


@contextmanager
def link(number: int = 0) -> Iterator[Link]:
    """Give a cable; skip where there is none to be had, fail in CI."""
    cable = Link(number)
    try:
        try:
            cable.make()
        except (OSError, subprocess.CalledProcessError) as error:
            detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            message = f"no network namespace here: {detail}"
            if IN_CI:
                pytest.fail(message)
            pytest.skip(message)
        yield cable
    finally:
        cable.remove()


_ENVIRON = {**os.environ, "PATH": os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])}
