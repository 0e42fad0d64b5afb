"""Judge a change against its base in alternating rounds: ``python -m tests.bench compare BASE [CASE …] [--pairs N]``.

BASE is a commit, or the folder of a tree. Both sides are processes of their own that run the same case on their own
code (side.py) and the same interpreter, one round each in turn, so that whatever else the machine does falls on both.
A ratio is the base's CPU time to the change's in one pair: above 1 the change is faster. The interval is that of the
median ratio, at 95 % or more, from the order of the ratios alone. A case fails if all of its interval lies below what
is allowed: slower by a tenth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import comb
from pathlib import Path
from typing import NamedTuple, NoReturn

from tests.bench.side import CASES

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 12
FEWEST_PAIRS = 6
"""With fewer, even the least and the greatest ratio bound the median at less than 95 %."""
ALLOWED = 0.10


class Verdict(NamedTuple):
    """How a change compares to its base in one case.

    Attributes
    ----------
    ratio : the median over pairs of the base's time to the change's.
    low, high : the interval of that median.
    base_s, change_s : the median CPU seconds of a round.
    """

    ratio: float
    low: float
    high: float
    base_s: float
    change_s: float

    def word(self) -> str:
        """Return what the interval says.

        >>> Verdict(0.9, 0.88, 0.93, 1.0, 1.1).word()
        'slower'
        """
        if self.low <= 1.0 <= self.high:
            return "equal"
        return "slower" if self.high < 1.0 else "faster"

    def passes(self, allowed: float = ALLOWED) -> bool:
        """Tell whether the change is not slower by more than this, as far as the pairs can tell."""
        return self.high >= 1.0 / (1.0 + allowed)


def judge(pairs: Sequence[tuple[float, float]]) -> Verdict:
    """Return the verdict on pairs of (base, change) times.

    >>> judge([(1.0, 1.25)] * 6)
    Verdict(ratio=0.8, low=0.8, high=0.8, base_s=1.0, change_s=1.25)
    """
    ratios = sorted(base / change for base, change in pairs)
    rank = interval_rank(len(ratios))
    base, change = (sorted(side) for side in zip(*pairs, strict=True))
    return Verdict(_median(ratios), ratios[rank], ratios[-1 - rank], _median(base), _median(change))


def interval_rank(count: int) -> int:
    """Return how many values at either end of `count` lie outside an interval of the median of at least 95 %.

    >>> [interval_rank(count) for count in (6, 9, 12, 20)]
    [0, 1, 2, 5]
    """
    below, rank = 1, 0
    while 2 * (below + comb(count, rank + 1)) <= 0.05 * 2**count:
        rank += 1
        below += comb(count, rank)
    return rank


def alternate(base: Callable[[], float], change: Callable[[], float], pairs: int) -> list[tuple[float, float]]:
    """Return times of one round each in turn, the other side first in every second pair; a first round is not used."""
    base(), change()
    found = []
    for number in range(pairs):
        if number % 2:
            second = change()
            found.append((base(), second))
        else:
            first = base()
            found.append((first, change()))
    return found


@contextmanager
def side(tree: Path, case: str) -> Iterator[Callable[[], float]]:
    """Start one side; give what runs a round on it and returns its CPU seconds."""
    command = [sys.executable, str(ROOT / "tests" / "bench" / "side.py"), str(tree), case]
    with subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def answer() -> str:
            if line := answers.readline():
                return line
            raise SystemExit(f"{case}: the code of {tree} failed, see above")

        def run() -> float:
            print(file=asked, flush=True)
            return float(answer())

        try:
            answer()
            yield run
        finally:
            asked.close()
            process.wait()


@contextmanager
def tree_of(base: str) -> Iterator[Path]:
    """Give the folder of a base: itself, or the files of a commit in a folder of their own."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    if found.returncode:
        refuse(f"{base} is no commit and no folder")
    (ROOT / "data-bench").mkdir(exist_ok=True)  # where both sides write, so that both have the same disk
    with tempfile.TemporaryDirectory(dir=ROOT / "data-bench", prefix="base-") as folder:
        archive = subprocess.run(["git", "archive", base], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def main(words: Sequence[str]) -> None:
    """Compare, print a line a case, exit 1 if one is slower than allowed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench compare", allow_abbrev=False)
    parser.add_argument("base", metavar="BASE", help="a commit, or the folder of a tree")
    parser.add_argument("cases", metavar="CASE", nargs="*", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of rounds, {FEWEST_PAIRS} or more (%(default)s)")
    told = parser.parse_args(words)
    if unknown := [case for case in told.cases if case not in CASES]:
        refuse(f"no case {unknown[0]}; there are: {', '.join(CASES)}")
    if told.pairs < FEWEST_PAIRS:
        refuse(f"--pairs {told.pairs}: give {FEWEST_PAIRS} or more")
    slower = []
    with tree_of(told.base) as tree:
        for case in told.cases or CASES:
            with ExitStack() as sides:
                base, change = (sides.enter_context(side(folder, case)) for folder in (tree, ROOT))
                verdict = judge(alternate(base, change, told.pairs))
            print(
                f"{case:14} {verdict.ratio:.3f} [{verdict.low:.3f} .. {verdict.high:.3f}] {verdict.word():6}"
                f"  {verdict.base_s:.3f} s -> {verdict.change_s:.3f} s CPU a round, {told.pairs} pairs",
                flush=True,
            )
            slower += [] if verdict.passes() else [case]
    if slower:
        print(f"slower than allowed ({ALLOWED:.0%}): {', '.join(slower)}", file=sys.stderr)
        raise SystemExit(1)


def refuse(why: str) -> NoReturn:
    """Say what is wrong with the command, and end."""
    print(why, file=sys.stderr)
    raise SystemExit(2)


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
