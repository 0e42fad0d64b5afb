"""What every dataset on the rows of bars needs: their columns as numbers, and where the day's grid ends. Pure.

Stepping over the grid is analytics/driver.py and analytics/regimes/scaled.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.domain.days import day_after, day_start
from trading_platform.pipeline.day_context import Upstream

RUNNING, OVER = "running", "over"
"""How a day of bars ends: with the newest held trade, or at 24:00."""


def grid_end(bars: pa.Table, day: str, upstream: Upstream) -> int:
    """Return where a day's grid ends: with the last bar on the running day, else at 24:00."""
    if upstream.ended == RUNNING and bars.num_rows:
        return int(numbers(bars, "ts_close")["ts_close"][-1])
    return day_start(day_after(day))


def numbers(bars: pa.Table, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Return columns of bars as numbers: times in ns, null as NaN."""
    columns = {name: bars[name].to_numpy() for name in names}
    return {name: col.astype(np.int64) if col.dtype.kind == "M" else col for name, col in columns.items()}
