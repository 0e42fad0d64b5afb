"""One side of a comparison: run rounds of one case on the code of one tree: ``python tests/bench/side.py TREE CASE``.

The file is always the changed tree's; what it imports is the other's when it runs for the base. So a case may use only
what both sides have: the names in `tests/bench/bench_*.py` that it calls. It prints a line when it is ready, and for
every line that it reads, runs one round and prints its CPU seconds. Judging pairs of rounds is compare.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Round = Callable[[], float]
"""Runs once; returns CPU seconds."""


@contextmanager
def decode() -> Iterator[Round]:
    """Log to ledger: decode, bounds, gap check."""
    from tests.bench import bench_processor as bench

    with _log(1_500_000) as source:
        yield lambda: bench._run(source, bench._account)[1]


@contextmanager
def frames() -> Iterator[Round]:
    """As `decode`, each frame by itself: as venues without a usual form are read, and the first frames of all."""
    from functools import partialmethod

    from tests.bench import bench_processor as bench

    class OneByOne(bench.Decoder):
        __init__ = partialmethod(bench.Decoder.__init__, scan_after=1 << 60)  # type: ignore[assignment]

    bench.Decoder = lambda *told, **_: OneByOne(*told)  # type: ignore[assignment,misc]
    with _log(150_000) as source:
        yield lambda: bench._run(source, bench._account)[1]


@contextmanager
def stage() -> Iterator[Round]:
    """Log to ledger and staging."""
    from tests.bench import bench_processor as bench

    with _log(1_500_000) as source:
        yield lambda: bench._run(source, bench._stage)[1]


@contextmanager
def replay() -> Iterator[Round]:
    """Sealed segments to published leaves, by one process."""
    from tests.bench import bench_replay as bench
    from tests.bench.streams import fresh_data

    bench.TRADES = 3_000_000
    with fresh_data() as source:
        expected = bench.record(source)
        yield lambda: bench.run(source, 1, expected).cpu


@contextmanager
def recorder() -> Iterator[Round]:
    """Socket to durable log, transport `websockets`."""
    with _recorder("websockets", 1_000_000) as run:
        yield run


@contextmanager
def recorder_fast() -> Iterator[Round]:
    """Socket to durable log, transport `fast`."""
    with _recorder("fast", 2_000_000) as run:
        yield run


@contextmanager
def archive() -> Iterator[Round]:
    """A daily file to durable log, ledger and staging."""
    import tempfile
    from pathlib import Path

    from tests.bench import bench_archive as bench

    bench.TRADES = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.zip"
        bench.write(path)
        yield lambda: bench.run(path)[1]


CASES = {case.__name__: case for case in (decode, frames, stage, replay, recorder, recorder_fast, archive)}


@contextmanager
def _log(trades: int) -> Iterator[object]:
    from tests.bench import bench_processor as bench
    from tests.bench.streams import fresh_data

    bench.TRADES = trades
    with fresh_data() as source:
        bench.fill(source, trades)
        yield source


@contextmanager
def _recorder(transport: str, trades: int) -> Iterator[Round]:
    from tests.bench.streams import feed, record_once

    with feed(trades) as source:
        yield lambda: record_once(source, transport).cpu_ns * trades / 1e9


def main(tree: str, case: str) -> None:
    """Serve rounds until standard input ends."""
    sys.path[0] = tree
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the code prints is no answer
    with CASES[case]() as run:
        print("ready", file=answers, flush=True)
        for _ in sys.stdin:
            print(run(), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
