"""What a fetch lane asks of the ledger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from tests.support.builders.ingest_in_process import BOUNDS
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.position import Position
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Ledger, Seen, SequenceKey
from trading_platform.store.log import control_records as control
from trading_platform.venues import VENUES


@pytest.mark.parametrize("count", [10, 100])
def test_the_ends_of_many_symbols_are_told_in_few_statements(tmp_path: Path, count: int) -> None:
    """A stop tells that 500 streams have ended: three statements for each took it eight seconds on a busy machine."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    symbols = [f"S{number:04d}-USDT" for number in range(count)]
    seen = {SequenceKey("binance", name): Seen(ids=np.array([7]), ts=np.array([10**18])) for name in symbols}
    ledger.apply(Batch("live-binance", Position(0, 0), Position(0, 1), seen), advance)
    asked: list[str] = []
    with FetchLane(data, ledger, VENUES, BOUNDS) as lane:
        sa.event.listen(
            ledger.database.engine, "before_cursor_execute", lambda *told: asked.append(told[2]), named=False
        )
        lane.fact(control.LostRecord("binance", symbols))
        told = len(asked)
    assert {row.tail for row in ledger.sequences()} == {"open"}
    assert told <= 40, told
    ledger.close()
