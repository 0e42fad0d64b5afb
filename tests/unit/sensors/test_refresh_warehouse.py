"""When the warehouse is built: for days whose files were replaced, and a few times a day."""

from __future__ import annotations

from typing import Any

import dagster as dg

from sensors.refresh_warehouse import ATTEMPTS, MOST_DAYS, PAST_NS, RUNNING_NS, due, refresh_warehouse
from tests.support.builders.dagster_instance import NOW_DAY, FixedPipeline, instance, market, pipeline, unused  # noqa: F401  fixtures
from tests.support.builders.lakes import Market
from trading_platform.domain.days import day_range
from trading_platform.orchestration import keys
from trading_platform.store.fs.layout import DataDir, Leaf

# ruff: noqa: F811  fixtures are handed in under their own names


def tick(instance: dg.DagsterInstance, pipeline: FixedPipeline, cursor: str | None = None) -> Any:
    with dg.build_sensor_context(instance, cursor=cursor, resources={"pipeline": pipeline}) as context:
        return refresh_warehouse.evaluate_tick(context)


def put(data: DataDir, day: str, text: str = "bars") -> None:
    """Replace a file of the lake, as a publisher does."""
    path = data.lake / Leaf("bars", "binance", "BTC-USDT", day, "1d").path
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(text)
    half.replace(path)


def ended(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    """Record that a build ended like this."""

    @dg.job(name=keys.BUILD_WAREHOUSE)
    def nothing() -> None:
        """Do nothing."""

    instance.create_run_for_job(nothing, status=status)


def days(found: Any) -> list[tuple[str, str]]:
    return [(one.tags[keys.RANGE_START], one.tags[keys.RANGE_END]) for one in found.run_requests or ()]


def test_without_data_or_news_nothing_runs(
    unused: FixedPipeline, market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """A directory that does not exist, one without a file, and one that was built as it is, start nothing."""
    assert days(tick(instance, unused)) == days(tick(instance, pipeline)) == []
    put(market.data, "2024-08-01")
    first = tick(instance, pipeline)
    assert days(first) == [("2024-08-01", "2024-08-01")]
    assert days(tick(instance, pipeline, first.cursor)) == []


def test_a_replaced_file_starts_a_run_of_its_day(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance, monkeypatch: Any
) -> None:
    """One day's file is replaced: the next run is for that day alone, once some time has passed."""
    for day in ("2024-08-01", "2024-08-02"):
        put(market.data, day)
    first = tick(instance, pipeline)
    assert days(first) == [("2024-08-01", "2024-08-02")]
    put(market.data, "2024-08-02", "repaired")
    assert days(tick(instance, pipeline, first.cursor)) == []
    later = FixedPipeline.now_ns(pipeline) + PAST_NS
    monkeypatch.setattr(FixedPipeline, "now_ns", lambda _: later)
    assert days(tick(instance, pipeline, first.cursor)) == [("2024-08-02", "2024-08-02")]


def test_a_failed_run_is_tried_again_and_one_under_way_is_waited_for(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """After a failure the same days are asked for again, three times in all; beside a run none is started."""
    put(market.data, "2024-08-01")
    found = tick(instance, pipeline)
    for _ in range(ATTEMPTS - 1):
        ended(instance, dg.DagsterRunStatus.FAILURE)
        found = tick(instance, pipeline, found.cursor)
        assert days(found) == [("2024-08-01", "2024-08-01")]
    ended(instance, dg.DagsterRunStatus.FAILURE)
    assert days(tick(instance, pipeline, found.cursor)) == []
    ended(instance, dg.DagsterRunStatus.STARTED)
    put(market.data, "2024-08-03")
    assert "is building" in tick(instance, pipeline, found.cursor).skip_message


def test_the_running_day_is_built_four_times_a_day() -> None:
    """Its files change every five minutes; a day that is over takes it along."""
    today = {NOW_DAY: "new"}
    assert due(today, {}, NOW_DAY, RUNNING_NS - 1) == []
    assert due(today, {}, NOW_DAY, RUNNING_NS) == [NOW_DAY]
    assert due({**today, "2024-08-01": "x"}, {}, NOW_DAY, PAST_NS) == ["2024-08-01", NOW_DAY]


def test_a_long_backlog_is_built_in_pieces_without_waiting() -> None:
    """A year that was fetched is twelve runs, one after the other."""
    held = dict.fromkeys(day_range("2023-01-01", "2023-12-31"), "x")
    built: dict[str, str] = {}
    runs = 0
    while len(built) < len(held):
        found = due(held, built, NOW_DAY, PAST_NS if len(held) - len(built) <= MOST_DAYS else 0)
        built |= dict.fromkeys(found, "x")
        runs += 1
    assert runs == 12
