"""How long the command line takes to answer."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.bench.__main__ import Line


def measure() -> Iterator[Line]:
    """Time whole processes, from start to exit; the median of twenty."""
    for words in (["--help"], ["settings", "--help"], ["settings"]):
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-m", "trading_platform", *words], stdout=subprocess.DEVNULL, check=True)
            took.append(time.perf_counter() - begun)
        yield Line(f"`trading-platform {' '.join(words)}`", statistics.median(took) * 1000, "ms")
