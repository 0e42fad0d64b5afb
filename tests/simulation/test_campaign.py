"""The long form: two hundred seeds of an hour each, over all cores, and what they saw as evidence."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.world import Verdict, play
from tests.support.judges import evidence

SEEDS, MINUTES = 200, 60.0
AGAIN = 20
"""Every so manieth seed is played a second time, by another process."""


LONGEST_S = 300.0
"""Real time that a seed may take, fifty times what it does: a simulated world that stands still is a finding."""


def _play(seed: int) -> Verdict:
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    print(f"plays seed {seed}", file=sys.__stderr__, flush=True)
    try:
        return play(seed, minutes=MINUTES)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.campaign
def test_two_hundred_hours() -> None:
    """Every seed keeps the platform's word, and those that are played twice give the same trace twice."""
    began, cores = time.monotonic(), os.cpu_count() or 1
    seeds = [*range(SEEDS), *range(0, SEEDS, AGAIN)]
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        verdicts = list(pool.map(_play, seeds))
    first, again = verdicts[:SEEDS], verdicts[SEEDS:]
    assert [verdict.text() for verdict in first if verdict.problems] == []
    assert [verdict.digest for verdict in again] == [verdict.digest for verdict in first[::AGAIN]]
    seen: Counter[str] = Counter()
    for verdict in first:
        seen.update(verdict.figures)
    evidence.write(
        "simulation",
        "Deterministic simulation",
        {
            "seeds": SEEDS,
            "exchange time of each, minutes": MINUTES,
            **dict(sorted(seen.items())),
            "seeds with anything wrong": 0,
            "seeds played twice, traces that differed": f"{len(again)}, 0",
            "real time, s": round(time.monotonic() - began),
        },
        notes="Real session, decoder, gap detector, commits, ledger, recovery, staging and publishing on one virtual"
        " clock, judged from outside at every transaction and at the end"
        " ([0019](../decisions/0019-simulation.md)). Controls: a planted wall clock and planted randomness change the"
        " trace; a forgotten gap, an acknowledgement before the sync, a detector that begins anew behind a hole, a"
        " lost part and a client that asks too early are all found (`tests/simulation/test_one_seed.py`)."
        " One seed again: `python -m tests.simulation --seed N --minutes 60`.",
    )
