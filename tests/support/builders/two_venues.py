"""A small lake of two exchanges and two symbols, computed: for what compares exchanges and adds up days."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quality.schemas import GATES
from tests.support.builders import lakes
from tests.support.builders.lakes import Market, made_up
from trading_platform.domain.days import day_start
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.pipeline import Pipeline

FIRST, DAYS, LAST = "2024-08-01", 3, "2024-08-03"
FRAMES = ("1m", "1h", "1d")


def compute(market: Market) -> None:
    regimes = RegimeConfig(timeframes=("1m", "1h"), min_days=30, lookback_days=30)
    pipeline = Pipeline(market.data, market.ledger, gates=dict(GATES), timeframes=FRAMES, regimes=regimes)
    pipeline.refresh_range(("bars", "regimes"), FIRST, LAST)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a lake of two exchanges and two symbols, with a hole, a lost id and a trade of an unknown side."""
    market = Market.open(tmp_path_factory.mktemp("filled"))
    both = made_up(FIRST, DAYS, 1500)
    missing = both.ids[400:420].tolist()
    market.hold(both.without(*missing), tail="closed", lost=[(missing[0], missing[1])])
    other = made_up(FIRST, DAYS, 300, seed=2)
    sides = other.buy.astype(object)
    sides[450] = None
    market.hold(replace(other, buy=sides), "ETH-USDT", lane="live-b", tail="closed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lakes, "VENUE", "kraken")
        third = made_up(FIRST, 2, 900, seed=3)
        border = int(third.ids[third.ts >= day_start("2024-08-02")][0])  # a void that may be of either day
        market.hold(third.without(border), lane="live-c", tail="closed", voids=[(border, border)])
    compute(market)
    market.ledger.close()
    return market.data.root
