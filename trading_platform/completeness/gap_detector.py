"""Detect missing trade ids: update a sequence's account of stored, void and missing ids by one batch. Pure.

The account obeys [from_id, head] = stored ⊎ void ⊎ open ⊎ unrecoverable by construction: open is the rest of the
range. The result does not depend on the order of the batches, because lanes have no order among each other: every rule
is a set union, a minimum, a maximum, or the latest by receive time.

Storing accounts is store/ledger/; downloading open ids is ingest/recovery/.
"""

from __future__ import annotations

from itertools import combinations
from typing import cast

import numpy as np
import numpy.typing as npt

from trading_platform.completeness.records import Claim, Seen, SequenceState, TailEvent
from trading_platform.domain.id_ranges import IdRanges, Range, id_runs

MIN_CONFIRMATION_INTERVAL_NS = 600 * 1_000_000_000
"""Two answers of a venue against an id must be at least this far apart to count.

Two listings that skip the id between ids that they hold: it is void. Two answers without it, although greater ids are
known: it is unrecoverable. A trade that arrives later is stored nevertheless.

What an id's own record says (its type, a price of 0) is final: whatever another channel, which may omit the type,
serves for this id is no trade.
"""

_TAIL_RANK = {"live": 0, "open": 1, "closed": 2}


def advance(state: SequenceState, seen: Seen) -> npt.NDArray[np.bool_]:  # noqa: C901  one step a kind of fact, in their order of rank
    """Update the account by a batch; return which of its ids are newly stored.

    Parameters
    ----------
    state : updated in place.
    seen : `ids` ascending without repeats.

    Examples
    --------
    >>> state = SequenceState()
    >>> advance(state, Seen(ids=np.array([10, 11, 14]), ts=np.array([1, 2, 3]))).tolist()
    [True, True, True]
    >>> state.open()
    [(12, 13)]
    """
    fresh = _store(state, seen)
    for claim in seen.voids:
        _account(state, state.used_up, claim)
    for claim in seen.lost:
        state.unrecoverable.add(claim.first_id, claim.last_id)
    for claim in seen.skips:
        _note(state.skips, claim)
    for claim in seen.unserved:
        _note(state.unserved, claim)
    for event in seen.tails:
        _tail(state, event)
    if seen.undertaken is not None:
        _undertake(state, seen.undertaken)
    state.head = max(state.head, seen.witnessed)
    if state.from_id is not None and state.unrecoverable:
        # Also ids declared lost before anything else was known of the sequence: that alone does not begin one.
        ends = (state.unrecoverable.first, state.unrecoverable.last)
        _extend(state, *cast("Range", ends), state.head_ts)
    # Priority, whichever came first: void by its own record, stored, void because skipped, unrecoverable. So the sets
    # stay disjoint.
    for first, last in state.used_up:
        state.stored.remove(first, last)
    fresh &= ~state.used_up.among(seen.ids)
    state.void.update(state.used_up)
    for first, last in state.stored:
        state.void.remove(first, last)
        state.unrecoverable.remove(first, last)
    for first, last in state.void:
        state.unrecoverable.remove(first, last)
    _conclude(state)
    return fresh


def _store(state: SequenceState, seen: Seen) -> npt.NDArray[np.bool_]:
    ids = seen.ids
    if not len(ids):
        return np.empty(0, np.bool_)
    fresh: npt.NDArray[np.bool_] = ~state.stored.among(ids)
    state.stored.update(id_runs(ids))
    _extend(state, int(ids[0]), int(ids[-1]), int(seen.ts[-1]))
    return fresh


def _extend(state: SequenceState, first: int, last: int, last_ts: int) -> None:
    # A head before the beginning is only promised. A head without a beginning was witnessed before anything was stored.
    if last > state.head or (state.from_id is not None and state.head < state.from_id):
        state.head, state.head_ts = last, last_ts
    state.from_id = first if state.from_id is None else min(state.from_id, first)


def _undertake(state: SequenceState, from_id: int) -> None:
    """Lower the beginning to this id. A promise is no evidence that the id was used: the head may lie before it."""
    promised = state.from_id is not None and state.head < state.from_id
    state.from_id = from_id if state.from_id is None else min(state.from_id, from_id)
    state.head = state.from_id - 1 if promised else max(state.head, state.from_id - 1)


def _account(state: SequenceState, ranges: IdRanges, claim: Claim) -> None:
    ranges.add(claim.first_id, claim.last_id)
    _extend(state, claim.first_id, claim.last_id, state.head_ts)


def _note(claims: list[Claim], claim: Claim) -> None:
    """Keep the earliest and the latest claim about each range: only their distance counts."""
    same = sorted({claim, *(c for c in claims if c[:2] == claim[:2])}, key=lambda c: (c.seen_ns, c.reason))
    claims[:] = [c for c in claims if c[:2] != claim[:2]]
    claims += same if len(same) == 1 else [same[0], same[-1]]


def _conclude(state: SequenceState) -> None:
    """Derive what the claims prove about ids that are not stored, independent of their order."""
    if state.from_id is None or len(state.skips) + len(state.unserved) < 2:
        return
    held = state.stored.copy()
    for first, last in _proved(state, state.skips, held):
        state.void.add(first, last)
        state.unrecoverable.remove(first, last)
    held.update(state.void)
    for first, last in _proved(state, state.unserved, held):
        state.unrecoverable.add(first, last)


def _proved(state: SequenceState, claims: list[Claim], held: IdRanges) -> list[Range]:
    """Return the ids of [from_id, head], not stored, about which two claims far enough apart agree."""
    assert state.from_id is not None
    missing = IdRanges(held.missing(state.from_id, state.head))
    about = [claim for claim in claims if any(True for _ in missing.within(claim.first_id, claim.last_id))]
    proved: list[Range] = []
    for one, other in combinations(about, 2):
        first, last = max(one.first_id, other.first_id), min(one.last_id, other.last_id)
        if first <= last and abs(one.seen_ns - other.seen_ns) >= MIN_CONFIRMATION_INTERVAL_NS:
            proved += missing.within(first, last)
    return proved


def _tail(state: SequenceState, event: TailEvent) -> None:
    if (event.seen_ns, _TAIL_RANK[event.tail]) >= (state.tail_ts, _TAIL_RANK[state.tail]):
        state.tail, state.tail_ts = event.tail, event.seen_ns
