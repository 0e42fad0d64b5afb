"""Statistics of a symbol's trades of a day: latency, lateness, repeats, outliers, the price's path. Pure: arrays in.

Reading the arrays is collect.py, drawing them figures.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.days import DAY_NS
from trading_platform.domain.units import NS_PER_S

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

IN_TIME_NS = NS_PER_S
"""A live trade is in time if it was received within a second."""
PLAYED_NS = 3600 * NS_PER_S
"""A simulated market that is this far behind the clock (median) plays the past: no delay of it is anyone's."""
LATE_NS = 60 * NS_PER_S
"""A trade is late if it was received more than a minute after it happened: its bar may have been read before."""

QUANTILES = (0.5, 0.9, 0.99, 1.0)

_MINUTE_NS = 60 * NS_PER_S
_AROUND = 2
"""Minutes on either side whose median is the local price."""
_LEAST_TRADES = 30
_SCALES, _LEAST_DEVIATION = 12.0, 0.003
"""An outlier lies further from the local price than twelve robust standard deviations, and than 0.3 %."""
_NEIGHBOURS, _AT_ONCE = 10, 100_000
_SAMPLE = 2_000
"""Trades, evenly taken, that tell the median of some minutes: a busy market has tens of thousands."""
_BUCKETS = 288
"""Five minutes each: as fine as a figure of a day can show."""


class DayTrades(NamedTuple):
    """The trades of a symbol-day, ascending by time. Times in ns; `live`: came over the stream, not asked for later."""

    ts_event: Int64
    ts_recv: Int64
    price: Floats
    live: Bools


class Latency(NamedTuple):
    """How long live trades took from the venue's clock to ours, in ms; `quantiles` as `QUANTILES`.

    Attributes
    ----------
    negative : trades that came before they happened: a clock is off. They are left out of everything else.
    in_time : share of the others that took at most a second.
    """

    trades: int
    negative: int
    quantiles: tuple[float, ...]
    in_time: float


class Outlier(NamedTuple):
    """A trade far from the prices around it; `deviation` is relative, 0.1 for 10 % above."""

    ts_event: int
    price: float
    local: float

    @property
    def deviation(self) -> float:
        """How far it lies from the local price, relative."""
        return self.price / self.local - 1


class PricePath(NamedTuple):
    """Lowest, highest and last price by stretch of time (`minute` of the day at its middle), without empty ones."""

    minute: Floats
    low: Floats
    high: Floats
    last: Floats


class TradeStatistics(NamedTuple):
    """All of it.

    Attributes
    ----------
    asked_for : trades that did not come over the stream, but were asked for later.
    late, latest_s : trades received more than a minute after they happened, and the longest delay; None of a market
        that was `played`.
    latency : None without a live trade, and of a market that was played.
    outliers : None where too few trades were made to tell.
    played : whether these are trades of the past, played now: their delays say nothing.
    """

    trades: int
    asked_for: int
    late: int | None
    latest_s: float | None
    latency: Latency | None
    outliers: tuple[Outlier, ...] | None
    path: PricePath
    played: bool


def statistics(trades: DayTrades, day_start_ns: int, *, simulated: bool) -> TradeStatistics:
    """Return the statistics of a day that holds at least one trade."""
    delay = trades.ts_recv - trades.ts_event
    played = simulated and float(np.median(delay)) > PLAYED_NS
    return TradeStatistics(
        len(delay),
        int((~trades.live).sum()),
        None if played else int((delay > LATE_NS).sum()),
        None if played else float(delay.max()) / NS_PER_S,
        None if played else latency(delay[trades.live]),
        outliers(trades.ts_event, trades.price),
        price_path(trades.ts_event, trades.price, day_start_ns),
        played,
    )


def latency(delay_ns: Int64) -> Latency | None:
    """Return the latency of live trades, None if there is none.

    >>> latency(np.array([-5, 1_000_000, 3_000_000, 2_000_000_000]))
    Latency(trades=4, negative=1, quantiles=(3.0, 1600.6, 1960.06, 2000.0), in_time=0.6666666666666666)
    """
    known = delay_ns[delay_ns >= 0]
    if not len(delay_ns):
        return None
    if not len(known):
        return Latency(len(delay_ns), len(delay_ns), (), 0.0)
    quantiles = tuple(round(float(value) / 1e6, 6) for value in np.quantile(known, QUANTILES))
    return Latency(len(delay_ns), len(delay_ns) - len(known), quantiles, float((known <= IN_TIME_NS).mean()))


def repeats(epoch: Int64, trade_id: Int64) -> int:
    """Count rows whose (epoch, id) another row has too.

    >>> repeats(np.array([0, 0, 0, 1]), np.array([7, 8, 7, 7]))
    1
    """
    order = np.lexsort((trade_id, epoch))
    epoch, trade_id = epoch[order], trade_id[order]
    return int(((epoch[1:] == epoch[:-1]) & (trade_id[1:] == trade_id[:-1])).sum())


def outliers(ts_event: Int64, price: Floats) -> tuple[Outlier, ...] | None:
    """Return the trades far from the median price of the minutes around them, None if too few trades were made.

    The scale is the greater of two robust ones: that of the day, and that of the minutes around, which is wide where
    the price moves fast. It must stand apart from the trades next to it, too. So a crash is none, a wrong price is.

    Parameters
    ----------
    ts_event : ascending.
    """
    if len(price) < _LEAST_TRADES:
        return None
    minute = ts_event // _MINUTE_NS
    minutes, begin = np.unique(minute, return_index=True)
    low = np.searchsorted(ts_event, (minutes - _AROUND) * _MINUTE_NS)
    high = np.searchsorted(ts_event, (minutes + _AROUND + 1) * _MINUTE_NS)
    sizes = np.diff(np.append(begin, len(price)))
    local, spread = np.empty(len(minutes)), np.empty(len(minutes))
    for at, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        around = price[first : last : (last - first) // _SAMPLE + 1]
        local[at] = np.median(around)
        spread[at] = np.median(np.abs(around / local[at] - 1))
    local, spread = np.repeat(local, sizes), np.repeat(spread, sizes)
    away = np.abs(price / local - 1)
    scale = 1.4826 * np.maximum(spread, np.median(away))
    far = np.flatnonzero(away > np.maximum(_SCALES * scale, _LEAST_DEVIATION))
    apart = [at for first in range(0, len(far), _AT_ONCE) for at in _apart(price, local, far[first : first + _AT_ONCE])]
    return tuple(Outlier(int(ts_event[at]), float(price[at]), float(local[at])) for at in apart)


def _apart(price: Floats, local: Floats, far: npt.NDArray[np.intp]) -> list[int]:
    """Return those of the trades that stand apart from the ten before and after, which a move takes along."""
    near = far[:, None] + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    middle = np.median(price[np.clip(near, 0, len(price) - 1)], axis=1)
    away = np.abs(price[far] / middle - 1)
    chosen: list[int] = far[(away > _LEAST_DEVIATION) & (2 * away > np.abs(price[far] / local[far] - 1))].tolist()
    return chosen


def price_path(ts_event: Int64, price: Floats, day_start_ns: int) -> PricePath:
    """Return the price's path over a day in at most 288 stretches; a short recording in finer ones.

    >>> path = price_path(np.array([0, 1, DAY_NS - 1]), np.array([2.0, 3.0, 1.0]), 0)
    >>> path.low.tolist(), path.high.tolist(), path.last.tolist()
    ([2.0, 1.0], [3.0, 1.0], [3.0, 1.0])
    """
    first, last = int(ts_event[0]), int(ts_event[-1])
    width = max((last - first) // _BUCKETS + 1, NS_PER_S)
    bucket = (ts_event - first) // width
    _, begin = np.unique(bucket, return_index=True)
    end = np.append(begin[1:], len(price))
    middle = first + bucket[begin] * width + width // 2
    return PricePath(
        np.minimum(middle - day_start_ns, DAY_NS) / _MINUTE_NS,
        np.minimum.reduceat(price, begin),
        np.maximum.reduceat(price, begin),
        price[end - 1],
    )
