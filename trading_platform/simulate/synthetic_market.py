"""The synthetic market: trades as a pure function of seed, start and trade time, with random access.

Lives here: what is traded, when and at what price. Not here: recordings (recorded_market.py), serving
(venue_server.py).

Time is cut into UTC days and these into blocks of five minutes; each is drawn from its own generator, seeded by
(seed, symbol, day or block), so any block costs the same whatever came before:

- A day has a fixed number of trades per symbol, dealt out to its blocks by time of day and regime. So the id of a
  block's first trade needs no counting from the start, and a restarted venue goes on with the next id.
- One chain of three volatility regimes, shared by the symbols, moves from block to block.
- Prices meet a base path at every block's edges, a bridge within the day between the days' base path.
- Within a block trades excite trades: clusters that decay over a second, sweeps of many fills in one millisecond,
  and for the quietest symbol whole minutes without a trade.

A road not taken: one long random walk from the start. It is simpler, and reaching a trade of next year costs minutes.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import UsageError
from trading_platform.simulate.tape import ListedSymbol, Print

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_NS = 300 * 1_000_000_000
_BLOCK_MS = 300_000
_BLOCKS = DAY_NS // BLOCK_NS
_MINUTE_MS = 60_000
_FIRST_DAY = day_start("2016-01-01") // DAY_NS
_DAYS = day_start("2100-01-01") // DAY_NS - _FIRST_DAY

GENESIS_NS = day_start("2024-01-01")
"""Where the market that runs under `up` and `simulate` begins; it is the same one after every restart."""
DEMO_START_NS = day_start("2024-03-15") - 600 * 1_000_000_000
"""Where the demonstration's market begins: ten minutes before a midnight."""

# Volatility regimes: calm, normal, stormy. Rows of _MOVES are transition probabilities from block to block.
_VOLATILITY = np.array([0.00035, 0.0010, 0.0028])  # log return over a block
_ACTIVITY = np.array([0.7, 1.0, 2.2])
_MOVES = np.array([[0.88, 0.11, 0.01], [0.10, 0.82, 0.08], [0.02, 0.20, 0.78]])


class Profile(NamedTuple):
    """How one symbol trades."""

    symbol: str
    first_id: int
    price: float
    price_places: int
    quantity: float
    quantity_places: int
    per_day: int
    volatility: float
    pauses: bool

    @property
    def venue_symbol(self) -> str:
        """The venue's spelling."""
        return self.symbol.replace("-", "")


PROFILES = (
    # First ids do not fit in 32 bits, as the venue's do not.
    Profile("BTC-USDT", 5_000_000_001, 62_000.0, 2, 0.004, 5, 2_160_000, 1.0, pauses=False),
    Profile("ETH-USDT", 4_500_000_001, 3_300.0, 2, 0.06, 4, 1_036_800, 1.2, pauses=False),
    Profile("SOL-USDT", 4_400_000_001, 145.0, 2, 0.8, 3, 129_600, 1.6, pauses=True),
)


class _DayStart(NamedTuple):
    """What a symbol's blocks of one day start from."""

    regimes: Ints  # per block
    first: Ints  # trades of the day before each block, and the total
    log_price: Floats  # at each edge


class SyntheticMarket:
    """An endless market of BTC-USDT, ETH-USDT and SOL-USDT, or one that ends at `end_ns`.

    Parameters
    ----------
    seed : not negative; same seed, same bytes.
    start_ns : the first instant at which anything trades; ids begin there.
    end_ns : nothing trades from here on; None for an endless market.
    symbols : a choice of the profiles' symbols.
    profiles : how what there is trades.

    Examples
    --------
    >>> market = SyntheticMarket(seed=7, start_ns=DEMO_START_NS)
    >>> first = next(market.blocks(DEMO_START_NS))[0]
    >>> first == next(SyntheticMarket(seed=7, start_ns=DEMO_START_NS).blocks(DEMO_START_NS))[0]
    True
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        start_ns: int = DEMO_START_NS,
        end_ns: int | None = None,
        symbols: Sequence[str] | None = None,
        profiles: Sequence[Profile] = PROFILES,
    ) -> None:
        if not 0 <= seed < 1 << 63:
            raise UsageError(f"seed {seed} is out of range; give a whole number from 0 on")
        if not _FIRST_DAY * DAY_NS <= start_ns < (_FIRST_DAY + _DAYS - 1) * DAY_NS:
            raise UsageError("the synthetic market starts between 2016 and 2099")
        known = {profile.symbol: profile for profile in profiles}
        unknown = [name for name in symbols or () if name not in known]
        if unknown:
            raise UsageError(f"{unknown[0][:40]!r} is not in the synthetic market; it has {' '.join(known)}")
        self.start_ns, self._end_ns, self._seed = start_ns, end_ns, seed
        self.name = synthetic_name(seed, start_ns)
        self._all = tuple(profiles)
        self._profiles = [p for p in profiles if symbols is None or p.symbol in symbols]
        self._order = {p.venue_symbol: n for n, p in enumerate(self._profiles)}
        self.listings = tuple(
            ListedSymbol(p.venue_symbol, p.symbol, f"{10.0**-p.price_places:.8f}", f"{10.0**-p.quantity_places:.8f}")
            for p in self._profiles
        )
        self._base = [_base_path(seed, profiles.index(p), p) for p in self._profiles]
        self._day = lru_cache(maxsize=8 * len(PROFILES))(self._make_day)
        self._block = lru_cache(maxsize=8 * len(PROFILES))(self._make_block)
        # How many trades the day's plan has before `start_ns`, counted from the first day there is.
        self._origin = [self._count_before(n, start_ns) for n in range(len(self._profiles))]

    def blocks(self, from_ns: int) -> Iterator[list[Print]]:
        """Yield the prints due from that instant on, one list per five minutes."""
        from_ns = max(from_ns, self.start_ns)
        block = from_ns // BLOCK_NS
        while self._end_ns is None or block * BLOCK_NS < self._end_ns:
            rows = sorted(row for order in range(len(self._profiles)) for row in self._block(order, block))
            if block * BLOCK_NS < from_ns:
                rows = [row for row in rows if row.due_ns >= from_ns]
            if rows:
                yield rows
            block += 1

    def last_id(self, venue_symbol: str) -> int | None:
        """Return the last id of a market that ends."""
        return None if self._end_ns is None else self.head_at(venue_symbol, self._end_ns)

    def head_at(self, venue_symbol: str, ts_ns: int) -> int | None:
        """Return the highest id due at or before the instant."""
        order = self._order[venue_symbol]
        end_ns = ts_ns + 1 if self._end_ns is None else min(ts_ns + 1, self._end_ns)
        count = self._count_before(order, max(end_ns, self.start_ns)) - self._origin[order]
        return self._profiles[order].first_id + count - 1 if count else None

    def page(self, venue_symbol: str, from_id: int, head: int, limit: int) -> list[Print]:
        """Return up to `limit` prints with from_id ≤ id ≤ head, ascending."""
        order = self._order[venue_symbol]
        from_id = max(from_id, self._profiles[order].first_id)
        rows: list[Print] = []
        while len(rows) < limit and from_id <= head:
            held = self._block(order, self._block_of(order, from_id))
            skip = from_id - held[0].trade_id if held else 0
            found = held[skip : skip + min(limit - len(rows), head - from_id + 1)]
            if not found:
                break
            rows += found
            from_id += len(found)
        return rows

    def newest(self, venue_symbol: str, head: int, limit: int) -> list[Print]:
        """Return the last `limit` prints with id ≤ head, ascending."""
        return self.page(venue_symbol, head - limit + 1, head, limit)

    def regime_at(self, ts_ns: int) -> int:
        """Return the volatility regime in force: 0 calm, 1 normal, 2 stormy."""
        return int(self._day(0, ts_ns // DAY_NS).regimes[ts_ns % DAY_NS // BLOCK_NS])

    def _generator(self, *path: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *path])

    def _make_day(self, order: int, day: int) -> _DayStart:
        profile = self._profiles[order]
        regimes = _chain(self._generator(1, day).random(_BLOCKS))
        draw = self._generator(2, self._all.index(profile), day)
        hours = np.arange(_BLOCKS) / _BLOCKS
        daily = 1.0 + 0.35 * np.sin(2 * np.pi * (hours - 0.35))
        weights = daily * _ACTIVITY[regimes] * draw.uniform(0.8, 1.25, _BLOCKS)
        share = np.concatenate([[0.0], np.cumsum(weights)])
        first = np.floor(profile.per_day * (share / share[-1])).astype(np.int64)
        spread = _VOLATILITY[regimes] * profile.volatility
        walk = np.concatenate([[0.0], np.cumsum(spread * draw.standard_normal(_BLOCKS))])
        variance = np.concatenate([[0.0], np.cumsum(spread**2)]) / np.sum(spread**2)
        begin, end = self._base[order][day - _FIRST_DAY], self._base[order][day - _FIRST_DAY + 1]
        return _DayStart(regimes, first, begin + walk + variance * (end - begin - walk[-1]))

    def _times(self, order: int, block: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return the planned trades of a block, start and end not yet regarded: ms after its begin, takers that buy."""
        number, at = divmod(block, _BLOCKS)
        first = self._day(order, number).first
        profile = self._profiles[order]
        draw = self._generator(3, self._all.index(profile), block)
        return _arrivals(draw, int(first[at + 1] - first[at]), pauses=profile.pauses)

    def _count_before(self, order: int, ts_ns: int) -> int:
        """Count the planned trades before the instant, from the first day there is."""
        number, at = divmod(ts_ns // BLOCK_NS, _BLOCKS)
        times, _ = self._times(order, ts_ns // BLOCK_NS)
        within = int(np.searchsorted(times, -(-(ts_ns % BLOCK_NS) // 1_000_000)))
        whole_days = (number - _FIRST_DAY) * self._profiles[order].per_day
        return whole_days + int(self._day(order, number).first[at]) + within

    def _block_of(self, order: int, trade_id: int) -> int:
        planned = trade_id - self._profiles[order].first_id + self._origin[order]
        days, rest = divmod(planned, self._profiles[order].per_day)
        first = self._day(order, _FIRST_DAY + days).first
        return (_FIRST_DAY + days) * _BLOCKS + int(np.searchsorted(first, rest, side="right")) - 1

    def _make_block(self, order: int, block: int) -> list[Print]:
        """Return the symbol's prints of one block, those before the start and after the end left out."""
        profile = self._profiles[order]
        number, at = divmod(block, _BLOCKS)
        day = self._day(order, number)
        times, buys = self._times(order, block)
        count = len(times)
        draw = self._generator(4, self._all.index(profile), block)
        spread = _VOLATILITY[day.regimes[at]] * profile.volatility
        ticks = _price_ticks(draw, buys, day.log_price[at : at + 2], spread, profile.price_places)
        lots = _lots(draw, count, profile)
        sent = times + draw.integers(0, 4, count)
        zero = block * _BLOCK_MS
        begin = int(np.searchsorted(times, -(-self.start_ns // 1_000_000) - zero))
        end = count if self._end_ns is None else int(np.searchsorted(times, -(-self._end_ns // 1_000_000) - zero))
        first_id = profile.first_id - self._origin[order] + (number - _FIRST_DAY) * profile.per_day + int(day.first[at])
        columns = (times + zero, sent + zero, ticks, lots, buys)
        name, price_one, lot_one = profile.venue_symbol, 10**profile.price_places, 10**profile.quantity_places
        price_width, lot_width = profile.price_places, profile.quantity_places
        price_pad, lot_pad = "0" * (8 - price_width), "0" * (8 - lot_width)
        rows = []
        for trade_id, (time, event, tick, lot, buy) in enumerate(
            zip(*(column[begin:end].tolist() for column in columns), strict=True), first_id + begin
        ):
            price = f"{tick // price_one}.{tick % price_one:0{price_width}d}{price_pad}"
            quantity = f"{lot // lot_one}.{lot % lot_one:0{lot_width}d}{lot_pad}"
            rows.append(Print(time * 1_000_000, order, trade_id, name, time, event, price, quantity, not buy))
        return rows


def synthetic_name(seed: int, start_ns: int) -> str:
    """Return the name of the synthetic market of a seed that starts at an instant.

    >>> synthetic_name(0, GENESIS_NS)
    'synthetic, seed 0, from 2024-01-01T00:00:00Z'
    """
    start = dt.datetime.fromtimestamp(start_ns // 1_000_000_000, dt.UTC)
    return f"synthetic, seed {seed}, from {start:%Y-%m-%dT%H:%M:%SZ}"


def _base_path(seed: int, number: int, profile: Profile) -> Floats:
    """Return the log price at each midnight from 2016 to 2100: a walk that returns to the profile's price."""
    steps = np.random.default_rng([seed, 0, number]).standard_normal(_DAYS + 1).tolist()
    path, at = [], 0.0
    for step in steps:
        at = 0.99 * at + 0.02 * profile.volatility * step
        path.append(at)
    return np.asarray(path, dtype=np.float64) + math.log(profile.price)


def _chain(draws: Floats) -> Ints:
    """Return a day's regimes, one a block."""
    edges = np.cumsum(_MOVES, axis=1).tolist()
    state = 1
    states = []
    for draw in draws.tolist():
        state = next((n for n, edge in enumerate(edges[state]) if draw < edge), 2)
        states.append(state)
    return np.array(states, dtype=np.int64)


def _arrivals(draw: np.random.Generator, count: int, *, pauses: bool) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return sorted times in ms after the block's begin, and whether the taker bought."""
    pause = int(draw.integers(0, 5)) if pauses and draw.random() < 0.4 else None
    length = _BLOCK_MS if pause is None else _BLOCK_MS - _MINUTE_MS
    parents = -(-count * 2 // 5)
    times = draw.random(parents) * length
    buys = draw.random(parents) < draw.uniform(0.35, 0.65)
    children = count - parents
    if children:
        chosen = draw.integers(0, parents, children)
        delay = draw.exponential(400.0, children)
        delay[draw.random(children) < 0.5] = 0.0  # fills of one sweep share its millisecond
        excited = times[chosen] + delay
        times = np.concatenate([times, np.where(excited < length, excited, times[chosen])])
        buys = np.concatenate([buys, buys[chosen] ^ (draw.random(children) < 0.1)])
    if pause is not None:
        times[times >= pause * _MINUTE_MS] += _MINUTE_MS
    order = np.argsort(times, kind="stable")
    return times[order].astype(np.int64), buys[order]


def _price_ticks(
    draw: np.random.Generator, buys: npt.NDArray[np.bool_], edges: Floats, spread: float, places: int
) -> Ints:
    """Return prices in ticks: a bridge between the block's edges, takers paying half the spread."""
    count = len(buys)
    walk = np.cumsum(draw.standard_normal(count)) * (spread / max(1.0, count) ** 0.5)
    part = np.arange(1, count + 1) / (count + 1)
    path = edges[0] + walk + part * (edges[1] - edges[0] - (walk[-1] if count else 0.0))
    ticks: Ints = np.floor(np.exp(path) * 10**places).astype(np.int64) + buys
    return ticks


def _lots(draw: np.random.Generator, count: int, profile: Profile) -> Ints:
    """Return quantities in lots: many small ones, a few large ones, none of nothing."""
    sizes = draw.lognormal(-0.7, 1.2, count) * profile.quantity * 10**profile.quantity_places
    lots: Ints = np.maximum(1, sizes).astype(np.int64)
    return lots
