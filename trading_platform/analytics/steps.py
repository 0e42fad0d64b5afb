"""Building blocks that indicators compose: compensated sums, exponential means, rolling sum and deviation.

Every block advances by one value. Its words lie in `state` from `at` on (literal numbers: the compiler keeps them in
registers), its window in `window` from `place` on. All are zeros before the first value, never NaN, and counters stop
at what they guard: so a state is comparable bit by bit, and two histories that agree long enough reach the same one.
Windows of other kinds are windows.py. Indicators meet only in these two.
"""

from __future__ import annotations

from math import nan
from typing import Any

from trading_platform.jit.kernel import block

State = Any
"""Words, or a window: float64 arrays that begin as zeros."""

EMA_SIZE = 3


@block()
def add_exact(total: float, x: float) -> tuple[float, float]:
    """Return the rounded sum and its rounding error (Knuth's two-sum)."""
    rounded = total + x
    part = rounded - total
    return rounded, (total - (rounded - part)) + (x - part)


@block()
def multiply_exact(a: float, b: float) -> tuple[float, float]:
    """Return the rounded product and its rounding error (Dekker).

    The error is exact for magnitudes below 1e150 whose product is above 1e-275: what it is made of is above 1e-307.
    """
    product = a * b
    t = 134217729.0 * a
    a1 = t - (t - a)
    a0 = a - a1
    t = 134217729.0 * b
    b1 = t - (t - b)
    b0 = b - b1
    return product, ((a1 * b1 - product) + a1 * b0 + a0 * b1) + a0 * b0


@block()
def divide_pair(high: float, low: float, divisor: float) -> float:
    """Return (high + low) / divisor to the last bit but for freak ties."""
    total, rest = add_exact(high, low)
    quotient = total / divisor
    product, error = multiply_exact(quotient, divisor)
    return quotient + (((total - product) - error) + rest) / divisor


@block()
def divide_pairs(high: float, low: float, below_high: float, below_low: float) -> float:
    """Return (high + low) / (below_high + below_low) to about the last bit."""
    quotient = (high + low) / (below_high + below_low)
    product, error = multiply_exact(quotient, below_high)
    return quotient + (((high - product) - error) + (low - quotient * below_low)) / below_high


@block()
def seed_mean(state: State, at: int, period: float, x: float) -> float:
    """Gather the mean of the first `period` values: NaN until it is there, then left in state[at + 1]."""
    total, error = add_exact(state[at + 1], x)
    state[at] += 1.0
    state[at + 1] = total
    state[at + 2] += error
    if state[at] < period:
        return nan
    mean = divide_pair(total, state[at + 2], period)
    state[at + 1] = mean
    state[at + 2] = 0.0
    return mean


@block()
def ema_step(state: State, at: int, period: float, alpha: float, x: float) -> float:
    """Advance an exponential mean seeded by the simple mean of its first `period` values; NaN until then.

    Wilder's mean is this with alpha = 1 / period, the usual EMA with alpha = 2 / (period + 1).
    """
    if state[at] < period:
        return seed_mean(state, at, period, x)
    if period == 1.0:
        return x
    mean = state[at + 1]
    # This form, not alpha·x + (1-alpha)·mean: a constant input stays constant to the bit.
    mean += alpha * (x - mean)
    state[at + 1] = mean
    return mean


# A rolling sum never subtracts: subtraction leaves behind the rounding of values long gone. The window is the tail
# of an old block, whose suffix sums are known, and the values since, whose sum is kept. When the new block is full
# it becomes the old one. Words: held, fresh, high, low. Window: values[n], suffix high[n+1], suffix low[n+1].
ROLLING_WORDS = 4


def rolling_size(period: int) -> int:
    """Return the window that a rolling sum over `period` values needs."""
    return 3 * period + 2


@block()
def reverse(window: State, i: int, j: int) -> None:
    """Reverse window[i:j] in place."""
    j -= 1
    while i < j:
        x = window[i]
        window[i] = window[j]
        window[j] = x
        i += 1
        j -= 1


@block()
def rotate(window: State, begin: int, by: int, count: int) -> None:
    """Rotate `count` numbers left, in three reversals: no second array."""
    if not 0 < by < count:
        return
    reverse(window, begin, begin + by)
    reverse(window, begin + by, begin + count)
    reverse(window, begin, begin + count)


@block()
def rolling_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Make the window's values, oldest first, the old block. Changes what is stored, not what it means."""
    high = place + period
    low = high + period + 1
    rotate(window, place, int(state[at + 1]), period)
    total = 0.0
    rest = 0.0
    for k in range(period - 1, -1, -1):
        total, error = add_exact(total, window[place + k])
        rest += error
        window[high + k] = total
        window[low + k] = rest
    state[at + 1] = 0.0
    state[at + 2] = 0.0
    state[at + 3] = 0.0


@block()
def rolling_step(state: State, at: int, window: State, place: int, period: int, x: float) -> tuple[float, float]:
    """Advance a rolling sum; return it in two words, NaN until `period` values are held."""
    high = place + period
    low = high + period + 1
    fresh = int(state[at + 1])
    window[place + fresh] = x
    total, error = add_exact(state[at + 2], x)
    rest = state[at + 3] + error
    fresh += 1
    if state[at] < period:
        state[at] += 1.0
    whole, error = add_exact(total, window[high + fresh])
    remainder = rest + (error + window[low + fresh])
    state[at + 1] = fresh
    state[at + 2] = total
    state[at + 3] = rest
    if fresh == period:
        rolling_day_boundary(state, at, window, place, period)
    if state[at] < period:
        return nan, nan
    return whole, remainder


# The same with the sum of squared deviations beside it, merged as Chan, Golub and LeVeque do: a sum of squares minus
# a square of sums loses all its digits where prices are large and move little.
# Words: held, fresh, high, low, squares. Window: values[n], suffix high[n+1], suffix low[n+1], suffix squares[n+1].
DEVIATION_WORDS = 5


def deviation_size(period: int) -> int:
    """Return the window that a rolling deviation over `period` values needs."""
    return 4 * period + 3


@block()
def excess(count: float, x: float, high: float, low: float) -> float:
    """Return count·x - (high + low), nearly exactly."""
    product, error = multiply_exact(count, x)
    return (product - high) + (error - low)


@block()
def deviation_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Make the window's values the old block, as `rolling_day_boundary` does."""
    high = place + period
    low = high + period + 1
    squares = low + period + 1
    rotate(window, place, int(state[at + 1]), period)
    total = 0.0
    rest = 0.0
    spread = 0.0
    for k in range(period - 1, -1, -1):
        x = window[place + k]
        held = float(period - 1 - k)
        if held > 0.0:
            away = excess(held, x, total, rest)
            spread += away * away / (held * (held + 1.0))
        total, error = add_exact(total, x)
        rest += error
        window[high + k] = total
        window[low + k] = rest
        window[squares + k] = spread
    state[at + 1] = 0.0
    state[at + 2] = 0.0
    state[at + 3] = 0.0
    state[at + 4] = 0.0


@block()
def deviation_step(state: State, at: int, window: State, place: int, period: int, x: float) -> tuple[float, float]:
    """Advance a rolling mean and population variance; NaN until `period` values are held."""
    high = place + period
    low = high + period + 1
    squares = low + period + 1
    new = state[at + 1]
    fresh = int(new)
    window[place + fresh] = x
    total = state[at + 2]
    rest = state[at + 3]
    spread = state[at + 4]
    if new > 0.0:
        away = excess(new, x, total, rest)
        spread += away * away / (new * (new + 1.0))
    total, error = add_exact(total, x)
    rest += error
    fresh += 1
    new += 1.0
    if state[at] < period:
        state[at] += 1.0
    whole = total
    remainder = rest
    around = spread
    old = period - new
    if old > 0.0:
        other = window[high + fresh]
        other_rest = window[low + fresh]
        left, left_error = multiply_exact(old, total)
        right, right_error = multiply_exact(new, other)
        away = ((left - right) + (left_error - right_error)) + (old * rest - new * other_rest)
        around += window[squares + fresh] + away * away / (old * new * period)
        whole, error = add_exact(total, other)
        remainder = rest + (error + other_rest)
    state[at + 1] = new
    state[at + 2] = total
    state[at + 3] = rest
    state[at + 4] = spread
    if fresh == period:
        deviation_day_boundary(state, at, window, place, period)
    if state[at] < period:
        return nan, nan
    return divide_pair(whole, remainder, float(period)), around / period
