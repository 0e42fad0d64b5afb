"""Check a venue's decimal literal before it counts as a number.

`float` and `Decimal` accept "1_000", "nan", " 1", full-width digits; a feed must not.
Exact sums of such numbers are analytics/folding/exact.py.
"""

from __future__ import annotations

import re

from trading_platform.domain.errors import FrameError

_LITERAL = re.compile(r"([0-9]{1,24})(?:\.([0-9]{1,24}))?(?:[eE]([+-]?[0-9]{1,2}))?", re.ASCII)
EXACT_DIGITS = 15
"""Decimals of up to this many significant digits survive float64 and back."""


def check_decimal(text: str) -> str:
    """Return `text` if it is a plain non-negative decimal of sane size.

    Digits, at most one point, an exponent within ±18, nothing else.

    Raises
    ------
    FrameError : of kind ``number`` for anything else.

    Examples
    --------
    >>> check_decimal("61837.63000000")
    '61837.63000000'
    >>> check_decimal("1_000")
    Traceback (most recent call last):
    trading_platform.domain.errors.FrameError: number: '1_000' is not a decimal
    """
    match = _LITERAL.fullmatch(text)
    if match is None or (match[3] is not None and abs(int(match[3])) > 18):
        raise FrameError("number", f"{text[:40]!r} is not a decimal")
    return text


def significant_digits(text: str) -> int:
    """Count the significant digits of a checked literal.

    Examples
    --------
    >>> significant_digits("61837.63000000"), significant_digits("0.00010")
    (7, 1)
    """
    mantissa = re.split("[eE]", text)[0]
    whole, _, fraction = mantissa.partition(".")
    return len((whole + fraction.rstrip("0")).lstrip("0").rstrip("0") or "0")
