"""Run the benchmarks here and write docs/benchmarks.md: ``python -m tests.bench [NAME …]`` (``make bench``).

A benchmark is a file ``bench_*.py`` beside this one with `measure`, which returns lines of numbers, and a docstring
that states the conditions. Each has its own place between markers, so that one can be run again by itself; the lines
it marks as headlines also stand in the README. Benchmarks assert nothing but that what they timed was right; limits
that must hold are tests.

``python -m tests.bench compare BASE`` judges a change against its base instead: compare.py.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
HEAD = (
    "# Benchmarks\n\nWritten by `make bench`. Quote the ratios: absolute times are those of a small shared machine.\n"
    "Measurements that were made once, for a decision, are in [measurements](measurements.md).\n"
)


class Line(NamedTuple):
    """One measured number: of what, how much, in which unit; a headline also stands in the README."""

    what: str
    value: float
    unit: str
    headline: bool = False


def names() -> list[str]:
    """Return what can be measured."""
    return sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))


def conditions() -> str:
    """Return when, what and where."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{now}, commit {commit.stdout.strip() or 'unknown'}, {os.cpu_count()} cores"
        f" ({model[1] if model else platform.machine()}), {platform.system()}, Python {platform.python_version()};"
        f" load average {os.getloadavg()[0]:.1f} at the start."
    )


def section(name: str) -> Iterator[str]:
    """Run one benchmark; yield the lines of its section."""
    module = importlib.import_module(f"tests.bench.bench_{name}")
    title, _, told = (module.__doc__ or name).partition("\n")
    yield from (f"## {title.rstrip('.')}", "", " ".join(told.split()), "", conditions(), "")
    yield from ("| what | value | unit |", "|---|---|---|")
    for line in module.measure():
        print(line, file=sys.stderr, flush=True)
        what = f"**{line.what}**" if line.headline else line.what
        yield f"| {what} | {_number(line.value)} | {line.unit} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def between(text: str, name: str, new: str) -> str:
    """Put new text between the markers of that name; add them at the end if there are none."""
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    place = re.compile(re.escape(first) + r".*?" + re.escape(last), re.DOTALL)
    block = f"{first}\n{new.strip()}\n{last}"
    return place.sub(lambda _: block, text) if place.search(text) else f"{text.rstrip()}\n\n{block}\n"


def headlines(page: str) -> str:
    """Return the README's table: every line of the page that is marked as a headline."""
    rows = [row.replace("**", "") for row in page.splitlines() if row.startswith("| **")]
    return "\n".join(["| what | value | unit |", "|---|---|---|", *rows])


def main(wanted: Sequence[str]) -> None:
    """Measure, and write the pages after each benchmark."""
    if unknown := [name for name in wanted if name not in names()]:
        print(f"no benchmark {unknown[0]}; there are: {', '.join(names())}", file=sys.stderr)
        sys.exit(2)
    for name in wanted or names():
        print(f"measuring {name}", file=sys.stderr, flush=True)
        new = "\n".join(section(name))
        page = PAGE.read_text() if PAGE.exists() else HEAD
        PAGE.write_text(between(page if "<!--" in page else HEAD, name, new))
        if "<!-- benchmarks: begin -->" in README.read_text():
            README.write_text(between(README.read_text(), "benchmarks", headlines(PAGE.read_text())))


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        from tests.bench import compare

        compare.main(sys.argv[2:])
    else:
        main(sys.argv[1:])
