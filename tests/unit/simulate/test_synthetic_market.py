"""The synthetic market is a pure function of seed, start and trade time, and looks like a market."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.errors import UsageError
from trading_platform.simulate.synthetic_market import BLOCK_NS, DEMO_START_NS, GENESIS_NS, PROFILES, SyntheticMarket
from trading_platform.simulate.tape import Print

NAMES = [profile.venue_symbol for profile in PROFILES]


def first_prints(market: SyntheticMarket, from_ns: int, blocks: int) -> list[Print]:
    return list(itertools.chain.from_iterable(itertools.islice(market.blocks(from_ns), blocks)))


def without_ids(rows: list[Print]) -> list[Print]:
    return [row._replace(trade_id=0) for row in rows]


def test_the_same_seed_gives_the_same_prints():
    """Two markets of one seed agree in every field; another seed gives other prints."""
    rows = first_prints(SyntheticMarket(seed=5), DEMO_START_NS, 3)
    assert rows == first_prints(SyntheticMarket(seed=5), DEMO_START_NS, 3)
    assert without_ids(rows[:100]) != without_ids(first_prints(SyntheticMarket(seed=6), DEMO_START_NS, 1)[:100])


def test_ids_run_without_a_hole_across_blocks_and_midnight():
    """Each symbol's ids rise by one through an hour that contains a midnight, and times never fall."""
    rows = first_prints(SyntheticMarket(seed=5), DEMO_START_NS, 12)
    assert {day_of(row.due_ns) for row in rows} == {"2024-03-14", "2024-03-15"}
    assert rows == sorted(rows)
    for name, profile in zip(NAMES, PROFILES, strict=True):
        ids = [row.trade_id for row in rows if row.venue_symbol == name]
        assert ids == list(range(profile.first_id, profile.first_id + len(ids)))


@settings(max_examples=20)
@given(seconds=st.integers(0, 900_000_000_000_000_000 // 10**9 // 20))
def test_a_restart_goes_on_with_the_next_id(seconds):
    """Whenever a new market joins in, its first trade follows the one that the old market issued last."""
    at_ns = GENESIS_NS + seconds * 10**9 + 123_456_789
    head = {name: SyntheticMarket(seed=1, start_ns=GENESIS_NS).head_at(name, at_ns - 1) for name in NAMES}
    fresh = SyntheticMarket(seed=1, start_ns=GENESIS_NS)
    rows = first_prints(fresh, at_ns, 2)
    for name, profile in zip(NAMES, PROFILES, strict=True):
        first = next(row for row in rows if row.venue_symbol == name)
        assert first.due_ns >= at_ns
        assert first.trade_id == (profile.first_id if head[name] is None else head[name] + 1)


def test_the_start_only_chooses_where_ids_begin():
    """A market that starts later shows the same trades at the same times, its ids counted from its own start."""
    start_ns = DEMO_START_NS + 123 * 10**9 + 1
    later = first_prints(SyntheticMarket(seed=5, start_ns=start_ns), 0, 2)
    earlier = first_prints(SyntheticMarket(seed=5), start_ns, 2)
    assert without_ids(later) == without_ids(earlier)
    assert later[0].trade_id in {profile.first_id for profile in PROFILES}


def test_pages_by_id_are_cuts_of_the_stream():
    """What REST reads by id is what the stream showed, at the edges of blocks, of the market and of the head too."""
    market = SyntheticMarket(seed=5)
    rows = first_prints(market, DEMO_START_NS, 4)
    for name in NAMES:
        mine = [row for row in rows if row.venue_symbol == name]
        edge = next(n for n, row in enumerate(mine) if row.due_ns >= DEMO_START_NS + BLOCK_NS)
        for at in (0, edge - 3, edge, len(mine) - 5):
            page = market.page(name, mine[at].trade_id, mine[-1].trade_id, 10)
            assert page == mine[at : at + 10]
        assert market.page(name, 0, mine[4].trade_id, 1000) == mine[:5]
        assert market.newest(name, mine[edge + 2].trade_id, 10) == mine[edge - 7 : edge + 3]
        assert market.newest(name, mine[3].trade_id, 10) == mine[:4]
        assert market.head_at(name, DEMO_START_NS - 1) is None
        for row in mine[:: len(mine) // 50]:
            head = market.head_at(name, row.due_ns)
            assert max(r.trade_id for r in mine if r.due_ns <= row.due_ns) == head


def test_a_market_that_ends_ends_everywhere():
    """Stream, last id and pages stop at the same trade."""
    end_ns = DEMO_START_NS + 400 * 10**9
    market = SyntheticMarket(seed=5, end_ns=end_ns)
    rows = list(itertools.chain.from_iterable(market.blocks(0)))
    assert rows == [row for row in first_prints(SyntheticMarket(seed=5), DEMO_START_NS, 2) if row.due_ns < end_ns]
    for name in NAMES:
        last = max(row.trade_id for row in rows if row.venue_symbol == name)
        assert market.last_id(name) == last
        assert market.page(name, last, last + 1000, 1000)[-1].trade_id == last
        assert market.page(name, last + 1, last + 1000, 1000) == []


def test_it_looks_like_a_market():
    """Trades come in clusters and sweeps, SOL has minutes without any, volatility has regimes, prices stay sane."""
    market = SyntheticMarket(seed=7)
    rows = first_prints(market, DEMO_START_NS, 24)
    by_name = {name: [row for row in rows if row.venue_symbol == name] for name in NAMES}
    per_second = {name: len(mine) / 7200 for name, mine in by_name.items()}
    assert 8 < per_second["BTCUSDT"] < 80
    assert 0.5 < per_second["SOLUSDT"] < 6
    busy_minutes = {row.due_ns // (60 * 10**9) for row in by_name["SOLUSDT"]}
    assert len(busy_minutes) < 120
    times = [row.time for row in by_name["BTCUSDT"]]
    assert len(set(times)) < 0.85 * len(times)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) > 1.5 * mean**2  # more varied than a Poisson process
    assert {market.regime_at(DEMO_START_NS + n * BLOCK_NS) for n in range(288)} == {0, 1, 2}
    assert all(0.2 * 62_000 < float(row.price) < 5 * 62_000 for row in by_name["BTCUSDT"])
    assert all(float(row.quantity) > 0 for row in rows)


def test_prices_move_smoothly_over_block_and_day_edges():
    """No step at a block's or a day's edge is larger than steps within blocks are."""
    market = SyntheticMarket(seed=7, symbols=["BTC-USDT"])
    rows = first_prints(market, DEMO_START_NS, 6)
    steps = [abs(float(b.price) / float(a.price) - 1) for a, b in itertools.pairwise(rows)]
    assert max(steps) < 0.002


@pytest.mark.parametrize(
    "options",
    [{"seed": -1}, {"start_ns": 0}, {"start_ns": day_start("2150-01-01")}, {"symbols": ["DOGE-USDT"]}],
)
def test_impossible_markets_are_refused(options):
    """A negative seed, a start outside the covered years or an unknown symbol is one clear line."""
    with pytest.raises(UsageError):
        SyntheticMarket(**options)


def test_a_day_has_as_many_trades_on_every_day():
    """The number of ids between two midnights is the profile's, so ids need no counting."""
    market = SyntheticMarket(seed=3, start_ns=GENESIS_NS)
    for profile in PROFILES:
        heads = [market.head_at(profile.venue_symbol, GENESIS_NS + n * DAY_NS - 1) for n in (1, 2, 100)]
        assert heads[1] - heads[0] == profile.per_day
        assert heads[2] - heads[1] == 98 * profile.per_day
