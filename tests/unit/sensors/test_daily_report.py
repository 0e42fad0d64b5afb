"""The day that ended last gets one report by itself, and the asset writes that of any day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from quality.expectations.kept import keep_verdicts
from sensors.daily_report import daily_report
from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_NS,
    FixedPipeline,
    definitions_on,
    defs,
    events,
    instance,
    market,
    pipeline,
    range_tags,
    unused,
)
from tests.support.builders.lakes import Market, made_up
from trading_platform.domain.days import day_start
from trading_platform.orchestration import keys
from trading_platform.store.fs.layout import Leaf

# ruff: noqa: F811  fixtures are handed in under their own names

DAY = "2024-08-11"
HOUR_NS = 3600 * 10**9


class _At(FixedPipeline):
    """The engine at a time of its own."""

    at_ns: int = NOW_NS

    def now_ns(self) -> int:
        return self.at_ns


@pytest.fixture
def tick(tmp_path: Path) -> Iterator[Callable[[FixedPipeline], dg.RunRequest | str]]:
    stored = dg.DagsterInstance.local_temp(str(tmp_path))  # a schedule sees no instance in memory
    repository = defs.get_repository_def()

    def evaluate(pipeline: FixedPipeline) -> dg.RunRequest | str:
        with dg.build_schedule_context(stored, resources={"pipeline": pipeline}, repository_def=repository) as context:
            told = daily_report.evaluate_tick(context)
        return told.run_requests[0] if told.run_requests else str(told.skip_message)

    yield evaluate
    stored.dispose()


def test_the_day_that_ended_is_reported_once(market: Market, pipeline: FixedPipeline, instance, tick) -> None:
    """A run is launched for yesterday; once its report is there, none."""
    market.hold(made_up("2024-08-10", 3, 60), tail="closed")
    request = tick(pipeline)
    assert (request.partition_key, request.tags[keys.REASON]) == (DAY, f"{DAY} is over")
    job = definitions_on(pipeline).resolve_job_def(keys.WRITE_REPORT)
    assert job.execute_in_process(instance=instance, partition_key=DAY).success
    assert (market.data.reports / f"{DAY}.html").exists()
    assert tick(pipeline) == f"the report of {DAY} is there"


def test_a_day_is_given_time_to_be_sealed_and_judged(market: Market, tick) -> None:
    """Within three hours of its end a day waits for its seal and its checkpoint; with both, and later, it does not."""
    market.hold(made_up(DAY, 2, 60), tail="closed")
    midnight = day_start("2024-08-12")
    early = _At(data_dir=str(market.data.root), at_ns=midnight + HOUR_NS)
    assert tick(early) == f"{DAY} is not sealed yet"
    late = _At(data_dir=str(market.data.root), at_ns=midnight + 4 * HOUR_NS)
    assert tick(late).partition_key == DAY
    market.ledger.seal(Leaf("ticks", "binance", "BTC-USDT", DAY))
    assert tick(early) == f"the statistics of {DAY} are not judged yet"
    keep_verdicts(market.data, DAY, [])
    assert tick(early).partition_key == DAY


def test_nothing_is_launched_without_data(unused: FixedPipeline, market: Market, pipeline: FixedPipeline, tick) -> None:
    """A data directory that is not there, and a day without a trade, launch nothing."""
    assert tick(unused) == "nothing is recorded yet"
    market.hold(made_up("2024-08-08", 1, 20))
    assert tick(pipeline) == f"no trade of {DAY}"


def test_a_range_of_reports_tells_each_days_scores(market: Market, pipeline: FixedPipeline, instance) -> None:
    """Each day of a range has its own metadata; a day without data has neither page nor metadata."""
    market.hold(made_up("2024-08-08", 3, 60, quiet=["2024-08-09"]), tail="closed")
    job = definitions_on(pipeline).resolve_job_def(keys.WRITE_REPORT)
    assert job.execute_in_process(instance=instance, tags=range_tags("2024-08-08", "2024-08-10")).success
    assert sorted(path.stem for path in market.data.reports.glob("*.html")) == ["2024-08-08", "2024-08-10"]
    told = {
        event.partition: event.step_materialization_data.materialization.metadata
        for event in events(instance, dg.DagsterEventType.ASSET_MATERIALIZATION)
    }
    for day in ("2024-08-08", "2024-08-10"):
        assert f"/platform/report/{day}" in told[day]["report"].value
        assert 0 <= told[day]["lowest score"].value <= 100
        assert "score BTC-USDT binance" in told[day]
    assert "report" not in told.get("2024-08-09", {})
