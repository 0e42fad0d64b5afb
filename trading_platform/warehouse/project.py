"""The dbt project of the warehouse: where it lies, its parsed form for Dagster, its documentation as a page.

dbt runs as a child, so that nothing here imports it. What it writes lies in the data directory, never in the tree.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from trading_platform.domain.errors import WorkError
from trading_platform.store.fs.disk import make_directory, write_atomically
from trading_platform.store.fs.layout import DataDir

_MADE_OF = ("dbt_project.yml", "profiles.yml", "macros", "models", "tests")
_PACKAGES = ("dbt-core", "dbt-duckdb")
_PARSED = "manifest.json"
_STATIC = "static_index.html"


def project_dir() -> Path:
    """Return the project's folder: that of the tree, or what was installed without one.

    >>> (project_dir() / "dbt_project.yml").is_file()
    True
    """
    tree = Path(__file__).resolve().parents[2] / "dbt"
    return tree if (tree / "dbt_project.yml").is_file() else Path(sys.prefix) / "share" / "trading-platform" / "dbt"


def executable() -> str:
    """Return dbt's own program."""
    return str(Path(sys.executable).with_name("dbt"))


def variables(data: DataDir) -> dict[str, str]:
    """Return the variables for a child that runs dbt: it works in the project's folder, so paths are absolute."""
    project = str(project_dir())
    return {
        "TRADING_PLATFORM_DATA_DIR": str(data.root.absolute()),
        "DBT_PROJECT_DIR": project,
        "DBT_PROFILES_DIR": project,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def target_of(data: DataDir) -> Path:
    """Return the folder for what dbt compiles; it can be removed at any time."""
    return data.run.absolute() / "dbt"


def manifest(data: DataDir) -> Path:
    """Return the parsed project, parsed again if a file of it changed since.

    Without a data directory it lies in a temporary folder: to look at the definitions makes none.

    Raises
    ------
    WorkError : with dbt's words, if a file of the project is wrong.
    """
    target, now = target_of(data) if data.root.is_dir() else _temporary(), fingerprint(project_dir())
    parsed, noted = target / _PARSED, target / "parsed"
    if not parsed.is_file() or not noted.is_file() or noted.read_text() != now:
        make_directory(target)
        _dbt(data, "parse", target)
        write_atomically(noted, now.encode())
    return parsed


@cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="trading-platform-dbt-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def document(data: DataDir) -> Path:
    """Write dbt's documentation of the warehouse as one page, unless it is that of this project; return its folder."""
    docs, now = data.dbt_docs, fingerprint(project_dir())
    page, noted = docs / "index.html", docs / "made-of"
    if not page.is_file() or not noted.is_file() or noted.read_text() != now:
        work = target_of(data) / f"docs-{os.getpid()}"
        try:
            make_directory(work)
            _dbt(data, "docs", work, "generate", "--static")
            make_directory(docs)
            write_atomically(page, (work / _STATIC).read_bytes())
            write_atomically(noted, now.encode())
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return docs


def build_in_database(data: DataDir, url: str) -> None:
    """Build and test the same models in the database at `url`, from the copy of the lake that it holds.

    Raises
    ------
    WorkError : with dbt's words, if a model or a test failed, or the database is away.
    """
    target = target_of(data) / "timescaledb"
    make_directory(target)
    _dbt(data, "build", target, "--target", "timescaledb", environ={"TRADING_PLATFORM_DATABASE_URL": url})


def fingerprint(project: Path) -> str:
    """Return a hash over the project's files and the versions that read them."""
    seen = hashlib.sha256(" ".join(map(version, _PACKAGES)).encode())
    for file in _files(project):
        seen.update(f"{file.relative_to(project).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return seen.hexdigest()


def _files(project: Path) -> Iterator[Path]:
    for name in _MADE_OF:
        place = project / name
        yield from [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())


def _dbt(data: DataDir, command: str, target: Path, *words: str, environ: Mapping[str, str] | None = None) -> None:
    places = ("--target-path", str(target), "--log-path", str(target))
    done = subprocess.run(
        [executable(), "--no-use-colors", command, *words, *places],
        env={**os.environ, **variables(data), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WorkError(f"dbt {command} failed: {_told(done.stdout + done.stderr)}")


def _told(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-6:])[:1000]
