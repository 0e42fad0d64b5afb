"""What a gate refuses stays out of the lake with its verdict, and what depends on it skips exactly that symbol-day."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest

from quality.schemas import GATES
from tests.support.builders.dagster_instance import market  # noqa: F401  the fixture
from tests.support.builders.lakes import VENUE, Market, made_up
from trading_platform.domain.datasets import COMPUTED, DATASETS
from trading_platform.domain.verdict import Failure, Gate, Verdict
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.lake import staging

# ruff: noqa: F811  fixtures are handed in under their own names

DAYS = ("2024-08-08", "2024-08-09")
SYMBOLS = ("BTC-USDT", "ETH-USDT")
FAILURE = Failure("made up", 1, "row 0")


def pipeline_of(market: Market, gates: Mapping[str, Gate]) -> Pipeline:
    regimes = RegimeConfig(timeframes=("1h",))
    return Pipeline(market.data, market.ledger, gates=gates, timeframes=("1h",), regimes=regimes)


def of(table: pa.Table, day: str) -> bool:
    """Tell whether a frame is the busy symbol's of that day."""
    times = table["ts_event" if "ts_event" in table.schema.names else "ts_open"]
    return bool(table.num_rows) and times[0].as_py().date().isoformat() == day


def downstream(dataset: str) -> set[str]:
    found = {dataset}
    for name in COMPUTED:
        found |= {name} if DATASETS[name].upstream in found else set()
    return found


@pytest.mark.parametrize("dataset", ["ticks", *COMPUTED])
def test_downstream_skips_exactly_the_refused_symbol_day(market: Market, dataset: str) -> None:
    """Every other file is published as without the refusal; of the day neither the dataset nor what follows is."""
    first = made_up(DAYS[0], 2, 100)
    for lane, symbol in enumerate(SYMBOLS):
        market.hold(first, symbol, lane=f"live-{lane}", tail="closed", publish=False)
    seen: list[int] = []

    def refuse_once(table: pa.Table) -> Verdict:
        if of(table, DAYS[0]) and not seen:  # the first symbol's, which is asked about first
            seen.append(1)
            return Verdict((FAILURE,))
        return GATES[dataset](table)

    pipeline = pipeline_of(market, {**GATES, dataset: refuse_once})
    for name in ("ticks", *COMPUTED):
        for day in DAYS:
            pipeline.refresh(name, day)
    held = {
        (leaf.dataset, leaf.symbol, leaf.day) for name in ("ticks", *COMPUTED) for leaf in market.ledger.leaves(name)
    }
    everything = {(name, symbol, day) for name in ("ticks", *COMPUTED) for symbol in SYMBOLS for day in DAYS}
    refused = {(name, SYMBOLS[0], DAYS[0]) for name in downstream(dataset)}
    assert everything - held == refused
    entries = market.ledger.entries(dataset, VENUE, SYMBOLS[0], DAYS[0]).values()
    assert [entry.verdict for entry in entries] == [Verdict((FAILURE,))]
    waiting = {leaf.day for leaf, parts in staging.parts(market.data, VENUE, SYMBOLS[0]).items() if parts}
    assert (DAYS[0] in waiting) == (dataset == "ticks")
