"""Decoded trades as columns, on their way from decoder.py to staging_sink.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


class Columns(NamedTuple):
    """Trades of one sequence in the order of the log (side: 1 buy, -1 sell, 0 unknown; source: place in SOURCES)."""

    trade_id: Int64
    ts_event: Int64
    ts_recv: Int64
    price: npt.NDArray[np.float64]
    quantity: npt.NDArray[np.float64]
    side: npt.NDArray[np.int8]
    source: npt.NDArray[np.int8]


def together(parts: Sequence[Columns]) -> Columns:
    """Return the rows of all parts, in their order."""
    return parts[0] if len(parts) == 1 else Columns(*map(np.concatenate, zip(*parts, strict=True)))
