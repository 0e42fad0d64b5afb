"""What follows from a venue's no: fewer symbols a connection, growing waits, a minute's rest. State, event, time."""

from __future__ import annotations

import random
from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.ingest.rate_limits.connect_policy import Address, ConnectLimits
from trading_platform.ingest.recorder.actions import Action, Connect, Split, meaning_of
from trading_platform.ingest.recorder.connection_groups import Spread
from trading_platform.ingest.recorder.session import ConnectionTerms, Session
from trading_platform.venues.adapter import KeepAlive, Notice
from trading_platform.venues.answers import Answer, judged

S = 10**9
TOO_LONG, ASKED, FINAL = (413, 414, 431), (400, 402, 406, 422), (301, 302, 307, 401, 403, 404, 407, 410, 451)


class Feed:
    """A session and its clock, which goes on to the next attempt when told."""

    def __init__(self, symbols: int = 4, address: Address | None = None, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.address = address or Address(ConnectLimits(), self.rng)
        names = [f"S{number}" for number in range(symbols)]
        terms = ConnectionTerms(KeepAlive("none", stale_s=1e9), 86_400.0)
        self.session = Session(names, terms, self.address, self.rng, number=count(1).__next__, mono_ns=0, boot_ns=0)
        self.now = 0

    def next(self, within_s: float = 3600.0) -> Action:
        """Return the next attempt or split."""
        end = self.now + int(within_s * S)
        while self.now <= end:
            for action in self.session.tick(self.now, self.now):
                if isinstance(action, Connect | Split):
                    return action
            self.now += S // 4
        raise AssertionError("nothing happened")

    def connect(self) -> int:
        """Return the number of the next attempt."""
        action = self.next()
        assert isinstance(action, Connect), action
        return action.connection

    def refuse(self, status: int, times: int = 1) -> None:
        for _ in range(times):
            self.session.refused(self.connect(), self.now, judged(Answer(status, to="stream")))


@pytest.mark.parametrize("status", [*TOO_LONG, *ASKED])
def test_a_refusal_of_what_was_asked_splits_when_it_repeats(status: int) -> None:
    """Once may be chance; twice, and less is asked for at once."""
    feed = Feed()
    feed.refuse(status, 2)
    before = feed.now
    assert feed.next() == Split("too long" if status in TOO_LONG else "asked too much")
    assert feed.now == before


def test_refusals_that_differ_do_not_add_up() -> None:
    """A 414, trouble, and a 414 again: nothing has repeated yet."""
    feed = Feed()
    for status in (414, 503, 414, 400, 414):
        feed.refuse(status)
    feed.refuse(414)
    assert feed.next() == Split("too long")


def test_a_connection_that_opened_forgets_the_refusals_before_it() -> None:
    """It carried all these symbols, so they may share one."""
    feed = Feed()
    feed.refuse(414)
    number = feed.connect()
    feed.session.opened(number, feed.now)
    feed.session.delivered(number)
    feed.session.ended(number, feed.now)
    feed.refuse(414)
    assert isinstance(feed.next(), Connect)


def test_a_living_connection_is_not_given_up_for_less() -> None:
    """Its replacement is refused again and again: the old one carries all until it ends, then less is asked for."""
    feed = Feed()
    first = feed.connect()
    feed.session.opened(first, feed.now)
    feed.session.noticed(first, Notice("farewell"), 0)
    feed.refuse(414, 3)
    assert isinstance(feed.next(), Connect)
    feed.session.refused(5, feed.now, judged(Answer(414, to="stream")))
    feed.session.ended(first, feed.now)
    assert feed.next(0.0) == Split("too long")


@pytest.mark.parametrize("status", [*FINAL, *TOO_LONG, *ASKED])
def test_one_symbol_and_final_refusals_are_asked_again_ever_more_seldom(status: int) -> None:
    """Nothing is split, the waits grow to minutes, the breaker stays closed for other connections, nobody stops."""
    feed = Feed(symbols=4 if status in FINAL else 1)
    times = []
    for _ in range(40):
        feed.refuse(status)
        times.append(feed.now)
    waits = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert max(waits[:3]) <= 4 * S
    assert 60 * S < max(waits[20:]) <= 301 * S
    assert feed.address.breaker.ready_ns(feed.now) <= feed.now


def test_what_is_final_alone_is_about_the_symbols_where_others_are_served() -> None:
    """Another connection of the venue is open: a 403 is not about us, and is halved to whom it is about."""
    feed = Feed()
    other = Feed(address=feed.address)
    number = other.connect()
    other.session.opened(number, 0)
    feed.refuse(403, 2)
    assert feed.next() == Split("asked too much")
    other.session.ended(number, 0)
    assert feed.address.open == 0


@pytest.mark.parametrize("code", [1008, 1013])
@pytest.mark.parametrize("delivered", [False, True])
def test_a_close_that_pushes_back_is_waited_out_by_all(code: int, delivered: bool) -> None:
    """As after a 429: a minute at least, whoever it was told to."""
    for seed in range(20):
        feed = Feed(seed=seed)
        other = Feed(address=feed.address)
        number = feed.connect()
        feed.session.opened(number, feed.now)
        if delivered:
            feed.session.delivered(number)
        feed.now += 5 * S
        forbidden_s = feed.session.ended(number, feed.now, code)
        assert forbidden_s >= 60.0
        closed, other.now = feed.now, feed.now
        feed.connect()
        other.connect()
        assert 60 * S <= min(feed.now, other.now) - closed <= max(feed.now, other.now) - closed <= 90 * S


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1012])
def test_other_closes_mean_what_they_did(code: int | None) -> None:
    """The next attempt comes within a second."""
    feed = Feed()
    number = feed.connect()
    feed.session.opened(number, feed.now)
    feed.session.delivered(number)
    assert feed.session.ended(number, feed.now, code) == 0.0
    closed = feed.now
    feed.connect()
    assert feed.now - closed <= S


def test_our_own_close_forbids_nothing() -> None:
    """We end a connection that slept; the venue's late word about it is not about now."""
    feed = Feed()
    number = feed.connect()
    feed.session.opened(number, feed.now)
    feed.now += 60 * S
    feed.session.tick(feed.now, feed.now)
    assert feed.session.ended(number, feed.now, 1008) == 0.0


NAMES = st.lists(st.text("ABCDEFGH", min_size=1, max_size=12), min_size=1, max_size=40, unique=True)


@given(NAMES, st.integers(1, 50), st.integers(1, 200), st.booleans())
def test_groups_hold_every_name_once_in_order_within_the_limits(
    names: list[str], streams: int, size: int, too_long: bool
) -> None:
    """A single name may be longer than allowed: nobody can make it shorter. A split has smaller groups."""
    spread = Spread(streams, size, lambda some: "ws://venue/" + "/".join(some))
    groups = spread.groups(names)
    assert [name for group in groups for name in group] == names
    assert all(spread.fits(group) for group in groups)
    longest = max(groups, key=len)
    if len(longest) > 1:
        parts = spread.split(longest, too_long=too_long)
        assert [name for part in parts for name in part] == longest
        assert max(map(len, parts)) < len(longest)
        assert all(map(spread.fits, parts))


@settings(max_examples=50)
@given(st.integers(100, 599), st.booleans(), st.none() | st.text(max_size=300))
def test_every_status_has_words(status: int, serves: bool, location: str | None) -> None:
    """One printable line, whatever a venue says."""
    headers = {} if location is None else {"location": location}
    verdict = judged(Answer(status, headers, to="stream"))
    assert meaning_of(verdict, serves_others=serves) in {
        "wait",
        "too long",
        "asked too much",
        "final",
        "trouble",
    }
    words = verdict.reason
    assert words.startswith(f"HTTP {status}: ")
    assert len(words) < 400
    assert words.isprintable()
