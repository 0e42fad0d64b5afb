"""The name of a Python module, as a setting gives it."""

from __future__ import annotations

import re


def check_module(text: str) -> str:
    """Return the name.

    Raises
    ------
    ValueError : saying what it must be.

    >>> check_module("my_desk.definitions")
    'my_desk.definitions'
    """
    if re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", text) is None:
        raise ValueError(f"{text[:40]!r} is not a Python module's name, such as my_desk.definitions")
    return text
