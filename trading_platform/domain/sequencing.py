"""What the ids of a venue's trades prove. Values only: each adapter names one of these, the account follows it.

How a contiguous sequence is accounted for is completeness/gap_detector.py; how days are judged whose ids prove nothing,
completeness/listed_days.py.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Contiguous(NamedTuple):
    """Integers of one symbol without a step: every missing id is a missing trade."""


class Increasing(NamedTuple):
    """Integers that rise: they give an order, but an id that is left out need not be a trade."""


class Opaque(NamedTuple):
    """Texts without an order: they tell trades apart, and prove nothing of what is missing.

    Such trades are stored under `trade_uid`, and a day is compared with the venue's own listing of it.
    """


Sequencing: TypeAlias = Contiguous | Increasing | Opaque


def prove_completeness(sequencing: Sequencing) -> bool:
    """Tell whether a missing id is a missing trade.

    >>> prove_completeness(Contiguous()), prove_completeness(Opaque())
    (True, False)
    """
    return isinstance(sequencing, Contiguous)
