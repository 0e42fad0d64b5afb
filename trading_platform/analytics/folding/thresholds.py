"""Find where tick, volume, dollar and imbalance bars end: the exact running total of trades reaches a threshold.

Totals are integers, never rounded: the trade that reaches the threshold to the last digit ends its bar. Which kinds
of bars there are, and frames in and out, is analytics/folding/bars_from_frames.py; what a bar holds is bars.py.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.folding import exact
from trading_platform.analytics.folding.bars import Trades
from trading_platform.analytics.folding.exact import Ints, Scaled
from trading_platform.domain.days import DAY_NS
from trading_platform.jit.kernel import kernel

_WORD = 50
_UNREACHED = 1 << 2 * _WORD + 40
"""More than `exact.MOST` trades of the greatest product come to."""


class Cut(NamedTuple):
    """The bar of each trade, ascending, and whether each bar reached the threshold."""

    bins: Ints
    finished: npt.NDArray[np.bool_]


def cut(trades: Trades, threshold: Decimal, unit: str, *, signed: bool) -> Cut:
    """Cut trades into bars.

    Parameters
    ----------
    threshold : above 0; a bar ends with the trade that brings its total there, or with the day.
    unit : what is counted: ``t`` trades, ``v`` base volume, ``d`` quote volume.
    signed : whether sells count against buys (and unknown sides not at all).
    """
    days = trades.ts_event // DAY_NS
    bins, finished = np.empty(len(trades), dtype=np.int64), np.zeros(len(trades), dtype=np.int64)
    signs = trades.side.astype(np.int64) if signed else np.ones(len(trades), dtype=np.int64)
    each = Scaled(np.ones(len(trades), dtype=np.int64), 0)
    price = trades.scaled_price if unit == "d" else each
    quantity = trades.scaled_quantity if unit in {"v", "d"} else each
    if price is None or quantity is None:
        weights, scale = _big(trades, unit)
        added = [weight * sign for weight, sign in zip(weights, signs.tolist(), strict=True)]
        count = cut_bars.function(added, days, _ceiling(threshold, scale), bins, finished)
    else:
        limit = _ceiling(threshold, price.scale + quantity.scale)
        # A total stays below the threshold until the trade that ends its bar.
        if limit + _greatest(price.numbers) * _greatest(quantity.numbers) < 1 << 63:
            count = cut_bars(price.numbers * quantity.numbers * signs, days, limit, bins, finished)
        else:
            limit = min(limit, _UNREACHED)
            signed_quantity = quantity.numbers * signs
            count = cut_wide(price.numbers, signed_quantity, days, _words(limit), _words(-limit), bins, finished)
    return Cut(bins, finished[: int(count)] > 0)


def _big(trades: Trades, unit: str) -> tuple[list[int], int]:
    """Return what each trade adds as Python integers: for numbers of more than 15 digits."""
    quantities, scale = exact.to_big_integers(trades.quantity)
    if unit == "v":
        return quantities, scale
    prices, price_scale = exact.to_big_integers(trades.price)
    return [p * q for p, q in zip(prices, quantities, strict=True)], scale + price_scale


def _ceiling(number: Decimal, scale: int) -> int:
    """Return the least integer that is not below the threshold, which may be finer than the trades."""
    up, down = number.as_integer_ratio()
    return -(-up * 10**scale // down)


def _greatest(numbers: Ints) -> int:
    return max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))


def _words(number: int) -> Ints:
    """Return an integer as three words of 50 bits, the highest one with the sign."""
    low = (1 << _WORD) - 1
    return np.array([number >> 2 * _WORD, number >> _WORD & low, number & low], dtype=np.int64)


@kernel("i8(const i8[::1], const i8[::1], i8, i8[::1], i8[::1])")
def cut_bars(weights: Any, days: Ints, threshold: int, bins: Ints, finished: Ints) -> int:
    """Give each trade its bar; a bar ends with the trade that brings its total to the threshold, or with the day."""
    bar = -1
    total = 0
    closed = True
    for i in range(len(bins)):
        if closed or days[i] != days[i - 1]:
            bar += 1
            total = 0
            closed = False
        total += weights[i]
        bins[i] = bar
        if abs(total) >= threshold:
            finished[bar] = 1
            closed = True
    return bar + 1


@kernel("i8(const i8[::1], const i8[::1], const i8[::1], const i8[::1], const i8[::1], i8[::1], i8[::1])")
def cut_wide(p: Ints, q: Ints, days: Ints, ceiling: Ints, floor: Ints, bins: Ints, finished: Ints) -> int:
    """Do what `cut_bars` does with products of numbers up to `exact.GREATEST`.

    The total is three words of 50 bits, carried at each trade. ceiling, floor: the threshold and its negative, so.
    """
    mask = 33554431
    word = 1125899906842623
    bar = -1
    high = middle = low = 0
    closed = True
    for i in range(len(bins)):
        if closed or days[i] != days[i - 1]:
            bar += 1
            high = middle = low = 0
            closed = False
        p1, p0 = p[i] >> 25, p[i] & mask
        q1, q0 = q[i] >> 25, q[i] & mask
        cross = p1 * q0 + p0 * q1
        low += p0 * q0 + ((cross & mask) << 25)
        middle += p1 * q1 + (cross >> 25) + (low >> 50)
        low &= word
        high += middle >> 50
        middle &= word
        bins[i] = bar
        above = high > ceiling[0]
        below = high < floor[0]
        if high == ceiling[0]:
            above = middle > ceiling[1] or (middle == ceiling[1] and low >= ceiling[2])
        if high == floor[0]:
            below = middle < floor[1] or (middle == floor[1] and low <= floor[2])
        if above or below:
            finished[bar] = 1
            closed = True
    return bar + 1
