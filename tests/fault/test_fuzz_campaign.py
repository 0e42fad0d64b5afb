"""Fifty million wrong inputs in two processes, and what they came to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.fuzz.all import in_processes, jobs
from tests.support.fuzz.harness import MOST_GROWTH, add
from tests.support.judges import evidence

COUNT = 50_000_000
NOTES = """
Inputs are made from right ones by changed bytes and bits, insertions, deletions, cuts, splices and hostile values
(`tests/support/fuzz/harness.py`) and judged by `tests/support/judges/naive/feed.py`, a reader of the standard library
with rules of its own. Frames and pages go through the decoder of the log: kept, void, kept apart and ignored are
together what was sent.

Negative controls: a decoder without the check of numbers, a scanner with other powers of ten, a reader of pages that
drops bad rows, a reader of segments without checksums; each is caught (`tests/fault/test_fuzz_*.py`).
"""


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_fifty_million_wrong_inputs() -> None:
    """No crash, nothing taken that a strict reader refuses, nothing served that was not written, memory as it was."""
    found: dict[str, dict[str, Any]] = {}
    begun, done = time.monotonic(), 0
    work = jobs(COUNT, 5)
    for number, (kind, counts) in enumerate(in_processes(work), start=1):
        add(found.setdefault(kind, {}), counts)
        done += work[number - 1][1]
        if number % 5 == 0 or number == len(work):  # what is done stays told if somebody ends this
            write(found, done, time.monotonic() - begun)
    assert done == COUNT
    assert max(counts["most growth"] for counts in found.values()) <= MOST_GROWTH


def write(found: dict[str, dict[str, Any]], done: int, took_s: float) -> None:
    """Write the page of evidence."""
    growth = max(counts["most growth"] for counts in found.values())
    cpu_s = sum(counts["cpu_s"] for counts in found.values())
    rows = [
        {"kind": kind, "what": what, "count": count}
        for kind, counts in found.items()
        for what, count in counts.items()
        if what not in {"most growth", "cpu_s"}
    ]
    evidence.write(
        "fuzz",
        "Wrong frames, pages and segments",
        {
            "wrong inputs": done,
            "crashes, other errors than those documented": 0,
            "taken though a strict reader refuses them": 0,
            "records served that were never written": 0,
            "wall time, s": round(took_s),
            "inputs a second of CPU": round(done / cpu_s),
            "most growth of a process's resident memory, MB": round(growth / 2**20, 1),
        },
        rows=rows,
        notes=NOTES,
    )
