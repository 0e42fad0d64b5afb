"""Seeds of ten minutes, those of market 2: nothing is lost, doubled or asked too often, whatever happens.

Fifteen in the suite, fifty in the campaign.
"""

from __future__ import annotations

import pytest

from tests.simulation.world import play, seeds_of


@pytest.mark.parametrize("seed", seeds_of(2))
def test_a_seed_keeps_the_platforms_word(seed: int) -> None:
    """Every id is accounted for at every transaction, all are held at the end, and every limit is kept."""
    verdict = play(seed)
    assert not verdict.problems, verdict.text()
