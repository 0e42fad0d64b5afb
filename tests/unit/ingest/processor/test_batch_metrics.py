"""What is measured of decoded batches: live trades each, refetched ones never, a clock that is off apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from prometheus_client import REGISTRY

from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.processor import batch_metrics
from trading_platform.ingest.processor.batch_metrics import BatchMetrics, ClockOffset
from trading_platform.store.ledger import SequenceKey
from trading_platform.telemetry import metrics

NOW_S = 1_700_000_000.0
NAME = "market_data_tick_latency_seconds"


def batch(symbol: str, *trades: tuple[float, float, str], quarantine: list[Any] | None = None) -> Any:
    """Return a decoded batch of trades (event time before now, receive time before now, source)."""
    columns = TradeColumns.empty(len(trades))
    for row, (event, received, source) in enumerate(trades):
        columns.ts_event[row] = int((NOW_S - event) * 1e9)
        columns.ts_recv[row] = int((NOW_S - received) * 1e9)
        columns.source[row] = SOURCES.index(source)
    inner = SimpleNamespace(quarantine=quarantine or [], resets={})
    return SimpleNamespace(trades={SequenceKey("venue", symbol, 0): columns}, batch=inner)


def observed(measured: BatchMetrics, decoded: Any) -> None:
    measured.observe(decoded, {key: len(columns.price) for key, columns in decoded.trades.items()})


@pytest.fixture
def count():
    """Return how far the count of latencies has risen since the test began."""
    before = REGISTRY.get_sample_value(f"{NAME}_count")
    return lambda: REGISTRY.get_sample_value(f"{NAME}_count") - before


def test_each_live_trade_counts_and_no_refetched_one(count):
    """Three live trades are three latencies; pages and files of any age are none."""
    measured = BatchMetrics("venue", ["A"], lambda: NOW_S)
    observed(measured, batch("A", (0.02, 0.01, "ws"), (0.03, 0.01, "ws"), (0.04, 0.01, "ws")))
    assert count() == 3
    observed(measured, batch("A", (90_000.0, 0.01, "rest"), (900_000.0, 0.01, "archive")))
    assert count() == 3


def test_a_trade_of_the_future_is_counted_apart(count):
    """A venue's clock that is ahead of ours makes no latency of zero, but a count and an offset."""
    before = metrics.AHEAD.labels("ahead")._value.get()
    measured = BatchMetrics("ahead", ["A"], lambda: NOW_S)
    decoded = batch("A", (-1.27, 0.0, "ws"), (0.5, 0.0, "ws"))
    decoded.trades = {SequenceKey("ahead", "A", 0): columns for columns in decoded.trades.values()}
    observed(measured, decoded)
    assert count() == 1
    assert metrics.AHEAD.labels("ahead")._value.get() == before + 1
    assert metrics.CLOCK_OFFSET.labels("ahead")._value.get() == pytest.approx(1.27, abs=1e-6)


@given(seen=st.lists(st.tuples(st.floats(0, 300), st.floats(-5, 5)), min_size=1, max_size=50))
def test_the_offset_is_the_largest_of_the_window(seen):
    """Equal to looking at all of the last ten minutes each time."""
    clock, now, history = ClockOffset(), 0.0, []
    for step, ahead in seen:
        now += step
        history.append((now, ahead))
        expected = max(value for at, value in history if at > now - batch_metrics.WINDOW_S)
        assert clock.observe(now, ahead) == expected


def test_a_failing_metric_stops_nothing(monkeypatch):
    """The first failure is logged; the next batches are decoded without a word."""
    measured = BatchMetrics("venue", ["A"], lambda: NOW_S)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    said: list[str] = []
    log = SimpleNamespace(error=lambda event, **_: said.append(event))
    monkeypatch.setattr(batch_metrics, "get_logger", lambda name: log)
    monkeypatch.setattr(metrics, "observe_each", fail)
    for _ in range(3):
        observed(measured, batch("A", (0.02, 0.01, "ws")))
    assert said == ["metrics stopped"]


def test_symbols_that_are_not_recorded_share_a_series():
    """A venue that sends a thousand invented symbols makes one series of failures."""
    measured = BatchMetrics("wild", ["A"], lambda: NOW_S)
    rows = [SimpleNamespace(venue="wild", symbol=f"X{n}", kind="shape") for n in range(1000)]
    observed(measured, batch("A", (0.02, 0.01, "ws"), quarantine=rows))
    (family,) = metrics.VALIDATION_FAILURES.collect()
    mine = [s for s in family.samples if s.labels["venue"] == "wild" and s.name.endswith("_total")]
    assert {(s.labels["symbol"], s.value) for s in mine} == {("other", 1000.0)}
