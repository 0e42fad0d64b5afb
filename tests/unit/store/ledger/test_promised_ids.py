"""A sequence of which nothing is held yet: promised, given up, or known to have ids that could not be read."""

from __future__ import annotations

import pytest

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Claim, Ledger, Seen, SequenceKey
from trading_platform.store.verify import verify_store

KEY = SequenceKey("binance", "BTC-USDT")
NOW = 1_723_161_600 * 10**9


@pytest.mark.parametrize(
    "seen",
    [
        Seen(undertaken=100),
        Seen(undertaken=100, witnessed=104),
        Seen(undertaken=100, lost=[Claim(101, 104, "test", 1)]),
    ],
    ids=["promised", "witnessed", "given-up"],
)
def test_nothing_held_is_no_violation_and_no_day(tmp_path, seen) -> None:
    """Its account adds up, and it lies on no day: only a held trade witnesses one."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    ledger.apply(Batch("fetch-0", Position(0, 0), Position(0, 1), {KEY: seen}), advance)
    assert verify_store(data, ledger, {"ticks": pass_all}).violations == ()
    assert ledger.day_report(NOW) == []
    ledger.close()
