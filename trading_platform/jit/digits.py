"""Compare bytes and read numbers eight bytes at a time: the inner steps of the frame scanner. Pure.

All of them are inlined where they are used (trade_scanner.py). They read eight bytes wherever so many lie before the
end of what they are given, and never beyond it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading_platform.jit.kernel import kernel

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@kernel()
def word(data: Bytes, at: int) -> np.uint64:
    """Return eight bytes as one number, the first byte the lowest; the compiler makes one load of it."""
    i = np.uint64(at)
    low = (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
    )
    return (
        low
        | np.uint64(data[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uint64(7)]) << np.uint64(56)
    )


@kernel()
def half(data: Bytes, at: int) -> np.uint64:
    """Return four bytes as one number."""
    i = np.uint64(at)
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
    )


@kernel()
def others(eight: np.uint64) -> np.uint64:
    """Return the eight bytes' highest bits, set where a byte is no digit."""
    value = eight ^ np.uint64(0x3030303030303030)
    # 0…9 stay below 0x80 with 0x76 added, everything else does not; the high bits are kept out so that none carries.
    raised = (value & np.uint64(0x7F7F7F7F7F7F7F7F)) + np.uint64(0x7676767676767676)
    return (raised | value) & np.uint64(0x8080808080808080)


@kernel()
def before(marks: np.uint64) -> int:
    """Return how many bytes lie before the first that is marked; there is one."""
    lowest = marks & (~marks + np.uint64(1))
    bytes_below = (lowest - np.uint64(1)) & np.uint64(0x0101010101010101)
    return int((bytes_below * np.uint64(0x0101010101010101)) >> np.uint64(56)) - 1


@kernel()
def eight_digits(eight: np.uint64) -> int:
    """Return the number that eight digits stand for; a zero byte counts as the digit 0."""
    value = ((eight & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561)) >> np.uint64(8)
    value = ((value & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    value = ((value & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return int(value)


@kernel()
def some_digits(eight: np.uint64, count: int) -> int:
    """Return the number that the first `count` (1 to 8) of eight bytes stand for."""
    return eight_digits(eight << np.uint64(64 - 8 * count))


@kernel()
def same_bytes(data: Bytes, at: int, other: Bytes, first: int, length: int) -> bool:
    """Compare a stretch, eight or four bytes at a time; the last ones overlap those before."""
    unlike = np.uint64(0)
    if length >= 8:
        done = 0
        while done < length - 8:
            unlike |= word(data, at + done) ^ word(other, first + done)
            done += 8
        unlike |= word(data, at + length - 8) ^ word(other, first + length - 8)
    elif length >= 4:
        unlike |= half(data, at) ^ half(other, first)
        unlike |= half(data, at + length - 4) ^ half(other, first + length - 4)
    else:
        for i in range(length):
            unlike |= np.uint64(data[np.uint64(at + i)] ^ other[np.uint64(first + i)])
    return unlike == np.uint64(0)


@kernel()
def short_decimal(data: Bytes, at: int, end: int, value: Floats, tens: Ints, float_tens: Floats) -> int:
    """Do what `read_decimal` does for one to seven digits, a point, and one to eight digits; -1 if it is not that.

    The same quotient of the same two numbers, but for common powers of ten: so it rounds to the same.
    """
    stop = -1
    if end - at >= 8:
        first = word(data, at)
        marks = others(first)
        if marks != np.uint64(0):
            whole = before(marks)
            point = at + whole
            if whole > 0 and data[np.uint64(point)] == 46 and end - point > 9:
                second = word(data, point + 1)
                marks = others(second)
                fraction = 8 if marks == np.uint64(0) else before(marks)
                after = point + 1 + fraction
                follows = int(data[np.uint64(after)])
                if fraction > 0 and not 48 <= follows <= 57:
                    mantissa = some_digits(first, whole) * tens[fraction] + some_digits(second, fraction)
                    if 0 < mantissa < 10**15:
                        value[0] = mantissa / float_tens[fraction]
                        stop = after
    return stop


@kernel()
def read_decimal(data: Bytes, at: int, end: int, value: Floats, tens: Ints, float_tens: Floats) -> int:  # noqa: C901  compiled loop: a call in it costs time
    """Read digits with at most one point between them; return where they end, -1 if this is no exact decimal above 0.

    The value is exact: of at most 15 digits, multiplied or divided once by an exact power of ten.
    """
    mantissa = 0
    pending = 0  # zeros since the last digit that counts
    digits = 0  # from the first digit that counts to the last
    scale = 0  # digits behind the point at the last digit that counts; negative: whole digits after it
    whole = 0
    fraction = 0
    stop = at
    good = True
    while good and stop < end and 48 <= data[np.uint64(stop)] <= 57:
        digit = int(data[np.uint64(stop)]) - 48
        whole += 1
        stop += 1
        if digit != 0:
            digits += pending + 1
            good = digits <= 15
            if good:
                mantissa = mantissa * tens[pending + 1] + digit
            pending = 0
        elif mantissa != 0:
            pending += 1
    scale = -pending
    good = good and 0 < whole <= 22
    if good and stop < end and data[np.uint64(stop)] == 46:
        stop += 1
        while good and stop < end and 48 <= data[np.uint64(stop)] <= 57:
            digit = int(data[np.uint64(stop)]) - 48
            fraction += 1
            stop += 1
            if digit != 0:
                digits += pending + 1
                good = digits <= 15
                if good:
                    mantissa = mantissa * tens[pending + 1] + digit
                pending = 0
                scale = fraction
            elif mantissa != 0:
                pending += 1
        good = good and 0 < fraction <= 22
    if good and mantissa != 0:
        value[0] = mantissa / float_tens[scale] if scale >= 0 else mantissa * float_tens[-scale]
    else:
        stop = -1
    return stop
