"""Building blocks that indicators compose: compensated sums, exponential means, rolling sum and deviation.

Every block advances by one value. Its words lie in `state` from `at` on (literal numbers: the compiler keeps them in
registers), its window in `window` from `place` on. All are zeros before the first value, never NaN, and counters stop
at what they guard: so a state is comparable bit by bit, and two histories that agree long enough reach the same one.
Windows of other kinds are windows.py. Indicators meet only in these two.
"""

from __future__ import annotations

from math import isnan, log, nan
from typing import Any

from trading_platform.jit.kernel import block
from trading_platform.jit.native import fused

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
    """Return the rounded product and its rounding error, which is exact for products above 1e-275."""
    product = a * b
    return product, fused(a, b, -product)


@block()
def divide_pair(high: float, low: float, divisor: float) -> float:
    """Return (high + low) / divisor to the last bit but for freak ties.

    Multiplied by the reciprocal and mended by what is left over (Markstein): of a constant divisor, such as a period,
    the compiler divides once for all rows.
    """
    total, rest = add_exact(high, low)
    inverse = 1.0 / divisor
    quotient = total * inverse
    return quotient + (fused(-quotient, divisor, total) + rest) * inverse


@block()
def divide_pairs(high: float, low: float, below_high: float, below_low: float) -> float:
    """Return (high + low) / (below_high + below_low) to about the last bit."""
    quotient = (high + low) / (below_high + below_low)
    return quotient + (fused(-quotient, below_high, high) + (low - quotient * below_low)) / below_high


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
    mean = fused(alpha, x - mean, mean)
    state[at + 1] = mean
    return mean


PREVIOUS_WORDS = 2


@block()
def true_range_step(state: State, at: int, high: float, low: float, close: float) -> float:
    """Advance max(high, previous close) - min(low, previous close); NaN at the first bar. Words: seen, close."""
    previous = state[at + 1]
    state[at + 1] = close
    if state[at] == 0.0:
        state[at] = 1.0
        return nan
    return max(high, previous) - min(low, previous)


@block()
def change_step(state: State, at: int, x: float) -> float:
    """Advance the change since the last value; NaN at the first. Words: seen, value."""
    previous = state[at + 1]
    state[at + 1] = x
    if state[at] == 0.0:
        state[at] = 1.0
        return nan
    return x - previous


RSI_WORDS = PREVIOUS_WORDS + 2 * EMA_SIZE


@block()
def rsi_step(state: State, at: int, period: float, alpha: float, x: float) -> float:
    """Advance Wilder's relative strength, 0 to 100; 0 where nothing has moved, NaN for the first `period` values."""
    change = change_step(state, at, x)
    if isnan(change):
        return nan
    gain = ema_step(state, at + 2, period, alpha, max(change, 0.0))
    loss = ema_step(state, at + 5, period, alpha, max(-change, 0.0))
    moved = gain + loss
    return 100.0 * (gain / moved) if moved != 0.0 else 0.0


@block()
def money_flow(high: float, low: float, close: float, volume: float) -> float:
    """Return Chaikin's money flow: volume times where in its range the bar closes, -1 to 1; 0 without a range."""
    spread = high - low
    return ((close - low) - (high - close)) / spread * volume if spread > 0.0 else 0.0


DIRECTION_WORDS = 7


@block()
def direction_step(
    state: State, at: int, period: float, high: float, low: float, close: float
) -> tuple[float, float, float]:
    """Advance Wilder's sums of +DM, -DM and true range; NaN for the first `period` bars.

    Summed over period - 1 bars, then sum - sum / period + new, as TA-Lib does. Words: bars, high, low, close, sums.
    """
    up = high - state[at + 1]
    down = state[at + 2] - low
    previous = state[at + 3]
    state[at + 1] = high
    state[at + 2] = low
    state[at + 3] = close
    bars = state[at]
    if bars <= period:
        state[at] += 1.0
    if bars == 0.0:
        return nan, nan, nan
    plus = up if up > 0.0 and up > down else 0.0
    minus = down if down > 0.0 and down > up else 0.0
    true_range = max(high, previous) - min(low, previous)
    kept = 1.0 if bars < period else 1.0 - 1.0 / period
    state[at + 4] = fused(state[at + 4], kept, plus)
    state[at + 5] = fused(state[at + 5], kept, minus)
    state[at + 6] = fused(state[at + 6], kept, true_range)
    if bars < period:
        return nan, nan, nan
    return state[at + 4], state[at + 5], state[at + 6]


@block()
def log_ratio(above: float, below: float) -> float:
    """Return ln(above / below), 0 where one of them is not above 0."""
    return log(above / below) if above > 0.0 and below > 0.0 else 0.0


@block()
def log_return_step(state: State, at: int, x: float) -> float:
    """Advance the log return since the last value; NaN at the first. Words: seen, value."""
    previous = state[at + 1]
    state[at + 1] = x
    if state[at] == 0.0:
        state[at] = 1.0
        return nan
    return log_ratio(x, previous)


@block()
def vwap_step(state: State, at: int, high: float, low: float, close: float, volume: float) -> float:
    """Advance the mean of (high + low + close) / 3 weighted by volume. Words: turnover and volume, two each."""
    typical = (high + low + close) / 3.0
    product, product_error = multiply_exact(typical, volume)
    turnover, error = add_exact(state[at], product)
    state[at] = turnover
    state[at + 1] += error + product_error
    total, error = add_exact(state[at + 2], volume)
    state[at + 2] = total
    state[at + 3] += error
    if total == 0.0:
        return typical
    return divide_pairs(turnover, state[at + 1], total, state[at + 3])
