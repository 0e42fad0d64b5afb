"""Mount test file systems: small, full, read-only, or detached as by a power loss. Needs root on Linux.

Where mounting is not allowed a test is skipped loudly; with CI=true it fails.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


class Mount:
    """A mounted file system; `root` is where it is seen."""

    def __init__(self, root: Path, kind: str, image: Path | None) -> None:
        self.root, self.kind, self.image = root, kind, image

    def mount(self) -> None:
        """Mount the image (again)."""
        assert self.image is not None
        _run("mount", "-o", "loop", "-t", self.kind, str(self.image), str(self.root))

    def unmount(self) -> None:
        """Unmount it."""
        _run("umount", str(self.root))

    def discard(self) -> None:
        """Unmount it whoever still uses it: a mount left behind would be in every later test's way."""
        _run("umount", "-l", str(self.root))

    def read_only(self, *, yes: bool) -> None:
        """Remount it read-only, or writable again."""
        _run("mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(self.root))

    def cut_power(self, before_remount: Callable[[], object] = lambda: None) -> None:
        """Lose everything that was not synced, the journal's unwritten part included, and come up again."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("<I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
        before_remount()
        self.unmount()
        self.mount()


@contextmanager
def tmpfs(root: Path, size: str) -> Iterator[Mount]:
    """Give a file system in memory of that size."""
    root.mkdir(parents=True)
    _capable(lambda: _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(root)), "tmpfs")
    mount = Mount(root, "tmpfs", None)
    try:
        yield mount
    finally:
        mount.discard()


@contextmanager
def image(root: Path, kind: str, size_mb: int, *options: str) -> Iterator[Mount]:
    """Give a file system (ext4, xfs) in a file, mounted through a loop device."""
    root.mkdir(parents=True)
    path = root.with_suffix(".img")
    with path.open("wb") as file:
        file.truncate(size_mb << 20)
    mount = Mount(root, kind, path)

    def make() -> None:
        _run(f"mkfs.{kind}", "-q", *options, str(path))
        mount.mount()

    _capable(make, f"a loop mount of {kind}")
    try:
        yield mount
    finally:
        mount.discard()
        path.unlink()


def _capable(make: Callable[[], None], what: str) -> None:
    """Do it; where this machine does not allow it, skip, or fail in CI."""
    try:
        make()
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        message = f"no {what} here: {detail}"
        if IN_CI:
            pytest.fail(message)
        pytest.skip(message)


def _run(*command: str) -> None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
