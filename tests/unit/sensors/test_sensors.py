"""What starts runs by itself: each sensor's decision, from a real ledger and real locks, with time handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sensors.compare_days import compare_days
from sensors.gap_recovery import gap_recovery
from sensors.ingest_keepalive import STOP_FILE, ingest_keepalive
from sensors.observe_ingest import observe_ingest
from sensors.refresh_today import refresh_today
from sensors.seal_days import ATTEMPTS, seal_days
from sensors.tidy_runs import tidy_runs
from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_DAY,
    NOW_NS,
    FixedPipeline,
    defs,
    instance,
    market,
    pipeline,
    unused,
)
from tests.support.builders.lakes import Market, made_up
from trading_platform.completeness.gap_detector import advance
from trading_platform.completeness.records import ListedDay
from trading_platform.domain.position import START
from trading_platform.ingest.recovery.due_listings import note_asked
from trading_platform.ingest.recovery.open_tails import ingest_lock
from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.settings import load
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Batch, Seen, SequenceKey

# ruff: noqa: F811  fixtures are handed in under their own names


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, pipeline: FixedPipeline, cursor: str = "") -> Any:
    """Evaluate a sensor once."""
    with dg.build_sensor_context(
        instance, cursor=cursor or None, resources={"pipeline": pipeline}, repository_def=defs.get_repository_def()
    ) as context:
        return sensor.evaluate_tick(context)


def start_run(
    instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None
) -> str:
    """Record a run of a job as if it had come this far."""

    @dg.job(name=job)
    def nothing() -> None:
        """Do nothing."""

    return instance.create_run_for_job(nothing, status=status, tags=tags).run_id


@pytest.mark.parametrize("sensor", [gap_recovery, compare_days, seal_days, observe_ingest, ingest_keepalive])
def test_nothing_recorded_means_nothing_to_do(
    sensor: dg.SensorDefinition, unused: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """Before anything is recorded a sensor says so, and creates no file."""
    found = tick(sensor, instance, unused)
    assert not found.run_requests and found.skip_message


# ---- gap_recovery


def test_a_due_gap_is_leased_and_fetched_in_one_run(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """The run key is the lease's id; the run is told which lease, and its tag says why."""
    market.hold(made_up("2024-08-08", 1, 100).without(1010, 1011))
    market.ledger.remember("rest_url:binance", "http://127.0.0.1:1")
    (request,) = tick(gap_recovery, instance, pipeline).run_requests
    lease = request.run_config["ops"]["fetch_missing_trades"]["config"]["lease"]
    assert request.run_key == lease == request.tags[keys.LEASE]
    assert request.tags[keys.REASON] == "2 missing trades in 1 gaps: BTC-USDT"
    assert [gap.missing for gap in market.ledger.leased(lease)] == [2]
    assert tick(gap_recovery, instance, pipeline).skip_message == "no missing trade is due"


def test_one_recovery_at_a_time(market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """While a run fetches, no further lease is taken."""
    market.hold(made_up("2024-08-08", 1, 100).without(1010))
    start_run(instance, keys.RECOVER_GAPS, dg.DagsterRunStatus.STARTED)
    assert "is fetching" in tick(gap_recovery, instance, pipeline).skip_message
    assert [gap.state for gap in market.ledger.gaps()] == ["open"]


def test_simulated_data_never_turns_to_the_real_exchange(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """Without a simulator's address gaps of simulated data stay where they are."""
    market.hold(made_up("2024-08-08", 1, 100).without(1010))
    market.ledger.mark_kind("simulated")
    assert "simulator's address is unknown" in tick(gap_recovery, instance, pipeline).skip_message
    assert pipeline.endpoints() == {}


# ---- compare_days


def test_a_day_that_ids_cannot_prove_is_compared_once_its_file_is_due(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """One run for what is due; a day that was asked for and is not equal is due again after an hour."""
    listed = [ListedDay("2024-08-10", 0, 0, 1), ListedDay("2024-08-11", 5, 0, 1)]
    seen = Seen(listed=listed, undertaken=0)
    market.ledger.remember("rest_url:bybit", "http://127.0.0.1:1")
    market.ledger.apply(Batch("fetch-0", START, START, {SequenceKey("bybit", "BTC-USDT"): seen}), advance)
    found = tick(compare_days, instance, pipeline)
    assert found.run_requests, found.skip_message
    (request,) = found.run_requests
    assert request.tags[keys.REASON] == "daily files are due: bybit BTC-USDT 2024-08-11"
    for before_s, due in ((3599, False), (3600, True)):
        note_asked(market.ledger, ("bybit", "BTC-USDT"), ["2024-08-11"], NOW_NS - before_s * 10**9)
        assert bool(tick(compare_days, instance, pipeline).run_requests) == due
        market.ledger.remember("listings:bybit:BTC-USDT", "{}")
    start_run(instance, keys.COMPARE_DAYS, dg.DagsterRunStatus.STARTED)
    assert "is comparing" in tick(compare_days, instance, pipeline).skip_message


# ---- seal_days


def test_days_that_are_over_and_decided_are_sealed_in_one_run(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """Consecutive days make one range; the running day is not among them."""
    market.hold(made_up("2024-08-10", 3, 100))
    found = tick(seal_days, instance, pipeline)
    (request,) = found.run_requests
    assert (request.tags[keys.RANGE_START], request.tags[keys.RANGE_END]) == ("2024-08-10", "2024-08-11")


def test_a_day_with_an_open_gap_waits(market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """What may still be repaired is not sealed."""
    market.hold(made_up("2024-08-10", 3, 100).without(1050))
    (request,) = tick(seal_days, instance, pipeline).run_requests
    assert (request.tags[keys.RANGE_START], request.tags[keys.RANGE_END]) == ("2024-08-11", "2024-08-11")


def test_a_sealed_day_is_left_alone_until_a_late_trade_breaks_the_seal(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """Sealing is asked for once; a trade that comes later asks again."""
    trades = made_up("2024-08-10", 3, 100)
    market.hold(trades.without(1003), lost=[(1003, 1003)])
    for day in ("2024-08-10", "2024-08-11"):
        pipeline.refresh("ticks", day, seal=True)
    assert "is sealed" in tick(seal_days, instance, pipeline).skip_message
    market.hold(trades.between(1003, 1003), lane="fetch-0")
    (request,) = tick(seal_days, instance, pipeline).run_requests
    assert request.tags[keys.RANGE_START] == request.tags[keys.RANGE_END] == "2024-08-10"


def test_sealing_that_does_not_succeed_is_given_up(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """The same content is tried a few times, with a new run key each time, and then named as given up."""
    market.hold(made_up("2024-08-10", 3, 100))
    cursor, run_keys = "", set()
    for _ in range(ATTEMPTS):
        found = tick(seal_days, instance, pipeline, cursor)
        run_keys.add(found.run_requests[0].run_key)
        cursor = found.cursor
    assert len(run_keys) == ATTEMPTS
    assert "gave up" in tick(seal_days, instance, pipeline, cursor).skip_message


# ---- the schedule, the observation


class _Later(FixedPipeline):
    """The engine some minutes after noon."""

    minutes: int = 0

    def now_ns(self) -> int:
        return NOW_NS + self.minutes * 60 * 10**9


def test_the_running_day_is_refreshed_while_trades_come(market: Market, instance: dg.DagsterInstance) -> None:
    """At once at the first trade, then every 15 minutes, never two at once, and never without a new trade."""

    def evaluate(minutes: int, cursor: str = "") -> dg.SensorResult | dg.SkipReason:
        return tick(refresh_today, instance, _Later(data_dir=str(market.data.root), minutes=minutes), cursor)

    market.hold(made_up("2024-08-11", 1, 20))
    assert "no trade" in evaluate(0).skip_message
    market.hold(made_up(NOW_DAY, 1, 20, first_id=1020))
    first = evaluate(0)
    (request,) = first.run_requests
    assert (request.partition_key, request.tags[keys.REASON]) == (NOW_DAY, "20 new trades")
    assert "no new trade" in evaluate(16, first.cursor).skip_message
    market.hold(made_up(NOW_DAY, 1, 5, first_id=1040))
    assert "due after 15" in evaluate(14, first.cursor).skip_message
    (request,) = evaluate(15, first.cursor).run_requests
    assert request.tags[keys.REASON] == "5 new trades"
    start_run(instance, keys.REFRESH_TODAY, dg.DagsterRunStatus.STARTED)
    assert "still running" in evaluate(15, first.cursor).skip_message


def test_a_day_of_refreshes_is_less_than_a_hundred_runs(market: Market, instance: dg.DagsterInstance) -> None:
    """Looking every 15 seconds for a day at a market that always trades launches 96 runs."""
    trades = made_up(NOW_DAY, 1, 5000)
    launched, cursor = 0, ""
    for minute in range(0, 12 * 60, 5):
        low, high = 1000 + 5 * minute, 1004 + 5 * (minute + 5)
        market.hold(trades.between(low, high), stage=False)
        found = tick(refresh_today, instance, _Later(data_dir=str(market.data.root), minutes=minute), cursor)
        launched += len(found.run_requests or ())
        cursor = found.cursor or cursor
    assert launched == 48  # in half a day


def test_ingest_is_observed_in_one_event(market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """All symbols in one observation of `ticks`; nothing new, no event."""
    market.hold(made_up("2024-08-11", 1, 100).without(1010))
    market.hold(made_up("2024-08-11", 1, 50), "ETH-USDT")
    found = tick(observe_ingest, instance, pipeline)
    (observation,) = found.asset_events
    assert observation.asset_key == keys.TICKS
    assert observation.metadata["new_trades"].value == 149 and observation.metadata["missing_trades"].value == 1
    assert "| binance ETH-USDT | 50 | 50 | 0 |" in observation.metadata["symbols"].value
    again = tick(observe_ingest, instance, pipeline, found.cursor)
    assert not again.asset_events and again.skip_message == "no new trades"


# ---- ingest_keepalive


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a venue in the settings."""
    found = load({"TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS": "BTC-USDT"}, Path("/"))
    monkeypatch.setattr(FixedPipeline, "settings", property(lambda _self: found))


@pytest.mark.usefixtures("named")
class TestIngestKeepalive:
    """Recording what no process records."""

    def test_a_venue_that_nobody_records_is_recorded(
        self, pipeline: FixedPipeline, instance: dg.DagsterInstance
    ) -> None:
        """One run for the venue, which is told its name."""
        (request,) = tick(ingest_keepalive, instance, pipeline).run_requests
        assert request.run_config["ops"]["record_trades"]["config"] == {"venue": "binance"}

    def test_a_live_ingest_is_left_alone(self, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
        """The lock decides, not what Dagster believes."""
        with FileLock.acquire(ingest_lock(pipeline.data, "binance"), "test"):
            assert "recorded by process" in tick(ingest_keepalive, instance, pipeline).skip_message

    def test_up_looks_after_its_own(self, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
        """Under `up` a dead ingest is started again by `up`, not twice."""
        with FileLock.acquire(pipeline.data.run / "up.lock", "test"):
            assert "`up`" in tick(ingest_keepalive, instance, pipeline).skip_message

    def test_a_cancelled_run_stays_cancelled(self, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
        """Who cancels recording in the UI is obeyed; what the platform's own stop cancelled goes on."""
        tags = {keys.VENUE: "binance"}
        start_run(instance, keys.INGEST, dg.DagsterRunStatus.CANCELED, tags)
        assert "was cancelled" in tick(ingest_keepalive, instance, pipeline).skip_message
        start_run(instance, keys.INGEST, dg.DagsterRunStatus.CANCELED, tags | {keys.STOPPED: "the platform"})
        # Ended long ago by the fixed clock's reckoning? No: it lies ahead of it, so the grace period holds first.
        assert "a moment ago" in tick(ingest_keepalive, instance, pipeline).skip_message

    def test_a_starting_run_is_given_time(self, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
        """Between launch and lock no second run is launched."""
        start_run(instance, keys.INGEST, dg.DagsterRunStatus.STARTING, {keys.VENUE: "binance"})
        assert "is starting" in tick(ingest_keepalive, instance, pipeline).skip_message

    def test_a_stop_file_is_heeded(self, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
        """Recording can be kept stopped without the UI."""
        (pipeline.data.run / STOP_FILE).touch()
        assert STOP_FILE in tick(ingest_keepalive, instance, pipeline).skip_message


def test_without_a_named_venue_nothing_is_recorded(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """The simulator is `up`'s business."""
    assert settings_in_force().venues == {}
    assert "no venue" in tick(ingest_keepalive, instance, pipeline).skip_message


def test_tidying_never_launches_anything(market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """It says what it did; files without a run are looked for once an hour."""
    first = tick(tidy_runs, instance, pipeline)
    assert first.skip_message == "0 dead runs marked as failed, 0 old runs deleted, 0 rows and 0 files of none"
    assert float(first.cursor) == NOW_NS / 1e9 and first.run_requests == []
    again = tick(tidy_runs, instance, pipeline, cursor=first.cursor)
    assert again.skip_message == "0 dead runs marked as failed, 0 old runs deleted" and again.cursor == first.cursor
