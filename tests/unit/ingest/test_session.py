"""When to connect: waits grow with jitter up to a cap, refusals are honoured, the budget is never exceeded."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from trading_platform.ingest.session import Session, SessionLimits

S = 10**9
LIMITS = SessionLimits()


def test_the_first_connect_is_at_once() -> None:
    """Nothing has failed yet."""
    assert Session(LIMITS, random.Random(1)).next_connect_ns(5) == 5


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_waits_stay_below_a_growing_bound_and_its_cap(seed: int, failures: int) -> None:
    """Full jitter: anywhere below the bound, which doubles and stops at the cap."""
    session = Session(LIMITS, random.Random(seed))
    for _ in range(failures):
        session.failed(now_ns=0)
    bound = min(LIMITS.longest_wait_s, LIMITS.first_wait_s * 2.0 ** (failures - 1))
    assert 0 <= session.next_connect_ns(0) <= bound * S


def test_delivery_makes_the_next_wait_short_again() -> None:
    """A connection that worked forgets the failures before it."""
    session = Session(LIMITS, random.Random(3))
    for _ in range(12):
        session.failed(now_ns=0)
    session.delivered()
    session.failed(now_ns=60 * S)
    assert session.next_connect_ns(60 * S) <= 60 * S + LIMITS.first_wait_s * S


@given(st.integers(0, 2**32), st.none() | st.floats(0, 10_000))
def test_a_429_waits_a_minute_or_longer_if_told(seed: int, retry_after_s: float | None) -> None:
    """Never less than 60 s, never less than Retry-After."""
    session = Session(LIMITS, random.Random(seed))
    session.refused(now_ns=0, status=429, retry_after_s=retry_after_s)
    assert session.next_connect_ns(0) >= max(60.0, retry_after_s or 0.0) * S * 0.999999


@given(st.integers(0, 2**32), st.lists(st.integers(0, 20 * S), min_size=1, max_size=300))
def test_the_connect_budget_is_never_exceeded(seed: int, pauses: list[int]) -> None:
    """However often it fails, no window holds more attempts than allowed."""
    limits = SessionLimits(connects=10, connects_window_s=60.0, longest_wait_s=1.0)
    session = Session(limits, random.Random(seed))
    now, attempts = 0, []
    for pause in pauses:
        now = session.next_connect_ns(now + pause)
        session.connecting(now)
        session.failed(now)
        attempts.append(now)
    for at in attempts:
        assert sum(at <= other < at + 60 * S for other in attempts) <= 10


def test_a_ban_is_honoured() -> None:
    """Nothing is tried before a ban learned elsewhere is over."""
    session = Session(LIMITS, random.Random(1))
    session.banned(500 * S)
    assert session.next_connect_ns(7) == 500 * S
