"""What a run tells of each day: metadata, pictures, check results."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import numpy as np
import pytest

from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_DAY,
    NOW_NS,
    FixedPipeline,
    definitions_on,
    events,
    instance,
    market,
    pipeline,
    range_tags,
    unused,
)
from tests.support.builders.lakes import Market, Trades, made_up
from trading_platform.completeness.day_status import day_names
from trading_platform.domain.days import day_start
from trading_platform.orchestration.reporting import charts
from trading_platform.store.fs.layout import Leaf

# ruff: noqa: F811  fixtures are handed in under their own names

DAYS = ("2024-08-06", "2024-08-07", "2024-08-08", "2024-08-09", "2024-08-10")


def lacking_five(trades: Trades) -> Trades:
    """Take five trades out of the third day."""
    return trades.without(*range(2500, 2505))


def materialize(
    instance: dg.DagsterInstance,
    pipeline: FixedPipeline,
    first: str,
    last: str,
    assets: tuple[str, ...] = ("ticks", "bars", "indicators", "regimes"),
) -> dg.ExecuteInProcessResult:
    """Run assets over a range of days as `dagster asset materialize --partition-range` does."""
    job = definitions_on(pipeline).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in assets],
        tags=range_tags(first, last),
    )


def metadata_by_day(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict[str, object]]:
    """Return what was stored with each partition of an asset."""
    found = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        if materialization.asset_key == dg.AssetKey(asset):
            assert materialization.partition is not None
            found[materialization.partition] = {k: v.value for k, v in materialization.metadata.items()}
    return found


def evaluations(instance: dg.DagsterInstance, asset: str, check: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Return a check's results by day."""
    found = {}
    for event in events(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = event.asset_check_evaluation_data
        if (evaluation.asset_key.to_user_string(), evaluation.check_name) == (asset, check):
            assert evaluation.partition is not None
            found[evaluation.partition] = evaluation
    return found


def test_a_range_stores_each_day_by_itself(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """One run over days of which one lacks trades reports rows, completeness and checks of each day apart."""
    market.hold(lacking_five(made_up(DAYS[0], 5, 600)), tail="closed")
    result = materialize(instance, pipeline, DAYS[0], DAYS[-1])
    assert result.success and len(instance.get_runs()) == 1

    ticks = metadata_by_day(result, "ticks")
    held = {day.day: day.stored for day in market.ledger.days("binance", "BTC-USDT")}
    assert {day: found["dagster/partition_row_count"] for day, found in ticks.items()} == held
    assert "| repairing |" in str(ticks["2024-08-08"]["symbols"]) and "| 5 |" in str(ticks["2024-08-08"]["symbols"])
    assert "| complete |" in str(ticks["2024-08-07"]["symbols"])

    complete = evaluations(instance, "ticks", "completeness")
    # The first day was begun part-way, the last one's end is not witnessed.
    assert {day: found.passed for day, found in complete.items()} == {
        day: day in ("2024-08-07", "2024-08-09") for day in DAYS
    }
    assert {found.severity for found in complete.values()} == {dg.AssetCheckSeverity.WARN}
    assert complete["2024-08-08"].metadata["trades missing"].value == 5
    for asset in ("ticks", "bars", "indicators", "regimes"):
        assert {day: found.passed for day, found in evaluations(instance, asset, "schema").items()} == dict.fromkeys(
            DAYS, True
        )


def test_only_the_last_days_of_a_range_are_drawn(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """Pictures stay in the event log for ever: three days get one, small enough to be shown in place."""
    market.hold(made_up(DAYS[0], 5, 600), tail="closed")
    result = materialize(instance, pipeline, DAYS[0], DAYS[-1], ("bars",))
    bars = metadata_by_day(result, "bars")
    assert [day for day, found in bars.items() if "BTC-USDT" in found] == list(DAYS[-3:])
    assert all(len(str(found.get("BTC-USDT", ""))) < 1000 for found in bars.values())
    assert str(bars[DAYS[-1]]["large charts"]).startswith("![BTC-USDT")


def test_each_symbol_has_a_number_that_plots(
    market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance
) -> None:
    """Trades of each symbol and trades missing are numbers of their own, by day; indicators name their columns."""
    trades = made_up(DAYS[0], 2, 100)
    market.hold(trades.without(1010, 1011), tail="closed")
    market.hold(trades, "ETH-USDT", tail="closed")
    result = materialize(instance, pipeline, DAYS[0], DAYS[1])
    told = metadata_by_day(result, "ticks")
    numbers = {name: told[DAYS[0]][name] for name in ("trades BTC-USDT", "trades ETH-USDT", "trades missing")}
    assert numbers["trades BTC-USDT"] == numbers["trades ETH-USDT"] - 2 and numbers["trades missing"] == 2
    assert told[DAYS[1]]["trades missing"] == 0
    columns = metadata_by_day(result, "indicators")[DAYS[1]]["dagster/column_schema"].columns
    assert columns[0].name == "ts_open" and "rsi_14" in {column.name for column in columns}
    assert all(column.description for column in columns)


@pytest.mark.parametrize(("minutes", "timeframe"), [(1440, "15m"), (170, "5m"), (40, "1m"), (3, "1s")])
def test_a_chart_has_the_timeframe_that_fits_what_is_held(
    market: Market, pipeline: FixedPipeline, minutes: int, timeframe: str
) -> None:
    """The coarsest timeframe with thirty bars that have trades, else the finest: never empty candles."""
    every = made_up(DAYS[0], 1, 20_000)
    start = day_start(DAYS[0]) + 60 * 10**9
    market.hold(every.where((every.ts >= start) & (every.ts < start + minutes * 60 * 10**9)), tail="closed")
    pipeline.refresh("ticks", DAYS[0])
    done = pipeline.refresh("bars", DAYS[0])
    (picture,) = charts.of_day(pipeline.data, done, "gaussian_hmm")
    assert picture.large.startswith(f"![BTC-USDT  binance  {DAYS[0]}  {timeframe}]")


def test_what_a_gate_refuses_is_an_error_of_that_day_alone(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """A day of impossible prices fails its check, the run goes on, the other days are published."""
    trades = made_up(DAYS[0], 3, 300)
    bad = (trades.ts >= trades.ts[0]) & np.isin(np.arange(len(trades)), range(300, 600))
    market.hold(replace(trades, price=np.where(bad, -trades.price, trades.price)), tail="closed", publish=False)
    result = materialize(instance, pipeline, DAYS[0], DAYS[2], ("ticks", "bars"))
    assert result.success
    refused = {day for day, found in evaluations(instance, "ticks", "values").items() if not found.passed}
    assert refused and refused < set(DAYS[:3])
    assert all(found.passed for found in evaluations(instance, "ticks", "ids_rise").values())
    failed = evaluations(instance, "ticks", "values")[min(refused)]
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert "price" in str(failed.metadata["refused"].value)
    published = {leaf.day for leaf in market.ledger.leaves("ticks")}
    assert published == set(DAYS[:3]) - refused


def test_a_day_that_is_over_is_sealed_and_the_running_day_is_not(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """Materializing `ticks` seals yesterday; today may still grow."""
    market.hold(made_up("2024-08-11", 2, 200), publish=False)
    assert materialize(instance, pipeline, "2024-08-11", "2024-08-12", ("ticks",)).success
    assert market.ledger.sealed(Leaf("ticks", "binance", "BTC-USDT", "2024-08-11"))
    assert not market.ledger.sealed(Leaf("ticks", "binance", "BTC-USDT", "2024-08-12"))
    sealed = market.ledger.sealed_days("ticks")
    assert (sealed.pairs, day_names(sealed.ordinal)) == ([("binance", "BTC-USDT")], ["2024-08-11"])


def test_a_day_of_which_nothing_is_known_does_not_pass(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """Alone it is skipped, not materialized; in a range it says why. Its checks have no result."""
    market.hold(made_up("2024-08-08", 1, 50), tail="closed")
    alone = materialize(instance, pipeline, "2024-08-01", "2024-08-01")
    assert alone.success and alone.get_asset_materialization_events() == []
    assert evaluations(instance, "ticks", "completeness") == {}
    both = materialize(instance, pipeline, "2024-08-07", "2024-08-08", ("ticks", "bars"))
    assert metadata_by_day(both, "bars")["2024-08-07"].keys() == {"skipped"}
    assert set(evaluations(instance, "ticks", "completeness")) == {"2024-08-08"}
    assert set(evaluations(instance, "bars", "schema")) == {"2024-08-08"}


def test_a_directory_in_which_nothing_was_recorded_fails(unused: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """A run over an empty data directory says where it looked, and how to name another one."""
    job = definitions_on(unused).resolve_implicit_global_asset_job_def()
    with pytest.raises(dg.Failure, match=r"nothing was ever recorded in .*TRADING_PLATFORM_DATA_DIR"):
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("ticks")], partition_key="2024-08-08")


def test_an_end_that_nobody_vouches_for_is_red(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """A venue that fell silent fails the running day, and each day since on which nothing came at all."""
    market.hold(made_up("2024-08-11", 1, 50), tail="open", tail_ns=NOW_NS - 420 * 10**9)
    market.hold(made_up("2024-08-11", 1, 50), "ETH-USDT", lane="live-b", tail="closed")
    materialize(instance, pipeline, "2024-08-11", "2024-08-12", ("ticks",))
    found = evaluations(instance, "ticks", "completeness")
    assert "BTC-USDT is not known since 2024-08-12 11:53:00 UTC (7 min)" in str(found[NOW_DAY].description)
    assert (found[NOW_DAY].passed, found[NOW_DAY].severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "ETH-USDT" not in str(found[NOW_DAY].metadata["silent"].value)
    assert "not known" not in str(found["2024-08-11"].description)


def run_checks(
    instance: dg.DagsterInstance, pipeline: FixedPipeline, *checks: tuple[str, str], **where: str
) -> dg.ExecuteInProcessResult:
    """Do what the button does that executes checks: it names no day."""
    wanted = {dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in checks}
    job = definitions_on(pipeline).resolve_implicit_global_asset_job_def()
    return job.get_subset(asset_selection=set(), asset_check_selection=wanted).execute_in_process(
        instance=instance, **where
    )


def test_checks_alone_look_at_the_stored_files(
    market: Market,
    pipeline: FixedPipeline,
    instance: dg.DagsterInstance,
) -> None:
    """They look at the day that is named, else the latest held, claim no materialization, and change no file."""
    market.hold(made_up("2024-08-08", 2, 50), tail="closed")
    result = run_checks(instance, pipeline, ("ticks", "schema"), partition_key="2024-08-08")
    assert result.success and not result.get_asset_materialization_events()
    assert set(evaluations(instance, "ticks", "schema")) == {"2024-08-08"}
    assert evaluations(instance, "ticks", "completeness") == {}

    path = market.data.lake / Leaf("ticks", "binance", "BTC-USDT", "2024-08-09").path
    path.write_bytes(path.read_bytes()[:-5])
    before = market.files("ticks")
    assert run_checks(instance, pipeline, ("ticks", "schema"), ("ticks", "completeness"), ("bars", "schema")).success
    damaged = evaluations(instance, "ticks", "schema")["2024-08-09"]
    assert not damaged.passed and "is not the file that was published" in str(damaged.metadata["refused"].value)
    assert set(evaluations(instance, "ticks", "completeness")) == {"2024-08-09"}
    assert evaluations(instance, "bars", "schema") == {}  # no file is no pass
    assert market.files("ticks") == before


def test_a_refresh_needs_its_days(market: Market, pipeline: FixedPipeline, instance: dg.DagsterInstance) -> None:
    """Only checks choose a day by themselves."""
    market.hold(made_up("2024-08-08", 1, 50), tail="closed")
    job = definitions_on(pipeline).resolve_implicit_global_asset_job_def()
    with pytest.raises(dg.Failure, match="choose the days"):
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("ticks")])
