"""Windows that indicators compose: rolling sum, weighted sum, deviation, extremum, and the ring of the last values.

Words lie in `state` from `at` on, values in `window` from `place` on, as in steps.py. A rolling block answers in the
same time for any period and never subtracts; what needs all values of its window reads them from a ring. Each has a
day's boundary, which rewrites it into the form that depends only on the values held.
"""

from __future__ import annotations

from math import isnan, nan

from trading_platform.analytics.steps import State, add_exact, divide_pair, multiply_exact
from trading_platform.jit.kernel import block

# A rolling sum never subtracts: subtraction leaves behind the rounding of values long gone. The window is the tail
# of an old block, whose suffix sums are known, and the values since, whose sum is kept. When the new block is full
# it becomes the old one. Words: held, fresh, high, low. Window: values[n], suffix high[n+1], suffix low[n+1].
ROLLING_WORDS = 4


@block()
def rolling_size(period: int) -> int:
    """Return the window that a rolling sum over `period` values needs."""
    return 3 * period + 2


@block(inline=False)
def reverse(window: State, i: int, j: int) -> None:
    """Reverse window[i:j] in place."""
    j -= 1
    while i < j:
        x = window[i]
        window[i] = window[j]
        window[j] = x
        i += 1
        j -= 1


@block(inline=False)
def rotate(window: State, begin: int, by: int, count: int) -> None:
    """Rotate `count` numbers left, in three reversals: no second array."""
    if not 0 < by < count:
        return
    reverse(window, begin, begin + by)
    reverse(window, begin + by, begin + count)
    reverse(window, begin, begin + count)


@block(inline=False)
def rolling_order(window: State, place: int, fresh: int, period: int) -> None:
    """Make the window's values, oldest first, the old block. Changes what is stored, not what it means."""
    high = place + period
    low = high + period + 1
    rotate(window, place, fresh, period)
    total = 0.0
    rest = 0.0
    for k in range(period - 1, -1, -1):
        total, error = add_exact(total, window[place + k])
        rest += error
        window[high + k] = total
        window[low + k] = rest


@block()
def rolling_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Reorder the window; the new block is empty then."""
    rolling_order(window, place, int(state[at + 1]), period)
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
    if state[at] < period:
        state[at] += 1.0
    whole, error = add_exact(total, window[high + fresh + 1])
    remainder = rest + (error + window[low + fresh + 1])
    # Counted as the float it is: a count that goes to an integer and back at each row costs 3 ns.
    state[at + 1] += 1.0
    state[at + 2] = total
    state[at + 3] = rest
    if state[at + 1] == period:
        rolling_day_boundary(state, at, window, place, period)
    if state[at] < period:
        return nan, nan
    return whole, remainder


# The same with the sum of squared deviations beside it, merged as Chan, Golub and LeVeque do: a sum of squares minus
# a square of sums loses all its digits where prices are large and move little.
# Words: held, fresh, high, low, squares. Window: values[n], suffix high[n+1], suffix low[n+1], suffix squares[n+1].
DEVIATION_WORDS = 5


@block()
def pair_day_boundary(state: State, window: State, period: int) -> None:
    """Reorder two rolling sums over `period` values, the second behind the first."""
    rolling_day_boundary(state, 0, window, 0, period)
    rolling_day_boundary(state, ROLLING_WORDS, window, rolling_size(period), period)


@block()
def ratio_step(state: State, window: State, period: int, above: float, below: float) -> float:
    """Advance two rolling sums and return the first by the second; 0 where that is 0, NaN until `period` are held."""
    high, low = rolling_step(state, 0, window, 0, period, above)
    total, rest = rolling_step(state, ROLLING_WORDS, window, rolling_size(period), period, below)
    if isnan(total):
        return nan
    return (high + low) / (total + rest) if total != 0.0 else 0.0


@block()
def deviation_size(period: int) -> int:
    """Return the window that a rolling deviation over `period` values needs."""
    return 4 * period + 3


@block()
def excess(count: float, x: float, high: float, low: float) -> float:
    """Return count·x - (high + low), nearly exactly."""
    product, error = multiply_exact(count, x)
    return (product - high) + (error - low)


@block(inline=False)
def deviation_order(window: State, place: int, fresh: int, period: int) -> None:
    """Make the window's values the old block, as `rolling_order` does."""
    high = place + period
    low = high + period + 1
    squares = low + period + 1
    rotate(window, place, fresh, period)
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


@block()
def deviation_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Reorder the window; the new block is empty then."""
    deviation_order(window, place, int(state[at + 1]), period)
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
    if new == period:
        deviation_day_boundary(state, at, window, place, period)
    if state[at] < period:
        return nan, nan
    return divide_pair(whole, remainder, float(period)), around / period


# The sum of k·x with k from 1 (oldest) to `period` (newest). The old block's weights begin at 1 wherever it is cut:
# putting a value before it adds the sum of all to its weighted sum. The new values' weights are shifted by the old
# block's length. Words: held, fresh, sum (2), weighted sum (2). Window: values[n], suffix sums and weighted sums in two
# words each [n+1].
WEIGHTED_WORDS = 6


@block()
def weighted_size(period: int) -> int:
    """Return the window that a weighted sum over `period` values needs."""
    return 5 * period + 4


@block(inline=False)
def weighted_order(window: State, place: int, fresh: int, period: int) -> None:
    """Make the window's values the old block, as `rolling_order` does."""
    sums = place + period
    weighted = sums + 2 * (period + 1)
    rotate(window, place, fresh, period)
    total = 0.0
    rest = 0.0
    heavy = 0.0
    heavy_rest = 0.0
    for k in range(period - 1, -1, -1):
        total, error = add_exact(total, window[place + k])
        rest += error
        heavy, error = add_exact(heavy, total)
        heavy_rest += error + rest
        window[sums + 2 * k] = total
        window[sums + 2 * k + 1] = rest
        window[weighted + 2 * k] = heavy
        window[weighted + 2 * k + 1] = heavy_rest


@block()
def weighted_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Reorder the window; the new block is empty then."""
    weighted_order(window, place, int(state[at + 1]), period)
    for k in range(1, 6):
        state[at + k] = 0.0


@block()
def weighted_step(state: State, at: int, window: State, place: int, period: int, x: float) -> tuple[float, float]:
    """Advance the weighted sum; return it in two words, NaN until `period` values are held."""
    weighted = place + period + 2 * (period + 1)
    fresh = int(state[at + 1])
    window[place + fresh] = x
    fresh += 1
    state[at + 1] += 1.0
    total, error = add_exact(state[at + 2], x)
    rest = state[at + 3] + error
    product, product_error = multiply_exact(state[at + 1], x)
    heavy, error = add_exact(state[at + 4], product)
    heavy_rest = state[at + 5] + (error + product_error)
    if state[at] < period:
        state[at] += 1.0
    shift = period - state[at + 1]
    product, product_error = multiply_exact(shift, total)
    whole, error = add_exact(heavy, product)
    remainder = heavy_rest + (error + product_error + shift * rest)
    whole, error = add_exact(whole, window[weighted + 2 * fresh])
    remainder += error + window[weighted + 2 * fresh + 1]
    state[at + 2] = total
    state[at + 3] = rest
    state[at + 4] = heavy
    state[at + 5] = heavy_rest
    if state[at + 1] == period:
        weighted_day_boundary(state, at, window, place, period)
    if state[at] < period:
        return nan, nan
    return whole, remainder


@block()
def weighted_mean(state: State, at: int, window: State, place: int, period: int, x: float) -> float:
    """Advance a mean with the weights 1 … period; NaN until `period` values are held."""
    total, rest = weighted_step(state, at, window, place, period, x)
    return divide_pair(total, rest, 0.5 * period * (period + 1.0))


@block()
def rolling_mean(state: State, at: int, window: State, place: int, period: int, x: float) -> float:
    """Advance a simple mean; NaN until `period` values are held."""
    total, rest = rolling_step(state, at, window, place, period, x)
    return divide_pair(total, rest, float(period))


# The greatest value: of the old block the maxima of its tails are known. Words: held, fresh, greatest of the new
# values. Window: values[n], maxima of the tails[n+1].
HIGHEST_WORDS = 3


@block()
def highest_size(period: int) -> int:
    """Return the window that an extremum over `period` values needs."""
    return 2 * period + 1


@block(inline=False)
def highest_order(window: State, place: int, fresh: int, period: int) -> None:
    """Make the window's values the old block, as `rolling_order` does."""
    rotate(window, place, fresh, period)
    tails = place + period
    best = window[tails - 1]
    for k in range(period - 1, -1, -1):
        best = max(best, window[place + k])
        window[tails + k] = best


@block()
def highest_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Reorder the window; the new block is empty then."""
    highest_order(window, place, int(state[at + 1]), period)
    state[at + 1] = 0.0
    state[at + 2] = 0.0


@block()
def highest_step(state: State, at: int, window: State, place: int, period: int, x: float) -> float:
    """Advance the greatest of the last `period` values; NaN until so many are held."""
    fresh = int(state[at + 1])
    window[place + fresh] = x
    best = x if fresh == 0 else max(x, state[at + 2])
    state[at + 1] += 1.0
    state[at + 2] = best
    if state[at] < period:
        state[at] += 1.0
    if state[at + 1] == period:
        highest_day_boundary(state, at, window, place, period)
    else:
        best = max(best, window[place + period + fresh + 1])
    return best if state[at] >= period else nan


@block()
def lowest_step(state: State, at: int, window: State, place: int, period: int, x: float) -> float:
    """Advance the least of the last `period` values: the block of the greatest, of -x."""
    best = -highest_step(state, at, window, place, period, -x)
    return nan if isnan(best) else best  # not minus NaN: a stream has but one


# The last values, each written twice so that they lie in a row: window[first : first + period], oldest first. While
# fewer are held the first ones are zeros. Words: held, next.
RING_WORDS = 2


@block()
def ring_size(period: int) -> int:
    """Return the window that a ring of `period` values needs."""
    return 2 * period


@block()
def ring_push(state: State, at: int, window: State, place: int, period: int, x: float) -> int:
    """Put a value into the ring; return where its oldest value is."""
    slot = int(state[at + 1])
    window[place + slot] = x
    window[place + slot + period] = x
    state[at + 1] = state[at + 1] + 1.0 if slot + 1 < period else 0.0
    if state[at] < period:
        state[at] += 1.0
    return place + (slot + 1 if slot + 1 < period else 0)


@block(inline=False)
def ring_order(window: State, place: int, fresh: int, period: int) -> None:
    """Let the ring begin with its oldest value."""
    rotate(window, place, fresh, period)
    for k in range(period):
        window[place + period + k] = window[place + k]


@block()
def ring_day_boundary(state: State, at: int, window: State, place: int, period: int) -> None:
    """Reorder the ring; the next value goes to its begin."""
    ring_order(window, place, int(state[at + 1]), period)
    state[at + 1] = 0.0


@block()
def ring_mean(state: State, at: int, window: State, place: int, period: int, x: float) -> float:
    """Advance the mean of a short window, which is summed again at each bar; NaN until `period` values are held.

    Words: RING_WORDS.

    For the two or three values of a smoothing that is half of the work of `rolling_mean`, and the same values give the
    same bits wherever they stand; for many it is slow.
    """
    first = ring_push(state, at, window, place, period, x)
    if state[at] < period:
        return nan
    total = window[first]
    for k in range(first + 1, first + period):
        total += window[k]
    return total / period
