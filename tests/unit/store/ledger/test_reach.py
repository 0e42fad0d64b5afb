"""What is held of a sequence is what the next ids are compared with, not where its account begins and ends."""

from __future__ import annotations

import numpy as np

from trading_platform.completeness.gap_detector import advance
from trading_platform.completeness.sequence_reset import contradicts
from trading_platform.domain.position import Position
from trading_platform.domain.trades.sequencing import Contiguous
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Claim, Ledger, Seen, SequenceKey

KEY = SequenceKey("binance", "BTC-USDT")
S = 10**9


def test_an_id_without_a_trade_bounds_no_time(tmp_path) -> None:
    """Used-up, lost and witnessed ids at either end leave the trades behind them as likely as before."""
    ledger = Ledger.open(DataDir(tmp_path).create())
    seen = Seen(
        ids=np.array([92, 100]),
        ts=np.array([92 * S, 100 * S]),
        voids=[Claim(107, 107, "price 0", 0)],
        lost=[Claim(80, 80, "test", 0)],
        witnessed=110,
    )
    ledger.apply(Batch("live", Position(0, 0), Position(0, 1), {KEY: seen}), advance)
    reach = ledger.reach("binance", "BTC-USDT")
    ledger.close()
    assert reach == (92, 100, 92 * S, 100 * S)
    assert not contradicts(reach, 104, 104 * S, Contiguous())
    assert not contradicts(reach, 85, 85 * S, Contiguous())
    assert contradicts(reach, 95, 104 * S, Contiguous())


def test_nothing_held_reaches_nowhere(tmp_path) -> None:
    """A promise alone gives nothing to compare with."""
    ledger = Ledger.open(DataDir(tmp_path).create())
    ledger.apply(Batch("live", Position(0, 0), Position(0, 1), {KEY: Seen(undertaken=5)}), advance)
    assert ledger.reach("binance", "BTC-USDT") is None
    ledger.close()
