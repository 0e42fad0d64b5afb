"""The file layer: whole writes, atomic replacement, errors that name the path."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest

from tests.support.faults.lossy_disk import MemoryDisk, PowerLoss
from trading_platform.domain.errors import StorageError
from trading_platform.store.fs.disk import REAL_DISK, MissingFile, make_directory, remove_leftovers, write_atomically


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of which the system takes only a part at a time arrives whole."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    file = REAL_DISK.open(tmp_path / "a", "create")
    file.write(b"0123456789", 2)
    assert file.read(100, 0) == b"\0\0" + b"0123456789"
    file.close()


def test_a_long_read_is_many_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is asked for, no single call keeps a processor for long, and what comes is whole."""
    content = Random(1).randbytes(1_000_003)
    file = REAL_DISK.open(tmp_path / "a", "create")
    file.write(content, 0)
    pread, asked = os.pread, list[int]()
    monkeypatch.setattr(os, "pread", lambda fd, size, at: asked.append(size) or pread(fd, size, at))
    assert file.read(1_000_000, 1) == content[1:1_000_001]
    assert file.read(1 << 30, 0) == content
    assert max(asked) <= 1 << 18
    assert file.read(10, 2_000_000) == b""
    asked.clear()
    assert file.read(100, 5) == content[5:105]
    assert asked == [100]
    file.close()


def test_a_write_that_is_never_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes no byte and reports no error does not loop for ever."""
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: 0)
    file = REAL_DISK.open(tmp_path / "a", "create")
    with pytest.raises(StorageError, match="no byte was accepted"):
        file.write(b"0123456789", 0)
    file.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_what_the_disk_refuses_is_a_storage_error_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An error of the operating system names the file it is about."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    file = REAL_DISK.open(tmp_path / "a", "create")
    monkeypatch.setattr(os, "pwrite", refuse)
    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(StorageError, match=f"write {tmp_path / 'a'}: {os.strerror(number)}"):
        file.write(b"x", 0)
    with pytest.raises(StorageError, match=f"fdatasync {tmp_path / 'a'}"):
        file.sync()
    file.close()


def test_create_refuses_an_existing_file_and_the_others_a_missing_one(tmp_path: Path) -> None:
    """`create` never opens what is there; `read` and `update` never make what is not."""
    REAL_DISK.open(tmp_path / "a", "create").close()
    with pytest.raises(StorageError, match="File exists"):
        REAL_DISK.open(tmp_path / "a", "create")
    for mode in ("read", "update"):
        with pytest.raises(MissingFile):
            REAL_DISK.open(tmp_path / "b", mode)


def test_names_of_a_missing_directory_are_none_and_removing_nothing_is_fine(tmp_path: Path) -> None:
    """What is gone already is no error to list or remove."""
    assert REAL_DISK.listdir(tmp_path / "none") == []
    REAL_DISK.unlink(tmp_path / "none")


def test_make_directory_makes_parents_and_syncs_each_one(tmp_path: Path) -> None:
    """Every made directory is synced in its parent, the topmost first."""
    disk = MemoryDisk()
    make_directory(tmp_path / "a" / "b", disk=disk)
    assert disk.operations == [("sync_directory", tmp_path), ("sync_directory", tmp_path / "a")]
    make_directory(tmp_path / "real" / "deep")
    make_directory(tmp_path / "real" / "deep")
    assert (tmp_path / "real" / "deep").is_dir()


def test_a_file_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    """A directory that cannot be made is an error with its path."""
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StorageError, match="Not a directory"):
        make_directory(tmp_path / "a" / "b")


def test_replacing_a_file_syncs_before_and_after_the_rename(tmp_path: Path) -> None:
    """The order is create, write, sync, rename, directory sync; any other could leave an empty or lost file."""
    disk = MemoryDisk()
    write_atomically(tmp_path / "a", b"content", disk=disk)
    assert [name for name, _ in disk.operations] == ["create", "write", "sync", "rename", "sync_directory"]


@pytest.mark.parametrize("die", ["before", "after"])
@pytest.mark.parametrize("staged", [False, True])
def test_a_power_loss_leaves_the_old_file_or_the_new_one(tmp_path: Path, die: str, staged: bool) -> None:
    """Whatever the operation at which the power goes, the file is one of the two, never a mixture or gone."""
    staging = tmp_path / "staging" if staged else None
    old, new = b"o" * 3000, b"n" * 5000
    for die_at in range(6):
        for seed in range(10):
            disk = MemoryDisk()
            write_atomically(tmp_path / "a", old, disk=disk)
            disk.operations.clear()
            disk.die_at, disk.die = die_at, die
            died = False
            try:
                write_atomically(tmp_path / "a", new, disk=disk, staging=staging)
            except PowerLoss:
                died = True
            assert died == (die_at < 5)
            after = disk.after_power_loss(Random(seed))
            content = after.open(tmp_path / "a", "read").read(10_000, 0)
            assert content == new if not died else content in (old, new)


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """When the content cannot be written, what was there stays, and the temporary file goes."""
    target = tmp_path / "a"
    write_atomically(target, b"old")

    def content(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="No space left on device"):
        write_atomically(target, content)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_staged_file_never_shows_beside_its_target(tmp_path: Path) -> None:
    """With a staging directory the temporary file lies there, not in the published tree."""
    lake, staging = tmp_path / "lake", tmp_path / "staging"
    lake.mkdir()
    staging.mkdir()
    seen: list[list[Path]] = []

    def content(path: Path) -> None:
        path.write_bytes(b"new")
        seen.extend((list(lake.iterdir()), list(staging.iterdir())))

    write_atomically(lake / "a", content, staging=staging)
    assert seen[0] == []
    assert len(seen[1]) == 1
    assert (lake / "a").read_bytes() == b"new"
    assert list(staging.iterdir()) == []


def test_only_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    """A temporary file whose process has died is swept; one of a live process, or of another kind, stays."""
    dead, alive, other = ".a.4194305-0.tmp", f".a.{os.getpid()}-0.tmp", "a.tmp"
    for name in (dead, alive, other):
        (tmp_path / name).write_bytes(b"")
    assert remove_leftovers(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive, other])
