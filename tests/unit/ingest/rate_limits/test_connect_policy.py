"""When to connect: waits grow with jitter up to a cap, refusals are honoured, budget and breaker are never exceeded."""

from __future__ import annotations

import random

from hypothesis import given, strategies as st

from trading_platform.ingest.rate_limits.connect_policy import Address, Backoff, ConnectLimits

S = 10**9
LIMITS = ConnectLimits()


def test_the_first_connect_is_at_once() -> None:
    """Nothing has failed yet."""
    assert Address(LIMITS, random.Random(1)).ready_ns(5) == 5
    assert Backoff(LIMITS, random.Random(1)).ready_ns <= 5


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_waits_stay_below_a_growing_bound_and_its_cap(seed: int, failures: int) -> None:
    """Full jitter: anywhere below the bound, which doubles and stops at the cap."""
    backoff = Backoff(LIMITS, random.Random(seed))
    for number in range(failures):
        before = backoff.ready_ns
        backoff.failed(before)
        bound = min(LIMITS.longest_wait_s, LIMITS.first_wait_s * 2.0**number)
        assert before <= backoff.ready_ns <= before + bound * S


def test_delivery_makes_the_next_wait_short_again() -> None:
    """A connection that worked forgets the failures before it."""
    backoff = Backoff(LIMITS, random.Random(3))
    for _ in range(12):
        backoff.failed(now_ns=0)
    backoff.worked()
    backoff.failed(now_ns=60 * S)
    assert backoff.ready_ns <= 60 * S + LIMITS.first_wait_s * S


@given(st.integers(0, 2**32), st.none() | st.floats(0, 10_000), st.sampled_from(["rate_limited", "banned"]))
def test_a_refusal_waits_a_minute_or_longer_if_told(seed: int, retry_after_s: float | None, kind: str) -> None:
    """Never less than 60 s, never less than Retry-After; a ban without one waits two minutes."""
    address = Address(LIMITS, random.Random(seed))
    address.connecting(0)
    told_s = address.refused(now_ns=0, kind=kind, retry_after_s=retry_after_s)
    least_s = max(60.0 if kind == "rate_limited" else 120.0, retry_after_s or 0.0)
    assert told_s == least_s
    assert least_s * S * 0.999999 <= address.ready_ns(0) <= 1.1 * least_s * S + 1


def test_an_absurd_retry_after_is_believed_for_a_week() -> None:
    """A broken header must not end recording for ever."""
    address = Address(LIMITS, random.Random(1))
    address.refused(now_ns=0, kind="rate_limited", retry_after_s=1e12)
    assert address.ready_ns(0) <= 1.1 * 7 * 86_400 * S


@given(st.integers(0, 2**32), st.lists(st.integers(0, 20 * S), min_size=1, max_size=300))
def test_the_connect_budget_is_never_exceeded(seed: int, pauses: list[int]) -> None:
    """However often it fails, or works and is cut, no window holds more attempts than allowed."""
    limits = ConnectLimits(connects=10, connects_window_s=60.0, longest_wait_s=1.0)
    rng = random.Random(seed)
    address = Address(limits, rng)
    now, attempts = 0, []
    for pause in pauses:
        now = address.ready_ns(now + pause)
        address.connecting(now)
        if rng.random() < 0.5:
            address.failed(now)
        else:
            address.worked()
        attempts.append(now)
    for at in attempts:
        assert sum(at <= other < at + 60 * S for other in attempts) <= 10


def test_a_flapping_venue_does_not_use_the_budget_up_at_once() -> None:
    """After half of it attempts come evenly: there is always one within seconds, never minutes of blindness."""
    address = Address(LIMITS, random.Random(1))
    now, attempts = 0, []
    while now < 900 * S:
        now = address.ready_ns(now)
        address.connecting(now)
        address.worked()
        attempts.append(now)
    late = [b - a for a, b in zip(attempts[75:], attempts[76:], strict=False)]
    assert max(late) <= 5 * S
    assert max(sum(at <= other < at + 300 * S for other in attempts) for at in attempts[:200]) <= LIMITS.connects


def test_five_failures_open_the_breaker_for_thirty_seconds_and_one_probe_decides() -> None:
    """Half open, one attempt may be made; its failure opens it again, its success closes it."""
    address = Address(LIMITS, random.Random(1))
    for _ in range(5):
        assert address.ready_ns(0) == 0
        address.connecting(0)
        address.failed(0)
    assert address.ready_ns(0) == 30 * S
    address.connecting(30 * S)
    assert address.ready_ns(30 * S) == 60 * S
    address.failed(31 * S)
    assert address.ready_ns(31 * S) == 61 * S
    address.connecting(61 * S)
    address.worked()
    assert address.ready_ns(61 * S) == 61 * S


def test_a_ban_is_honoured() -> None:
    """Nothing is tried before a ban learned elsewhere is over."""
    address = Address(LIMITS, random.Random(1))
    address.banned(500 * S)
    assert address.ready_ns(7) == 500 * S
