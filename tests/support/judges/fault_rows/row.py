"""One fault of the catalogue."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One fault.

    Attributes
    ----------
    fault : what goes wrong.
    shows : what the platform does, and how a user sees it.
    tests : node ids that prove it.
    """

    fault: str
    shows: str
    tests: tuple[str, ...]
