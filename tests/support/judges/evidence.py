"""Evidence of a campaign: a page below docs/evidence/ with date, commit, command and figures.

Long forms of a test call `write`; the suite's small forms do not, because a page should tell the full figures.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "docs" / "evidence"
HEADING = "## Evidence"
"""The last section of docs/index.md."""


def write(
    name: str,
    title: str,
    figures: Mapping[str, object],
    *,
    rows: Sequence[Mapping[str, object]] = (),
    notes: str = "",
    folder: Path = PAGES,
) -> Path:
    """Write the page `name`.md and return its path; an earlier one is replaced.

    Parameters
    ----------
    figures : what was measured, in words and numbers, one line each.
    rows : a further table with one column for each key of its first row.
    notes : how it was done, and what the negative control showed.
    """
    lines = [f"# {title}", "", *_table(["what", "figure"], _origin().items())]
    lines += ["", *_table(["figure", "value"], figures.items())]
    if rows:
        names = list(rows[0])
        lines += ["", *_table(names, ([row.get(key, "") for key in names] for row in rows))]
    if notes:
        lines += ["", notes.strip()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text("\n".join(lines) + "\n")
    _list(folder.parent / "index.md", f"{folder.name}/{path.name}", title)
    return path


def _list(index: Path, target: str, title: str) -> None:
    """Name the page in the index of the documentation, if it is not there yet."""
    text = index.read_text() if index.exists() else ""
    if f"({target})" in text:
        return
    if HEADING not in text:
        text = f"{text.rstrip()}\n\n{HEADING}\n\nWritten by `make campaign`.\n\n".lstrip()
    index.write_text(f"{text.rstrip()}\n- [{title}]({target})\n".replace("campaign`.\n-", "campaign`.\n\n-"))


def _origin() -> dict[str, object]:
    """Return when, from which commit, by which command and on what machine."""
    command = " ".join(shlex.quote(word) for word in ["python", "-m", "pytest", *sys.argv[1:]])
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "command": f"`{command}`",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _commit() -> str:
    """Return the short commit, and whether the tree differs from it; unknown outside a clone."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _table(names: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    head = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return head + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
