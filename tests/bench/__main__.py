"""Run every benchmark here and write docs/benchmarks.md: ``python -m tests.bench`` (``make bench``).

A benchmark is a file ``bench_*.py`` beside this one with `measure`, which returns lines of numbers. Benchmarks assert
nothing; limits that must hold are tests.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"


class Line(NamedTuple):
    """One measured number: of what, how much, in which unit."""

    what: str
    value: float
    unit: str


def page() -> Iterator[str]:
    """Yield the lines of the page, benchmark by benchmark."""
    yield "# Benchmarks"
    yield ""
    yield f"Written by `make bench` on {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."
    for file in sorted(HERE.glob("bench_*.py")):
        module = importlib.import_module(f"tests.bench.{file.stem}")
        print(f"measuring {file.stem}", file=sys.stderr, flush=True)
        yield from (
            "",
            f"## {(module.__doc__ or file.stem).splitlines()[0]}",
            "",
            "| what | value | unit |",
            "|---|---|---|",
        )
        yield from (f"| {line.what} | {line.value:.4g} | {line.unit} |" for line in module.measure())


if __name__ == "__main__":
    PAGE.write_text("\n".join(page()) + "\n")
    print(PAGE.read_text())
