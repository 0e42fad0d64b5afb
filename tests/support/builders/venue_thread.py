"""A simulated venue for tests: started in a thread, stopped at the end, judged by its own truth and request log.

Import the fixture where it is used: ``from tests.support.builders.venue_thread import simulator``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from trading_platform.simulate.faults import FaultPlan
from trading_platform.simulate.recorded_market import RecordedMarket
from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket
from trading_platform.simulate.tape import Market
from trading_platform.simulate.venue_server import VenueServer
from trading_platform.simulate.venue_thread import VenueThread

RECORDINGS = ("trades/hftbacktest/spot/btcusdt_20240808.gz", "trades/hftbacktest/spot/btcusdt_20240809.gz")


class Simulator(VenueThread):
    """A running venue with its truth file."""

    def __init__(self, market: Market, truth_path: Path, **options: Any) -> None:
        self.truth_path = truth_path
        super().__init__(lambda: VenueServer(market, truth_path=truth_path, **options))

    def truth(self) -> list[dict[str, Any]]:
        """Return what was issued so far; every line of the file is whole."""
        return [json.loads(line) for line in self.truth_path.read_text(encoding="utf-8").splitlines()]


def synthetic(seconds: float = 60.0, *, seed: int = 7, symbols: list[str] | None = None) -> SyntheticMarket:
    """Return a market that ends after some seconds of its own time."""
    end_ns = DEMO_START_NS + int(seconds * 1e9)
    return SyntheticMarket(seed=seed, start_ns=DEMO_START_NS, end_ns=end_ns, symbols=symbols)


def recorded(shared_data: Callable[[str], Path], *, loop: bool = False) -> RecordedMarket:
    """Return the two BTC-USDT recordings as one market of 19,904 trades."""
    return RecordedMarket.load([shared_data(name) for name in RECORDINGS], loop=loop)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start venues: ``simulator(market, plan=…, speed=None)``; all are stopped at the end."""
    with ExitStack() as stack:
        count = 0

        def start(
            market: Market, *, plan: FaultPlan | None = None, speed: float | None = None, **options: Any
        ) -> Simulator:
            nonlocal count
            count += 1
            venue = Simulator(market, tmp_path / f"truth-{count}.jsonl", plan=plan, speed=speed, **options)
            return stack.enter_context(venue)

        yield start
