"""Which silences are asked about: the stated rate of false alarms, measured; deaf subscriptions are found."""

from __future__ import annotations

import random

import pytest

from trading_platform.ingest.liveness.stale_symbols import SilenceLimits, SilenceTracker, StaleSymbols

S = 10**9
DAY = 86_400 * S


def quiet_market(rate: float, days: float, seed: int, patience: SilenceLimits) -> tuple[int, int]:
    """Let one symbol trade at random; return (false alarms, renewals). The venue always confirms the silence."""
    rng, silence = random.Random(seed), SilenceTracker(["A"], patience)
    now, trade_id, alarms, renewals = 0, 0, 0, 0
    silence.seen("A", 0, now)
    while now < days * DAY:
        next_ns = now + int(rng.expovariate(rate) * S)
        asked_ns = now
        while True:
            # The tick that would ask next: nothing happens before.
            asked_ns += int(silence.patience_s("A") * S) + 1
            if asked_ns >= next_ns:
                break
            verdicts = silence.tick(asked_ns)
            alarms += len(verdicts.probe)
            renewals += len(verdicts.renew)
            silence.probed({"A": trade_id}, asked_ns)
        now = next_ns
        trade_id += 1
        silence.seen("A", trade_id, now)
    return alarms, renewals


@pytest.mark.parametrize("rate", [2.0, 0.3, 0.05, 1 / 60])
def test_false_alarms_stay_below_the_stated_rate(rate: float) -> None:
    """At most one a symbol and day where trades come at random, at a trade each half second as at one a minute."""
    days, seeds = (2.0, 2) if rate > 1 else (10.0, 3)
    counts = [quiet_market(rate, days, seed, SilenceLimits()) for seed in range(seeds)]
    alarms = sum(count for count, _ in counts)
    # Three standard deviations of a Poisson count above what is stated.
    stated = days * seeds * SilenceLimits().alarms_per_day
    assert alarms <= stated + 3 * stated**0.5
    assert all(renewals == 0 for _, renewals in counts)


def test_half_the_patience_would_break_the_promise() -> None:
    """The measurement can fail: with a tenth of a day as the unit it is exceeded many times over."""
    stated = 10.0
    alarms, _ = quiet_market(0.05, stated, 1, SilenceLimits(alarms_per_day=100.0))
    assert alarms > stated + 3 * stated**0.5


def test_a_very_quiet_symbol_is_asked_about_every_ten_minutes_at_most() -> None:
    """One trade an hour: 144 requests a day at most, and never a renewal."""
    alarms, renewals = quiet_market(1 / 3600, 10.0, 5, SilenceLimits())
    assert 0 < alarms <= 10 * 144
    assert renewals == 0


@pytest.mark.parametrize(("rate", "within_s"), [(2.0, 35.0), (0.3, 60.0), (0.05, 280.0)])
def test_real_silence_is_noticed_the_sooner_the_busier_the_symbol(rate: float, within_s: float) -> None:
    """A symbol that stops is asked about within a time that follows from its own rate."""
    rng, silence, now = random.Random(3), SilenceTracker(["A"], SilenceLimits()), 0
    for trade_id in range(2000):
        now += int(rng.expovariate(rate) * S)
        silence.seen("A", trade_id, now)
        silence.probed({}, now)
    ends = now
    while not silence.tick(now).probe:
        now += S // 2
    assert 30.0 <= (now - ends) / S <= within_s


def trading(silence: SilenceTracker, symbol: str = "A", seconds: int = 200) -> int:
    for second in range(seconds):
        silence.seen(symbol, second, second * S)
    return (seconds - 1) * S


def probe_due(silence: SilenceTracker, now: int) -> int:
    while not silence.tick(now).probe:
        now += S
    return now


def test_a_head_beyond_what_was_delivered_renews_the_subscription() -> None:
    """Subscribed, acknowledged, not delivered: renewed once, and not again before it is heard of."""
    silence = SilenceTracker(["A", "B"], SilenceLimits())
    now = probe_due(silence, trading(silence))
    silence.probed({"A": 250}, now)
    assert silence.tick(now + 4 * S) == StaleSymbols()
    assert silence.tick(now + 5 * S) == StaleSymbols(renew=("A",))
    assert silence.tick(now + 3600 * S) == StaleSymbols()


def test_what_was_only_under_way_renews_nothing() -> None:
    """The trade that the probe saw arrives a second later: the subscription is fine."""
    silence = SilenceTracker(["A"], SilenceLimits())
    now = probe_due(silence, trading(silence))
    silence.probed({"A": 200}, now)
    silence.seen("A", 200, now + S)
    assert silence.tick(now + 10 * S) == StaleSymbols()


def test_silence_while_nobody_listens_is_no_news() -> None:
    """From a loss until something is seen or probed, nothing is asked."""
    silence = SilenceTracker(["A"], SilenceLimits())
    now = trading(silence)
    silence.lost("A")
    assert silence.tick(now + 10_000 * S) == StaleSymbols()
    silence.probed({"A": 300}, now + 10_000 * S)
    assert silence.tick(now + 10_001 * S) == StaleSymbols()
    now = probe_due(silence, now + 10_000 * S)
    silence.probed({"A": 301}, now)
    assert silence.tick(now + 5 * S).renew == ("A",)


def test_our_own_lag_counts_against_nobody() -> None:
    """After we stood still each symbol gets its whole time again."""
    silence = SilenceTracker(["A"], SilenceLimits())
    now = trading(silence) + 3600 * S
    silence.paused(now)
    assert silence.tick(now + 20 * S) == StaleSymbols()


def test_a_venue_that_does_not_answer_is_asked_again_no_faster() -> None:
    """Probes without an answer are repeated at the symbol's own pace."""
    silence = SilenceTracker(["A"], SilenceLimits())
    now = probe_due(silence, trading(silence))
    again = probe_due(silence, now + 1)
    assert again - now >= SilenceLimits().floor_s * S


def test_a_symbol_that_never_delivers_is_found_deaf() -> None:
    """Nothing was ever seen of it, and the venue's head moves: renewed within two minutes."""
    silence = SilenceTracker(["A"], SilenceLimits())
    silence.probed({"A": 100}, 5 * S)  # the question that every new connection asks about its quiet symbols
    now = probe_due(silence, 5 * S)
    assert now <= 66 * S
    silence.probed({"A": 103}, now)
    assert silence.tick(now + 5 * S).renew == ("A",)


def test_a_symbol_that_never_trades_is_asked_about_ever_less_often() -> None:
    """Each confirmed silence stretches the patience, up to its cap."""
    silence, now, waits = SilenceTracker(["A"], SilenceLimits()), 0, []
    silence.probed({"A": 100}, now)
    for _ in range(8):
        asked = probe_due(silence, now)
        waits.append((asked - now) / S)
        now = asked
        silence.probed({"A": 100}, now)
    assert waits[:3] == [60.0, 90.0, 135.0]
    assert waits[-1] == 480.0


def test_ids_that_start_again_are_neither_deaf_nor_believed_for_ever() -> None:
    """Heard, lower ids of a new epoch are the newest; unheard, a head far below what was delivered renews."""
    silence = SilenceTracker(["A"], SilenceLimits())
    for second in range(100):
        silence.seen("A", 5_000_000 + second, second * S)
    silence.seen("A", 7, 101 * S, epoch=1)
    silence.seen("A", 5_000_100, 102 * S, epoch=0)  # a late copy
    silence.probed({"A": 9}, 140 * S)
    assert silence.tick(146 * S) == StaleSymbols(renew=("A",))
    silence.seen("A", 10, 147 * S, epoch=1)
    silence.probed({"A": 10}, 190 * S)
    assert silence.tick(196 * S) == StaleSymbols()
    silence.seen("A", 5_000, 200 * S, epoch=1)
    silence.probed({"A": 12}, 240 * S)
    assert silence.tick(246 * S) == StaleSymbols(renew=("A",))
    silence.seen("A", 13, 247 * S, epoch=2)
    silence.probed({"A": 5}, 290 * S)  # an answer that lags
    assert silence.tick(296 * S) == StaleSymbols()
