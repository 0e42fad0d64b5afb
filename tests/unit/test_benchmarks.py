"""The command that measures; what it measures is not timed here."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.bench import compare
from tests.bench.__main__ import main, names
from tests.bench.compare import PAIRS, alternate, judge


def test_a_benchmark_that_does_not_exist_is_named_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit 2, and nothing is measured before it."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"no benchmark --help; there are: {', '.join(names())}\n")
    assert {"recorder", "replay", "waits"} <= set(names())


def test_a_planted_slowdown_fails_and_equal_times_with_noise_pass() -> None:
    """Rounds that are 15 % slower under noise of 3 % are found; rounds of the same work are not, however they fall."""
    noise = random.Random(7)

    def times(seconds: float) -> Callable[[], float]:
        return lambda: seconds * noise.uniform(0.97, 1.03)

    for _ in range(10):
        slower = judge(alternate(times(1.0), times(1.15), PAIRS))
        assert (slower.word(), slower.passes()) == ("slower", False)
        same = judge(alternate(times(1.0), times(1.0), PAIRS))
        assert same.passes()
        assert 0.95 < same.low <= same.ratio <= same.high < 1.05


def test_both_sides_take_turns_and_the_first_round_of_each_is_not_used() -> None:
    """What the machine does for a while falls on both sides, whichever is first."""
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    pairs = alternate(side("base"), side("change"), 2)
    assert order == ["base", "change", "base", "change", "change", "base"]
    assert pairs == [(3.0, 4.0), (6.0, 5.0)]


@pytest.mark.process  # git is asked
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-commit", "decode"], "no-such-commit is no commit and no folder"),
        (["HEAD", "decoding"], "no case decoding; there are: "),
        (["HEAD", "decode", "--pairs", "5"], "--pairs 5: give 6 or more"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, before anything is measured."""
    with pytest.raises(SystemExit) as ended:
        compare.main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
