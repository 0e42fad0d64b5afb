"""Exact sums of decimal prices and quantities, rounded only once at the end.

A float64 is the nearest neighbour of a decimal of up to 15 digits, so the decimal can be had back: as an integer
at a power of ten. Integers add and multiply without error; products need more than 64 bits, and their sums more than
100: they are kept in limbs of 25 bits below one whole word, enough for `MOST` of the greatest. Summing the float64
values themselves exactly is not enough: their own rounding adds up to another neighbour for a fifth of real
one-second bars. A column that has no common scale of 15 digits takes the slow road: Python's integers of any size.

Folding trades into bars with these is analytics/folding/bars.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.errors import UsageError
from trading_platform.jit.kernel import kernel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LIMB_BITS = 25
MAX_SCALE = 18
GREATEST = 10**15
"""No number of the fast road is greater: decimals of 15 digits, and all below 2^50, two limbs."""

MOST = (1 << 38) - 1
"""So many numbers add up without overflow, whatever they are: each brings less than 2^25 to the highest word."""

_POWERS = tuple(float(10**k) for k in range(23))
_EXACT_FLOAT = 1 << 53


class Scaled(NamedTuple):
    """Decimals as integers: value = number / 10**scale."""

    numbers: Ints
    scale: int


@kernel()
def _power_of_ten(scale: int) -> float:
    power = 1.0
    for _ in range(scale):
        power *= 10.0
    return power


@kernel("i8(const f8[::1], i8[::1])")
def scale_to_integers(values: Floats, out: Ints) -> int:
    """Fill `out` with the values as integers at the least common decimal scale; return it, -1 if there is none."""
    scale = 0
    power = 1.0
    for i in range(values.shape[0]):
        x = values[i]
        number = np.rint(x * power)
        while number / power != x:
            scale += 1
            if scale > MAX_SCALE:
                return -1
            power = _power_of_ten(scale)
            number = np.rint(x * power)
        if abs(number) > GREATEST:
            return -1
    for i in range(values.shape[0]):
        number = np.rint(values[i] * power)
        if abs(number) > GREATEST or number / power != values[i]:
            return -1
        out[i] = np.int64(number)
    return scale


def to_scaled(values: Floats) -> Scaled | None:
    """Return the values as integers at their least common scale, None if they are no decimals of 15 digits.

    Raises
    ------
    UsageError : if a value is not finite.

    Examples
    --------
    >>> to_scaled(np.array([0.1, 61837.63, 2.0]))
    Scaled(numbers=array([     10, 6183763,     200]), scale=2)
    >>> to_scaled(np.array([0.1 + 0.2])) is None
    True
    """
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UsageError(f"row {row} holds {values[row]}; sums need finite numbers")
    out = np.empty(len(values), dtype=np.int64)
    scale = int(scale_to_integers(np.ascontiguousarray(values, dtype=np.float64), out))
    return None if scale < 0 else Scaled(out, scale)


@kernel("i8(const f8[::1], i8[::1], i8[::1])")
def scale_each(values: Floats, numbers: Ints, scales: Ints) -> int:
    """Fill in every value as an integer at a scale of its own, -1 where there is none; return how often there is."""
    found = 0
    for i in range(values.shape[0]):
        x = values[i]
        scale = 0
        power = 1.0
        number = np.rint(x)
        while number / power != x and abs(number) <= GREATEST and scale < MAX_SCALE:
            scale += 1
            power *= 10.0
            number = np.rint(x * power)
        if number / power == x and abs(number) <= GREATEST:
            numbers[i] = np.int64(number)
            scales[i] = scale
            found += 1
        else:
            scales[i] = -1
    return found


def to_big_integers(values: Floats) -> tuple[list[int], int]:
    """Return any finite values as Python integers at a common scale, by their shortest decimal text.

    >>> to_big_integers(np.array([0.30000000000000004, 1e22]))
    ([30000000000000004, 1000000000000000000000000000000000000000], 17)
    """
    numbers, scales = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.int64)
    if scale_each(np.ascontiguousarray(values, dtype=np.float64), numbers, scales) < len(values):
        for row in np.flatnonzero(scales < 0).tolist():
            numbers[row], scales[row] = _of_text(repr(float(values[row])))
    scale = int(scales.max(initial=0))
    factors = {each: 10 ** (scale - each) for each in np.unique(scales).tolist()}
    pairs = zip(numbers.tolist(), scales.tolist(), strict=True)
    return [number * factors[each] for number, each in pairs], scale


def _of_text(text: str) -> tuple[int, int]:
    """Return a float's text as an integer, of at most 18 digits, and its scale."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    return int(whole + fraction), len(fraction) - int(exponent or 0)


class Wide(NamedTuple):
    """Integers wider than a word: value = top·2^75 + hi·2^50 + mid·2^25 + lo, the lower limbs within 25 bits.

    Attributes
    ----------
    small : the values as int64, right where `exact`.
    exact : where a value is one that float64 holds: -2^53 <= value < 2^53.
    """

    top: Ints
    hi: Ints
    mid: Ints
    lo: Ints
    small: Ints
    exact: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, top: Ints | int, hi: Ints | int, mid: Ints, lo: Ints) -> Wide:
        """Carry the limbs into their ranges."""
        mid = mid + (lo >> LIMB_BITS)
        high = hi + (mid >> LIMB_BITS)
        mid, lo = mid & _MASK, lo & _MASK
        top, hi = top + (high >> LIMB_BITS), high & _MASK
        whole = (top << LIMB_BITS) + hi  # wraps where top is far from 0
        exact = (top >= -1) & (top <= 0) & (whole >= -8) & (whole < 8)
        return cls(top, hi, mid, lo, (whole << 2 * LIMB_BITS) + (mid << LIMB_BITS) + lo, exact)

    def integers(self, at: Ints) -> list[int]:
        """Return the exact values of some rows."""
        rows = zip(*(limb[at].tolist() for limb in self[:4]), strict=True)
        return [(top << 75) + (hi << 50) + (mid << 25) + lo for top, hi, mid, lo in rows]


_MASK = (1 << LIMB_BITS) - 1


def over_power_of_ten(value: Wide, scale: int) -> Floats:
    """Return value / 10**scale, each the float64 nearest to the exact quotient."""
    result = value.small / _POWERS[min(scale, 22)]
    rest = np.flatnonzero(~value.exact if scale <= 22 else np.ones(len(result), dtype=np.bool_))
    divisor = 10**scale
    for row, number in zip(rest.tolist(), value.integers(rest), strict=True):
        result[row] = number / divisor
    return result


def ratio(numerator: Wide, denominator: Wide, scale: int) -> Floats:
    """Return numerator / (denominator · 10**scale), each rounded once; NaN where the denominator is 0."""
    above, below = numerator.small, denominator.small
    limit = _EXACT_FLOAT // 10**scale if scale <= 15 else 0
    fast = numerator.exact & denominator.exact & (np.abs(below) <= limit)
    power = 10 ** min(scale, 15)
    zero = denominator.exact & (below == 0)
    result = np.full(len(above), np.nan)
    np.divide(above, below * power, out=result, where=fast & ~zero)
    rest = np.flatnonzero(~fast & ~zero)
    pairs = zip(rest.tolist(), numerator.integers(rest), denominator.integers(rest), strict=True)
    for row, up, down in pairs:
        result[row] = up / (down * 10**scale)
    return result


def big_quotients(numerators: Sequence[int], denominators: Sequence[int]) -> Floats:
    """Return the quotients of Python integers, each rounded once; NaN where a denominator is 0.

    Raises
    ------
    UsageError : if a quotient is beyond float64.
    """
    pairs = zip(numerators, denominators, strict=True)
    try:
        return np.array([up / down if down else np.nan for up, down in pairs], dtype=np.float64)
    except OverflowError:
        raise UsageError("a sum is beyond the largest float64, 1.8e308; check the units of what is summed") from None


@kernel("void(const i8[::1], i8[::1])")
def two_words_sum(numbers: Ints, out: Ints) -> None:
    """Add integers of at most `GREATEST`, at most `MOST`, into a high word of 2^25 units and a low word below it."""
    for i in range(numbers.shape[0]):
        out[0] += numbers[i] >> 25
        out[1] += numbers[i] & 33554431


def refuse_too_many(count: int) -> None:
    """Raise a UsageError for more numbers than add up without overflow."""
    if count > MOST:
        raise UsageError(f"{count} numbers are more than can be added exactly, {MOST}; give them in parts")


def exact_sum(values: Floats) -> float:
    """Return the sum of decimals, rounded once to the nearest float64.

    Raises
    ------
    UsageError : if a value is not finite, or the sum is beyond float64.

    Examples
    --------
    >>> exact_sum(np.array([0.1] * 10)), sum([0.1] * 10)
    (1.0, 0.9999999999999999)
    """
    refuse_too_many(len(values))
    scaled = to_scaled(values)
    if scaled is None:
        numbers, scale = to_big_integers(values)
        return float(big_quotients([sum(numbers)], [10**scale])[0])
    words = np.zeros(2, dtype=np.int64)
    two_words_sum(scaled.numbers, words)
    return ((int(words[0]) << LIMB_BITS) + int(words[1])) / int(10**scaled.scale)
