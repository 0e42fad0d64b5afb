"""Fifty seeds of ten minutes, those of market 1: nothing is lost, doubled or asked too often, whatever happens."""

from __future__ import annotations

import pytest

from tests.simulation.world import SUITE_SEEDS, play


@pytest.mark.parametrize("seed", SUITE_SEEDS[1::4])
def test_a_seed_keeps_the_platforms_word(seed: int) -> None:
    """Every id is accounted for at every transaction, all are held at the end, and every limit is kept."""
    verdict = play(seed)
    assert not verdict.problems, verdict.text()
