"""Fold trades into bars: time bars of one day, and bars by ticks, volume, dollars or imbalance.

Sums are exact decimal sums rounded once (exact.py). Which bars are complete, and which intervals without a trade need a
row, only the ledger knows: that is pipeline/. Frames in and out are bars_from_frames.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.folding import exact
from trading_platform.analytics.folding.exact import Floats, Ints, Wide
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError
from trading_platform.domain.timeframe import TAKER
from trading_platform.domain.trades.sides import BUY, UNKNOWN
from trading_platform.jit.kernel import kernel

Sides = npt.NDArray[np.int8]

_SUMS = 13
"""Words of a bar's totals, see `fold_trades`."""


class BarColumns(NamedTuple):
    """Bars as columns, ascending by time; only intervals with trades."""

    ts_open: Ints
    ts_close: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    quote_volume: Floats
    taker_buy_volume: Floats
    taker_buy_quote_volume: Floats
    trade_count: Ints
    vwap: Floats


class Folded(NamedTuple):
    """Bars by position: the rows of the first and last trade, and the columns that need no clock."""

    bins: Ints
    first: Ints
    last: Ints
    columns: dict[str, npt.NDArray[np.generic]]


class Trades:
    """Trades in (epoch, trade_id) order with their exact integers, computed once for any number of folds.

    Parameters
    ----------
    ts_event : ns; may run backwards, the order of the rows decides what is open and close.
    price, quantity : float64, the nearest to the venue's decimals.
    side_code : BUY, SELL or UNKNOWN.

    Raises
    ------
    UsageError : if a price or quantity is not finite, the lengths differ, or there are more than `exact.MOST`.
    """

    def __init__(
        self, ts_event: npt.ArrayLike, price: npt.ArrayLike, quantity: npt.ArrayLike, side_code: npt.ArrayLike
    ) -> None:
        exact.refuse_too_many(len(ts_event))  # type: ignore[arg-type]
        self.ts_event = np.ascontiguousarray(ts_event, dtype=np.int64)
        self.price = np.ascontiguousarray(price, dtype=np.float64)
        self.quantity = np.ascontiguousarray(quantity, dtype=np.float64)
        self.side = np.ascontiguousarray(side_code, dtype=np.int8)
        if len({len(self.ts_event), len(self.price), len(self.quantity), len(self.side)}) != 1:
            raise UsageError("ts_event, price, quantity and side differ in length")
        self.scaled_price = exact.to_scaled(self.price)
        self.scaled_quantity = exact.to_scaled(self.quantity)

    def __len__(self) -> int:
        return len(self.ts_event)

    def fold(self, bins: Ints, count: int) -> Folded:
        """Fold the trades into `count` bars, trade i into bar `bins[i]` (negative: into none)."""
        first = np.full(count, -1, dtype=np.int64)
        last = np.full(count, -1, dtype=np.int64)
        high, low = np.empty(count), np.empty(count)
        totals = np.zeros(count * _SUMS, dtype=np.int64)
        price, quantity = self.scaled_price, self.scaled_quantity
        exactly = price is not None and quantity is not None
        unit = np.zeros(len(self), dtype=np.int64)
        fold_trades(
            bins, self.price, price.numbers if price and exactly else unit,
            quantity.numbers if quantity and exactly else unit, self.side, first, last, high, low, totals,
        )  # fmt: skip
        held = np.flatnonzero(first >= 0)
        sums = totals.reshape(count, _SUMS)[held]
        columns: dict[str, npt.NDArray[np.generic]] = {
            "open": self.price[first[held]],
            "high": high[held],
            "low": low[held],
            "close": self.price[last[held]],
        }
        if price is not None and quantity is not None:
            columns |= _sums(sums, price.scale, quantity.scale)
        else:
            columns |= self._big_sums(bins, held, count)
        columns["trade_count"] = sums[:, 12]
        doubtful = self._doubtful(bins, count)[held]
        for name in TAKER if doubtful.any() else ():
            columns[name] = np.where(doubtful, np.nan, columns[name])
        return Folded(held, first[held], last[held], columns)

    def _doubtful(self, bins: Ints, count: int) -> npt.NDArray[np.bool_]:
        """Tell which bars hold a trade of which nobody knows the taker: what the buyers took there is unknown."""
        doubtful = np.zeros(count, dtype=np.bool_)
        at = bins[self.side == UNKNOWN]
        doubtful[at[at >= 0]] = True
        return doubtful

    def _big_sums(self, bins: Ints, held: Ints, count: int) -> dict[str, npt.NDArray[np.generic]]:
        """Sum with Python integers: for numbers of more than 15 digits, each or at their common scale."""
        prices, price_scale = exact.to_big_integers(self.price)
        quantities, quantity_scale = exact.to_big_integers(self.quantity)
        totals = [[0, 0, 0, 0] for _ in range(count)]
        for bar, price, quantity, side in zip(bins.tolist(), prices, quantities, self.side.tolist(), strict=True):
            if bar < 0:
                continue
            total, product = totals[bar], price * quantity
            total[0] += quantity
            total[1] += product
            if side == BUY:
                total[2] += quantity
                total[3] += product
        volume, quote, buy, buy_quote = ([totals[bar][i] for bar in held.tolist()] for i in range(4))
        one, both = 10**quantity_scale, 10 ** (price_scale + quantity_scale)
        return {
            "volume": exact.big_quotients(volume, [one] * len(volume)),
            "quote_volume": exact.big_quotients(quote, [both] * len(quote)),
            "taker_buy_volume": exact.big_quotients(buy, [one] * len(buy)),
            "taker_buy_quote_volume": exact.big_quotients(buy_quote, [both] * len(buy_quote)),
            "vwap": exact.big_quotients(quote, [number * 10**price_scale for number in volume]),
        }


def fold_day(
    ts_event: npt.ArrayLike,
    price: npt.ArrayLike,
    quantity: npt.ArrayLike,
    side_code: npt.ArrayLike,
    *,
    day_start_ns: int,
    timeframe_ns: int,
) -> BarColumns:
    """Fold one day's trades, given in (epoch, trade_id) order, into time bars.

    Parameters
    ----------
    ts_event, price, quantity, side_code : one entry a trade; see `Trades`.
    day_start_ns : 00:00 UTC of the day.
    timeframe_ns : width of a bar; divides the day.

    Returns
    -------
    BarColumns : only intervals with trades.

    Raises
    ------
    UsageError : if a trade lies on another day, or a number is not finite.

    Examples
    --------
    >>> bars = fold_day([0, 10, 70_000_000_000], [2.0, 3.0, 5.0], [0.1, 0.2, 1.0], [1, -1, 1],
    ...                 day_start_ns=0, timeframe_ns=60_000_000_000)
    >>> bars.volume.tolist(), bars.vwap.tolist(), bars.trade_count.tolist()
    ([0.3, 1.0], [2.6666666666666665, 5.0], [2, 1])
    """
    trades = Trades(ts_event, price, quantity, side_code)
    return fold_timeframe(trades, day_start_ns=day_start_ns, timeframe_ns=timeframe_ns)


def fold_timeframe(trades: Trades, *, day_start_ns: int, timeframe_ns: int) -> BarColumns:
    """Fold one day's prepared trades into time bars: `fold_day` for several timeframes of the same trades."""
    offset = trades.ts_event - day_start_ns
    if len(offset) and (int(offset.min()) < 0 or int(offset.max()) >= DAY_NS):
        raise UsageError("a trade lies on another day than the one folded")
    bins = offset // timeframe_ns
    # Only the intervals from the first trade's to the last one's: part of a day costs part of the memory.
    first = int(bins.min()) if len(bins) else 0
    folded = trades.fold(bins - first, int(bins.max()) - first + 1 if len(bins) else 0)
    ts_open = day_start_ns + (folded.bins + first) * timeframe_ns
    return BarColumns(ts_open=ts_open, ts_close=ts_open + timeframe_ns, **folded.columns)  # type: ignore[arg-type]


@kernel(
    "void(const i8[::1], const f8[::1], const i8[::1], const i8[::1], const i1[::1],"
    " i8[::1], i8[::1], f8[::1], f8[::1], i8[::1])"
)
def fold_trades(  # noqa: PLR0913  one argument a column
    bins: Ints, price: Floats, p: Ints, q: Ints, side: Sides, first: Ints, last: Ints,
    high: Floats, low: Floats, totals: Ints,
) -> None:  # fmt: skip
    """Add every trade to its bar. `totals` holds 13 words a bar: volume 2, taker buy 2, quote 4, taker quote 4, count.

    Limbs are 25 bits of numbers below 2^50, so a product's limbs stay below 2^51: carried every 2,048 trades of a
    bar, no word overflows; the highest word has room for `exact.MOST` trades, and so have the two of a volume.
    """
    mask = 33554431
    for i in range(bins.shape[0]):
        bar = bins[i]
        if bar < 0:
            continue
        x = price[i]
        if first[bar] < 0:
            first[bar] = i
            high[bar] = x
            low[bar] = x
        elif x > high[bar]:
            high[bar] = x
        elif x < low[bar]:
            low[bar] = x
        last[bar] = i
        at = bar * _SUMS
        p1, p0 = p[i] >> 25, p[i] & mask
        q1, q0 = q[i] >> 25, q[i] & mask
        top, middle, bottom = p1 * q1, p1 * q0 + p0 * q1, p0 * q0
        totals[at] += q1
        totals[at + 1] += q0
        totals[at + 5] += top
        totals[at + 6] += middle
        totals[at + 7] += bottom
        if side[i] > 0:
            totals[at + 2] += q1
            totals[at + 3] += q0
            totals[at + 9] += top
            totals[at + 10] += middle
            totals[at + 11] += bottom
        totals[at + 12] += 1
        if totals[at + 12] & 2047 == 0:
            for sum_at in (at + 4, at + 8):
                for limb in (sum_at + 3, sum_at + 2, sum_at + 1):
                    totals[limb - 1] += totals[limb] >> 25
                    totals[limb] &= mask


def _sums(sums: Ints, price_scale: int, quantity_scale: int) -> dict[str, npt.NDArray[np.generic]]:
    """Round the exact totals once each."""
    volume = Wide.of(0, 0, sums[:, 0], sums[:, 1])
    buy = Wide.of(0, 0, sums[:, 2], sums[:, 3])
    quote = Wide.of(sums[:, 4], sums[:, 5], sums[:, 6], sums[:, 7])
    buy_quote = Wide.of(sums[:, 8], sums[:, 9], sums[:, 10], sums[:, 11])
    both = price_scale + quantity_scale
    return {
        "volume": exact.over_power_of_ten(volume, quantity_scale),
        "quote_volume": exact.over_power_of_ten(quote, both),
        "taker_buy_volume": exact.over_power_of_ten(buy, quantity_scale),
        "taker_buy_quote_volume": exact.over_power_of_ten(buy_quote, both),
        "vwap": exact.ratio(quote, volume, price_scale),
    }
