"""The account of one id sequence obeys its identity, and the order of batches never matters."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from trading_platform.completeness.gap_detector import MIN_CONFIRMATION_INTERVAL_NS, advance
from trading_platform.completeness.records import Claim, Seen, SequenceState, TailEvent

IDS = st.lists(st.integers(0, 60), max_size=30).map(lambda ids: sorted(set(ids)))
CLAIMS = st.builds(
    lambda first, size, at: Claim(first, first + size, "said", at * MIN_CONFIRMATION_INTERVAL_NS // 2),
    st.integers(0, 60),
    st.integers(0, 5),
    st.integers(0, 4),
)
TAILS = st.builds(TailEvent, st.sampled_from(["live", "open", "closed"]), st.integers(0, 5))


def seen_of(ids: list[int], **facts: object) -> Seen:
    """Return a batch of these ids, trade times following the ids."""
    array = np.array(ids, np.int64)
    return Seen(ids=array, ts=array * 10, **facts)  # type: ignore[arg-type]


BATCHES = st.lists(
    st.builds(
        seen_of,
        IDS,
        voids=st.lists(CLAIMS, max_size=2),
        lost=st.lists(CLAIMS, max_size=2),
        skips=st.lists(CLAIMS, max_size=2),
        unserved=st.lists(CLAIMS, max_size=3),
        tails=st.lists(TAILS, max_size=2),
        undertaken=st.none() | st.integers(0, 60),
    ),
    max_size=5,
)


def account(batches: list[Seen]) -> SequenceState:
    """Return the account after these batches."""
    state = SequenceState()
    for batch in batches:
        advance(state, batch)
    return state


@given(BATCHES)
def test_identity_holds_after_every_batch(batches: list[Seen]) -> None:
    """[from_id, head] is the disjoint union of stored, void, open and unrecoverable, counted id by id."""
    state = SequenceState()
    for batch in batches:
        advance(state, batch)
        if state.from_id is None:
            continue
        sets = [state.stored, state.void, state.unrecoverable, state.open()]
        members = [{n for first, last in ranges for n in range(first, last + 1)} for ranges in sets]
        assert sum(map(len, members)) == len(set.union(*members))
        assert set.union(*members) == set(range(state.from_id, state.head + 1))


@given(BATCHES, st.randoms(use_true_random=False))
def test_order_of_batches_does_not_matter(batches: list[Seen], rng: object) -> None:
    """Lanes have no order among each other: any permutation ends in the same account."""
    one = account(batches)
    shuffled = list(batches)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    other = account(shuffled)
    for name in ("from_id", "head", "tail", "tail_ts", "stored", "void", "unrecoverable"):
        assert getattr(one, name) == getattr(other, name), name


@given(BATCHES)
def test_a_batch_told_twice_changes_nothing(batches: list[Seen]) -> None:
    """Decoding a stretch of a lane again is harmless, and none of its trades counts as new."""
    state = account(batches)
    before = (list(state.stored), list(state.void), list(state.unrecoverable), state.from_id, state.head)
    for batch in batches:
        assert not advance(state, batch).any()
    assert before == (list(state.stored), list(state.void), list(state.unrecoverable), state.from_id, state.head)


def test_fresh_marks_exactly_the_new_ids() -> None:
    """What was held before is not new, whatever the overlap."""
    state = account([seen_of([5, 6, 7, 20])])
    assert advance(state, seen_of([4, 5, 7, 8, 20, 21])).tolist() == [True, False, False, True, False, True]


def test_an_id_skipped_twice_ten_minutes_apart_is_void() -> None:
    """One listing that skips an id proves nothing; a second one, late enough, does."""
    early, soon, late = (
        Claim(3, 4, "skipped", at) for at in (0, MIN_CONFIRMATION_INTERVAL_NS - 1, MIN_CONFIRMATION_INTERVAL_NS)
    )
    assert account([seen_of([2, 5]), Seen(skips=[early]), Seen(skips=[soon])]).open() == [(3, 4)]
    state = account([seen_of([2, 5]), Seen(skips=[early]), Seen(skips=[late])])
    assert state.open() == []
    assert list(state.void) == [(3, 4)]


def test_an_id_without_a_trade_by_its_own_record_is_never_stored() -> None:
    """Whatever another channel serves for it, before or after; what listings skip is stored once it comes."""
    used_up, served = Seen(voids=[Claim(3, 3, "type NA", 7)]), seen_of([2, 3, 4])
    for batches in ([used_up, served], [served, used_up], [seen_of([2, 3, 4], voids=used_up.voids)]):
        state = account([seen_of([1, 5]), *batches])
        assert (list(state.stored), list(state.void), state.open()) == ([(1, 2), (4, 5)], [(3, 3)], [])
        assert not advance(state, served).any()
    assert advance(account([used_up]), served).tolist() == [True, False, True]
    skips = [Claim(3, 3, "skipped", at) for at in (0, MIN_CONFIRMATION_INTERVAL_NS)]
    assert list(account([seen_of([2, 4]), Seen(skips=skips), served]).stored) == [(2, 4)]


def test_an_id_not_served_twice_ten_minutes_apart_is_given_up() -> None:
    """One answer without it proves nothing; only what two answers lack is lost, and a trade that comes is stored."""
    early, late = Claim(3, 6, "retention", 0), Claim(2, 4, "retention", MIN_CONFIRMATION_INTERVAL_NS)
    assert account([seen_of([1, 9]), Seen(unserved=[early, early._replace(seen_ns=1)])]).open() == [(2, 8)]
    state = account([seen_of([1, 9]), Seen(unserved=[early]), Seen(unserved=[late])])
    assert state.open() == [(2, 2), (5, 8)]
    assert list(state.unrecoverable) == [(3, 4)]
    advance(state, seen_of([4]))
    assert list(state.unrecoverable) == [(3, 3)]


def test_what_lies_outside_the_account_is_not_given_up() -> None:
    """Claims about ids before the first that we hold, or beyond the head, wait until these are ours."""
    claims = [Claim(1, 9, "not served", at) for at in (0, MIN_CONFIRMATION_INTERVAL_NS)]
    state = account([seen_of([4, 6]), Seen(unserved=claims)])
    assert (state.from_id, state.head) == (4, 6)
    assert list(state.unrecoverable) == [(5, 5)]
    advance(state, seen_of([12]))
    assert list(state.unrecoverable) == [(5, 5), (7, 9)]


def test_an_id_that_a_listing_skips_is_void_even_if_it_was_given_up() -> None:
    """The stronger word holds, whichever came first."""
    unserved = [Claim(3, 4, "not served", at) for at in (0, MIN_CONFIRMATION_INTERVAL_NS)]
    skips = [Claim(3, 3, "skipped", at) for at in (0, MIN_CONFIRMATION_INTERVAL_NS)]
    for batches in ([Seen(unserved=unserved), Seen(skips=skips)], [Seen(skips=skips), Seen(unserved=unserved)]):
        state = account([seen_of([2, 5]), *batches])
        assert (list(state.void), list(state.unrecoverable)) == ([(3, 3)], [(4, 4)])


def test_a_first_start_opens_no_gap_and_a_later_one_does() -> None:
    """The first id seen begins the account; ids missed while nobody listened are open."""
    state = account([seen_of([100])])
    assert state.open() == []
    advance(state, seen_of([150]))
    assert state.open() == [(101, 149)]


def test_the_latest_word_on_the_tail_counts() -> None:
    """A probe after the end closes a tail, whichever lane is decoded first."""
    lost, probe = Seen(tails=[TailEvent("open", 10)]), Seen(tails=[TailEvent("closed", 11)])
    assert account([seen_of([1]), lost, probe]).tail == account([seen_of([1]), probe, lost]).tail == "closed"
