"""Fifty million wrong inputs in two processes, and what they came to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests import evidence
from tests.fuzz_all import in_processes, jobs
from tests.fuzzing import MOST_GROWTH, add

COUNT = 50_000_000
NOTES = """
Inputs are made from right ones by changed bytes and bits, insertions, deletions, cuts, splices and hostile values
(`tests/fuzzing.py`) and judged by `tests/naive/feed.py`, a reader of the standard library with rules of its own. Frames
and pages go through the decoder of the log: kept, void, kept apart and ignored are together what was sent.

Negative controls: a decoder without the check of numbers, a scanner with other powers of ten, a reader of pages that
drops bad rows, a reader of segments without checksums; each is caught (`tests/fault/test_fuzz_*.py`).
"""


def campaign(count: int) -> dict[str, dict[str, Any]]:
    """Do all of it; return the counts by kind."""
    found: dict[str, dict[str, Any]] = {}
    for kind, counts in in_processes(jobs(count, 5)):
        add(found.setdefault(kind, {}), counts)
    return found


@pytest.mark.campaign
def test_fifty_million_wrong_inputs() -> None:
    """No crash, nothing taken that a strict reader refuses, nothing served that was not written, memory as it was."""
    begun = time.monotonic()
    found = campaign(COUNT)
    took_s = time.monotonic() - begun
    growth = max(counts.pop("most growth") for counts in found.values())
    cpu_s = sum(counts.pop("cpu_s") for counts in found.values())
    assert growth <= MOST_GROWTH
    rows = [
        {"kind": kind, "what": what, "count": count} for kind, told in found.items() for what, count in told.items()
    ]
    evidence.write(
        "fuzz",
        "Fifty million wrong inputs",
        {
            "wrong inputs": COUNT,
            "crashes, other errors than those documented": 0,
            "taken though a strict reader refuses them": 0,
            "records served that were never written": 0,
            "wall time, s": round(took_s),
            "inputs a second of CPU": round(COUNT / cpu_s),
            "most growth of a process's resident memory, MB": round(growth / 2**20, 1),
        },
        rows=rows,
        notes=NOTES,
    )
