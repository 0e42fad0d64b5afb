"""All fuzzing tests by name and count: the work list of the campaign's processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

from tests.support.fuzz import frames as fuzz_frames, pages as fuzz_pages, segments as fuzz_segments

Fuzz = Callable[[int, int], dict[str, Any]]
Job = tuple[str, int, int]
KINDS: dict[str, Fuzz] = {
    "frames": partial(fuzz_frames.fuzz, read=fuzz_frames.judged),
    "frames both ways": partial(fuzz_frames.fuzz, read=fuzz_frames.both_ways),
    "pages": fuzz_pages.fuzz,
    "segments": fuzz_segments.fuzz,
}
SHARES = {"frames": 0.55, "frames both ways": 0.3, "pages": 0.05, "segments": 0.1}
PIECE = {"frames": 500_000, "frames both ways": 500_000, "pages": 100_000, "segments": 125_000}
"""Inputs of one job: about ten seconds."""


def do(job: Job) -> tuple[str, dict[str, Any]]:
    """Do one job: kind, count, seed."""
    kind, count, seed = job
    return kind, KINDS[kind](count, seed)


def jobs(count: int, seed: int) -> list[Job]:
    """Cut so many inputs into jobs, each with a seed of its own, the kinds mixed evenly."""
    made: list[tuple[float, Job]] = []
    for kind, share in SHARES.items():
        whole = round(count * share)
        for first in range(0, whole, PIECE[kind]):
            made.append((first / whole, (kind, min(PIECE[kind], whole - first), seed + 1000 * len(made))))
    return [job for _, job in sorted(made)]


def in_processes(work: Sequence[Job], processes: int = 2) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do jobs in some processes and yield what each found."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(do, work)
