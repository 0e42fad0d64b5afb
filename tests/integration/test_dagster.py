"""Dagster's side against the real thing: a venue over loopback, and Dagster's own command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dagster as dg
import numpy as np
import websockets.sync.client

from sensors.gap_recovery import gap_recovery
from tests.support.builders.dagster_instance import FixedPipeline, definitions_on, events, instance, market, pipeline  # noqa: F401  fixtures
from tests.support.builders.lakes import Market, Trades, made_up
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform.completeness.gap_detector import advance
from trading_platform.completeness.records import ListedDay
from trading_platform.domain.datasets import COMPUTED
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.position import START
from trading_platform.orchestration import keys
from trading_platform.orchestration.dagster_home import prepare
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake.first_day import first_day
from trading_platform.store.lake.publish import read_leaf
from trading_platform.store.ledger import Batch, Seen, SequenceKey

# ruff: noqa: F811  fixtures are handed in under their own names


def issued(venue: Simulator) -> Trades:
    """Let a venue's market run to its end; return its trades."""
    with websockets.sync.client.connect(f"{venue.ws_url}/ws/btcusdt@trade", close_timeout=0.1) as stream:
        while not venue.wait_ended(0):
            with suppress(TimeoutError):
                stream.recv(0.1)
    truth = sorted((line for line in venue.truth() if line["sent"]), key=lambda line: line["trade_id"])
    return Trades(
        np.array([line["trade_id"] for line in truth], np.int64),
        np.array([line["ts_event"] for line in truth], np.int64),
        np.array([float(line["price"]) for line in truth]),
        np.array([float(line["quantity"]) for line in truth]),
        np.array([line["side"] == "buy" for line in truth]),
    )


def test_missing_trades_are_found_leased_fetched_and_computed(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
    simulator: Callable[..., Simulator],
) -> None:
    """From the sensor to the recomputed regimes: one lease, one run, every dataset of the day reported anew."""
    venue = simulator(synthetic(30.0, symbols=["BTC-USDT"]))
    trades = issued(venue)
    lost = trades.ids[100:140].tolist()
    market.hold(trades.without(*lost), tail="closed")
    market.ledger.remember("rest_url:binance", venue.rest_url)

    with dg.build_sensor_context(instance, resources={"pipeline": pipeline}) as context:
        (request,) = gap_recovery.evaluate_tick(context).run_requests
    job = definitions_on(pipeline).resolve_job_def(keys.RECOVER_GAPS)
    assert job.execute_in_process(request.run_config, instance=instance, tags=dict(request.tags)).success

    assert market.ledger.gaps() == [] and market.ledger.leased(request.run_key) == []
    (day,) = {day.day for day in market.ledger.days("binance", "BTC-USDT")}
    ticks = read_leaf(market.data, Leaf("ticks", "binance", "BTC-USDT", day))
    assert ticks is not None and ticks["trade_id"].to_pylist() == trades.ids.tolist()
    reported = {
        (event.asset_key.to_user_string(), event.partition)
        for event in events(instance, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key is not None
    }
    assert reported == {(dataset, day) for dataset in ("ticks", *COMPUTED)}
    checked = events(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert {event.asset_check_evaluation_data.partition for event in checked} == {day}


def test_a_lease_that_brings_nothing_is_given_back(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """A venue that does not answer leaves the gap open, due later, and the run says why."""
    market.hold(made_up("2024-08-08", 1, 50).without(1010))
    market.ledger.remember("rest_url:binance", "http://127.0.0.1:9")
    lease = market.ledger.lease(10, pipeline.now_ns(), "test")
    assert lease is not None
    job = definitions_on(pipeline).resolve_job_def(keys.RECOVER_GAPS)
    config = {"ops": {"fetch_missing_trades": {"config": {"lease": lease.id, "patience_s": 1.0}}}}
    assert job.execute_in_process(config, instance=instance).success
    (gap,) = market.ledger.gaps()
    assert gap.state == "open" and gap.due_ns > pipeline.now_ns()


def test_days_that_ids_cannot_prove_are_compared_and_computed(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
    simulator: Callable[..., Simulator],
) -> None:
    """The job takes in the file of a day that is over; then the day equals it, and every dataset of it is reported."""
    name, day = "BTC-USDT", day_of(time.time_ns() - 2 * DAY_NS)
    profile = Profile(name, 1, 62_000.0, 2, 0.004, 5, 600, 1.0, pauses=False)
    traded = SyntheticMarket(start_ns=day_start(day), profiles=(profile,))
    venue = simulator(traded, exchange=EXCHANGES["bybit"], speed=1.0, begins_at_ns=time.time_ns)
    seen = Seen(listed=[ListedDay(day, 5, 0, 1)], undertaken=0)
    market.ledger.apply(Batch("fetch-0", START, START, {SequenceKey("bybit", name): seen}), advance)
    market.ledger.remember("rest_url:bybit", venue.rest_url)

    job = definitions_on(pipeline).resolve_job_def(keys.COMPARE_DAYS)
    assert job.execute_in_process(instance=instance).success

    (compared,) = [found for found in market.ledger.text_days("bybit", name) if found.day == day]
    assert compared.equal and compared.held == 600
    reported = {
        event.asset_key.to_user_string()
        for event in events(instance, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_key is not None and event.partition == day
    }
    assert reported == {"ticks", *COMPUTED}


def test_dagsters_own_command_sees_the_data_of_its_home(market: Market, tmp_path: Path) -> None:
    """With only DAGSTER_HOME set, `dagster asset materialize` works a range on that data directory in one run.

    The range begins with the first partition, a day that came last, and which has no day before it to go on from.
    """
    market.hold(made_up("2024-08-09", 1, 200, first_id=2000), tail="closed")
    assert first_day(market.data) == "2024-08-09"
    market.hold(made_up("2024-08-08", 1, 200, first_id=1800), lane="fetch-0")  # fetched later
    market.hold(made_up("2024-08-09", 1, 20), "币安人生-USDT", lane="live-b")
    home = prepare(market.data.root)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "TRADING_PLATFORM"))}
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "asset",
        "materialize",
        "-m",
        "trading_platform.definitions",
    ]
    done = subprocess.run(
        [*command, "--select", "bars,indicators,regimes", "--partition-range", "2024-08-08...2024-08-10"],
        cwd=tmp_path,
        env={**kept, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    leaves = {(leaf.symbol, leaf.day) for leaf in market.ledger.leaves("regimes")}
    assert leaves == {
        ("BTC-USDT", "2024-08-08"),
        ("BTC-USDT", "2024-08-09"),
        ("币安人生-USDT", "2024-08-09"),
    }
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_runs()) == 1
        for dataset in ("bars", "indicators", "regimes"):
            days = instance.get_materialized_partitions(keys.ASSETS[dataset])
            assert days == {f"2024-08-{number:02}" for number in range(8, 11)}
