"""What is stored is looked at again: each way in which a file can be wrong is found, under the check that it breaks."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from quality.naive_bars import naive_bar
from quality.named_checks import CHECKS
from quality.stored_checks import verify_stored
from quality.verification import STORED, Findings, StoredData, changed, verify
from sensors.verify_stored import verify_changed, verify_everything
from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_NS,
    FixedPipeline,
    definitions_on,
    defs,
    events,
    instance,
    market,
    pipeline,
)
from tests.support.builders.lakes import Market, made_up
from tests.support.builders.stored_faults import BARS, DAY, DAYS, STORED_FAULTS, TICKS, flip
from trading_platform.orchestration import keys

# ruff: noqa: F811  fixtures are handed in under their own names


@pytest.fixture
def whole(market: Market, pipeline: FixedPipeline) -> Market:
    """Two days with all that is computed of them."""
    market.hold(made_up(DAYS[0], 2, 200), tail="closed")
    for dataset in ("bars", "indicators", "regimes"):
        for day in DAYS:
            pipeline.refresh(dataset, day)
    return market


def look(market: Market, pipeline: FixedPipeline, *, everything: bool = True, budget_s: float = 60.0) -> Findings:
    stored = StoredData(market.data, market.ledger, pipeline.gates(), pipeline.pipeline)
    ticking = iter(range(100_000))
    return verify(
        stored,
        NOW_NS,
        random.Random(1),
        everything=everything,
        budget_s=budget_s,
        monotonic=lambda: next(ticking) / 1e3,
    )


def found(findings: Findings) -> set[tuple[str, str]]:
    return {key for key, violations in findings.violations.items() if violations}


@pytest.mark.parametrize("name", STORED_FAULTS)
def test_a_fault_of_what_is_stored_is_found(whole: Market, pipeline: FixedPipeline, name: str) -> None:
    """It breaks exactly its checks."""
    fault, checks = STORED_FAULTS[name]
    fault(whole)
    assert found(look(whole, pipeline)) == checks


def test_clean_days_break_nothing(whole: Market, pipeline: FixedPipeline) -> None:
    """Every check of what is held is asked, and all hold."""
    findings = look(whole, pipeline)
    assert found(findings) == set()
    asked = {(name, check) for name in STORED if name != "instruments" for check in STORED[name]}
    assert set(findings.looked_at) == asked


def test_only_what_changed_is_looked_at_again(whole: Market, pipeline: FixedPipeline) -> None:
    """A second look at changed files finds none; a published day is looked at, and a bad one again and again."""
    first = look(whole, pipeline, everything=False)
    assert first.files == len(changed_before := list(whole.ledger.leaves("ticks"))) + _computed(whole)
    assert changed_before and look(whole, pipeline, everything=False).files == 0
    more = made_up(DAY, 1, 10, first_id=9000)
    whole.hold(replace(more), lane="other")
    assert changed(whole.data, whole.ledger) == [TICKS]
    flip(TICKS)(whole)
    assert found(look(whole, pipeline, everything=False)) == {("ticks", "stored_files")}
    assert found(look(whole, pipeline, everything=False)) == {("ticks", "stored_files")}


def _computed(market: Market) -> int:
    return sum(len(market.ledger.leaves(name)) for name in ("bars", "indicators", "regimes"))


def test_what_a_budget_leaves_comes_first_the_next_time(whole: Market, pipeline: FixedPipeline) -> None:
    """Two looks with half the budget each see every file."""
    first = look(whole, pipeline, budget_s=0.01)
    assert first.files and first.left
    total = first.files + first.left
    seen = first.files
    while first.left and seen < total:
        first = look(whole, pipeline, budget_s=0.01)
        seen += first.files
    assert seen >= total


def test_a_bar_is_made_again_the_obvious_way() -> None:
    """Sums are exact in decimals and rounded once; the order of trades gives open and close."""
    bar = naive_bar([0.1, 0.3, 0.2], [3.0, 0.1, 0.2])
    assert bar == {
        "open": 0.1,
        "high": 0.3,
        "low": 0.1,
        "close": 0.2,
        "trade_count": 3,
        "volume": 3.3,
        "quote_volume": 0.37,
    }


def test_the_job_reports_findings_as_checks(whole: Market, pipeline: FixedPipeline, instance) -> None:
    """Each check that looked at something has a result; days published without Dagster are observed once."""
    flip(BARS)(whole)
    job = definitions_on(pipeline, verify_stored).resolve_job_def(keys.VERIFY_STORED)
    for _ in range(2):
        assert job.execute_in_process(instance=instance).success
    results = {
        (event.event_specific_data.asset_key.to_user_string(), event.event_specific_data.check_name): event
        for event in events(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    }
    failed = {key for key, event in results.items() if not event.event_specific_data.passed}
    assert failed == {("bars", "stored_files")}
    assert ("instruments", "stored_files") not in results  # nothing of it is held: no pass
    observed = events(instance, dg.DagsterEventType.ASSET_OBSERVATION)
    days = [(e.asset_key.to_user_string(), e.partition) for e in observed]
    assert sorted(days) == sorted((name, day) for name in ("ticks", "bars", "indicators", "regimes") for day in DAYS)


def test_the_hourly_look_is_launched_where_something_changed(
    market: Market, pipeline: FixedPipeline, tmp_path: Path
) -> None:
    """Nothing recorded and nothing changed launch nothing; the daily look is launched whenever anything is held."""
    home = tmp_path / "home"
    home.mkdir()
    repository = defs.get_repository_def()
    with dg.DagsterInstance.local_temp(str(home)) as stored:

        def tick(schedule: dg.ScheduleDefinition) -> dg.RunRequest | str:
            resources = {"pipeline": pipeline}
            with dg.build_schedule_context(stored, resources=resources, repository_def=repository) as context:
                told = schedule.evaluate_tick(context)
            return told.run_requests[0] if told.run_requests else str(told.skip_message)

        assert tick(verify_changed) == "no file was published since the last look"
        market.hold(made_up(DAY, 1, 50), tail="closed")
        request = tick(verify_changed)
        assert request.tags[keys.REASON] == "1 changed files"
        look(market, pipeline, everything=False)
        assert tick(verify_changed) == "no file was published since the last look"
        assert tick(verify_everything).tags[keys.REASON] == "once a day"


def test_named_checks_have_one_meaning() -> None:
    """No check of a gate has the name of a check of what is stored."""
    assert set(keys.ASSETS) == set(STORED) == set(CHECKS)
    assert not any(CHECKS[name].keys() & STORED[name].keys() for name in STORED)
