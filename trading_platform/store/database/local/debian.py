"""TimescaleDB's programs for a machine without Docker: Debian's packages, unpacked into a folder of their own.

Nothing is installed into the system: mmdebstrap writes the packages of Debian 13 as an archive, the part that a server
needs is unpacked, and its programs are started through their own loader and libraries. So no chroot and no mount is
needed, and the system may be another Debian. (Debian 12 has no TimescaleDB, and Debian 13's needs a newer libc.)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.store.fs.locks import FileLock

RECIPE = "trixie-postgresql-17-timescaledb-1"
"""Names the unpacked folder; a change of what is unpacked, or how, needs another name."""

_SUITE, _MAJOR = "trixie", "17"
_PACKAGES = ("base-files", "dash", "postgresql-17", "postgresql-17-timescaledb")
_WITHOUT = (
    "./dev",
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/locale",
    "*/libLLVM*",
    "*/llvmjit*",
    "*/bitcode",
)
_BUILD_S = 900
_REPAIR = (
    "install Docker, or a PostgreSQL with TimescaleDB, or give the address of one as TRADING_PLATFORM_DATABASE_URL"
)
_SITE = re.compile(r"https?://[^\s|]+")


class Programs(NamedTuple):
    """Where PostgreSQL's programs are.

    Attributes
    ----------
    folder : folder of `postgres` and `initdb`.
    root : the unpacked system that they belong to, None where they are this system's own.
    """

    folder: Path
    root: Path | None = None

    def command(self, name: str) -> list[str]:
        """Return the words that start one of the programs."""
        program = self.folder / name
        if self.root is None:
            return [str(program)]
        return [*_loader(self.root), "--argv0", str(program), str(_binary(program))]


def _loader(root: Path) -> list[str]:
    found = sorted(root.glob("usr/lib64/ld-linux-*")) or sorted(root.glob("usr/lib/ld-linux-*"))
    if not found:
        raise WorkError(f"{root} has no program loader: remove it and try again")
    return [str(found[0]), "--library-path", ":".join(map(str, sorted(root.glob("usr/lib/*-linux-gnu"))))]


def _binary(program: Path) -> Path:
    """Return the binary: under the name `postgres`, which `initdb` starts, lies a script that uses the loader."""
    moved = program.with_name(f"{program.name}.bin")
    return moved if moved.exists() else program


def of_the_system(places: Sequence[Path] = (Path("/usr/lib/postgresql"), Path("/usr/pgsql"))) -> Programs | None:
    """Return the newest PostgreSQL of this system that has TimescaleDB, None if there is none."""
    found = [
        folder / "bin"
        for place in places
        for folder in place.glob("*")
        if (folder / "bin/initdb").exists() and (folder / "lib/timescaledb.so").exists()
    ]
    return Programs(max(found, key=lambda path: path.parent.name)) if found else None


def cache_folder() -> Path:
    """Return where unpacked programs are kept: for root where every user can read them, else in the user's cache."""
    if os.geteuid() == 0:
        return Path("/var/cache/trading-platform")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trading-platform"


def unpacked() -> Programs | None:
    """Return the programs that `unpack` made, None if it did not run yet."""
    for folder in dict.fromkeys((cache_folder(), Path("/var/cache/trading-platform"))):
        root = folder / RECIPE
        if root.is_dir():
            return Programs(root / f"usr/lib/postgresql/{_MAJOR}/bin", root)
    return None


def unpack() -> Programs:
    """Return the unpacked programs, made if they are missing (about a minute, 100 MB from the Debian mirror).

    Raises
    ------
    UsageError : if this machine lacks what it takes; the message says what to install.
    WorkError : if the packages could not be had.
    """
    folder = cache_folder()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with FileLock.acquire(folder / "unpack.lock", "unpacking TimescaleDB", wait_s=_BUILD_S):
        known = unpacked()
        if known is not None:
            return known
        _need_mmdebstrap()
        mirror = debian_mirror()
        target = folder / RECIPE
        with tempfile.TemporaryDirectory(prefix="unpack-", dir=folder) as scratch:
            root = Path(scratch) / "root"
            root.mkdir(mode=0o755)
            _fill(root, mirror)
            _wrap(root, target)
            root.rename(target)
    return Programs(target / f"usr/lib/postgresql/{_MAJOR}/bin", target)


def _need_mmdebstrap() -> None:
    if shutil.which("mmdebstrap") is not None:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UsageError(
            f"no Docker engine answers and mmdebstrap is missing (apt-get install mmdebstrap); or {_REPAIR}"
        )
    words = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends", "mmdebstrap"]
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for step in (words, ["apt-get", "-q", "update"], words):
        code = subprocess.run(step, env=quiet, capture_output=True, check=False).returncode
        if code == 0 and step is words:
            return
    raise WorkError(f"mmdebstrap could not be installed; {_REPAIR}")


def debian_mirror() -> str:
    """Return the address of this machine's own Debian mirror.

    Raises
    ------
    UsageError : if its package sources name none.
    """
    words = ["apt-get", "indextargets", "--format", "$(SITE)|$(ORIGIN)|$(CODENAME)", "Created-By: Packages"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        told = ""
    found = _mirror_in(told)
    if found is None:
        raise UsageError(
            f"no Docker engine answers and this machine's package sources name no Debian mirror; {_REPAIR}"
        )
    return found


def _mirror_in(targets: str) -> str | None:
    r"""Return the first mirror of Debian proper among apt's index targets.

    >>> _mirror_in("http://host/debian-security|Debian|trixie-security\nhttp://host/debian|Debian|trixie\n")
    'http://host/debian'
    """
    for line in targets.splitlines():
        site, _, rest = line.partition("|")
        origin, _, codename = rest.partition("|")
        # Before the first `apt-get update` nothing is known but the address.
        known = origin == "Debian" or (origin.startswith("$(") and site.rstrip("/").endswith("/debian"))
        if known and _SITE.fullmatch(site) and "security" not in site and "-" not in codename:
            return site
    return None


def _fill(root: Path, mirror: str) -> None:
    """Unpack the packages, without what a server never reads."""
    make = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(_PACKAGES)}", "--format=tar"]
    make += [f"--aptopt={line}" for line in _apt_transport()]
    leave = [f"--exclude={name}" for name in _WITHOUT]
    with tempfile.TemporaryFile() as said:
        maker = subprocess.Popen([*make, _SUITE, "-", mirror], stdout=subprocess.PIPE, stderr=said)
        try:
            words = ["tar", "-x", "--no-same-owner", *leave, "-C", str(root)]
            taken = subprocess.run(words, stdin=maker.stdout, capture_output=True, check=False, timeout=_BUILD_S)
        finally:
            assert maker.stdout is not None
            maker.stdout.close()
            made = maker.wait()
        said.seek(0)
        complaint = said.read().decode(errors="replace") or taken.stderr.decode(errors="replace")
    if made or taken.returncode:
        last = (complaint.strip().splitlines() or ["no reason given"])[-1]
        raise WorkError(f"TimescaleDB's packages could not be unpacked: {last[:200]}; {_REPAIR}")


def _apt_transport() -> list[str]:
    """Return apt's own settings of how to reach a mirror, a proxy for example."""
    told = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return [line for line in told.splitlines() if re.match(r"Acquire::(http|https)::\S+ \"[^\"]+\";", line)]


def _wrap(root: Path, target: Path) -> None:
    """Put a script at the place of `postgres`, for `initdb` starts it by that name."""
    relative = Path(f"usr/lib/postgresql/{_MAJOR}/bin/postgres")
    program = root / relative
    moved = program.with_name("postgres.bin")
    program.rename(moved)
    loader, *rest = _loader(root)
    words = [loader, *rest, "--argv0", str(program), str(moved)]
    line = " ".join(f"'{word.replace(str(root), str(target))}'" for word in words)
    program.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
    program.chmod(0o755)
