"""What the ids of a venue's trades prove. Values only: each adapter names one of these, the account follows it.

How a contiguous sequence is accounted for is completeness/gap_detector.py; how days are judged whose ids prove nothing,
completeness/text_days.py.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Contiguous(NamedTuple):
    """Integers of one symbol without a step: every missing id is a missing trade, until the venue starts them again.

    The fields are the venue's facts by which a new start is told from a gap and from a stray id. The defaults suit a
    venue of which nothing is known: no symbol anywhere trades faster.

    Attributes
    ----------
    disorder_ms : times of neighbouring trades may contradict their ids by this much: servers have several clocks.
    stray_ahead : an id this far beyond the newest needs a second one near it: a single one must not open such a gap.
    reset_ahead : an id this far beyond is a new start, not a gap: fetching such a gap would take a day's requests.
    fastest : more trades a second than any symbol has: ids may have advanced this fast while nothing was recorded.
    nearby : two ids of a new start may lie this far apart: frames are often lost when a venue restarts.
    """

    disorder_ms: int = 2
    stray_ahead: int = 1_000_000
    reset_ahead: int = 100_000_000
    fastest: int = 100_000
    nearby: int = 1_000


class Increasing(NamedTuple):
    """Integers that rise: they give an order, but an id that is left out need not be a trade."""


class Opaque(NamedTuple):
    """Texts without an order: they tell trades apart, and prove nothing of what is missing.

    Such trades are stored under `trade_uid`, and a day is compared with the venue's own listing of it.
    """


Sequencing: TypeAlias = Contiguous | Increasing | Opaque


def id_facts(sequencing: Sequencing) -> Contiguous:
    """Return a venue's facts about where its ids start again; those of an unknown venue if its ids prove nothing.

    >>> id_facts(Contiguous(stray_ahead=5)).stray_ahead, id_facts(Opaque()) == Contiguous()
    (5, True)
    """
    return sequencing if isinstance(sequencing, Contiguous) else Contiguous()


def prove_completeness(sequencing: Sequencing) -> bool:
    """Tell whether a missing id is a missing trade.

    >>> prove_completeness(Contiguous()), prove_completeness(Opaque())
    (True, False)
    """
    return isinstance(sequencing, Contiguous)
