"""Check results that are stored together are stored as Dagster would store them one by one."""

# No `from __future__ import annotations`: Dagster reads the annotations of assets as objects.

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from trading_platform.orchestration import keys
from trading_platform.orchestration.history.check_results import CheckResults

DAYS = dg.StaticPartitionsDefinition([f"2024-08-{number:02}" for number in range(1, 8)])
QUIET = {
    "telemetry": {"enabled": False},
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}


def job(together: CheckResults | None, *, fails: bool = False) -> dg.JobDefinition:
    """Return a job that reports two checks a day, one of them failing on the second day."""

    @dg.multi_asset(
        name="numbers",
        specs=[dg.AssetSpec("numbers", partitions_def=DAYS)],
        check_specs=[dg.AssetCheckSpec(name, asset="numbers", partitions_def=DAYS) for name in ("a", "b")],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def numbers(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
        for day in context.partition_keys:
            for name in ("a", "b"):
                passed = not (day.endswith("02") and name == "b")
                result = dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey("numbers"), check_name=name, partition=day, passed=passed, description=day
                )
                context.log_event(result) if together is None else together.add(context, result)
        if together is not None:
            together.flush()
        yield dg.MaterializeResult(asset_key="numbers")
        for name in ("a", "b"):
            yield dg.Output(None, output_name=f"numbers_{name}")

    chosen = dg.define_asset_job("all_days", selection=[numbers])
    return dg.Definitions([numbers], jobs=[chosen], executor=dg.in_process_executor).resolve_job_def("all_days")


def run(instance: dg.DagsterInstance, together: CheckResults | None) -> str:
    """Run it over all days; return the run."""
    first, last = DAYS.get_first_partition_key(), DAYS.get_last_partition_key()
    done = job(together).execute_in_process(instance=instance, tags={keys.RANGE_START: first, keys.RANGE_END: last})
    assert done.success
    return done.run_id


def stored(instance: dg.DagsterInstance, run_id: str) -> list[tuple[Any, ...]]:
    """Return all that is stored of a run's checks but its ids and times: in the run, in the index, in the table."""
    events = instance.event_log_storage
    of_type = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    found: list[tuple[Any, ...]] = []
    for record in instance.get_records_for_run(run_id, of_type=of_type).records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        tags = {name: tag for name, tag in event.logging_tags.items() if tag != run_id}
        entry = record.event_log_entry._replace(timestamp=0, run_id="", dagster_event=None)
        found.append((entry, event._replace(logging_tags=tags)))
    with events.index_connection() as connection:  # type: ignore[attr-defined]
        logged = sa.text(
            "SELECT dagster_event_type, step_key, asset_key, partition, id FROM event_logs "
            f"WHERE run_id = :run AND dagster_event_type = '{of_type.value}' ORDER BY id"
        )
        rows = connection.execute(logged, {"run": run_id}).all()
        place = {row[-1]: at for at, row in enumerate(rows)}
        found += [tuple(row[:-1]) for row in rows]
        executions = sa.text("SELECT * FROM asset_check_executions WHERE run_id = :run ORDER BY check_name, partition")
        for row in connection.execute(executions, {"run": run_id}).mappings():
            event = json.loads(row["evaluation_event"])["dagster_event"]
            shown = {name: row[name] for name in ("asset_key", "check_name", "partition", "execution_status")}
            at = place.get(row["evaluation_event_storage_id"])
            found.append((shown, event["event_specific_data"], at, row["materialization_event_storage_id"]))
    return found


@pytest.fixture(params=["in memory", "in files"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Give an instance whose events lie in one place, and one where each run has a file of its own."""
    files = request.param == "in files"
    with dg.DagsterInstance.local_temp(str(tmp_path), QUIET) if files else dg.DagsterInstance.ephemeral() as found:
        yield found


def test_together_they_are_stored_as_one_by_one(instance: dg.DagsterInstance) -> None:
    """Events of the run, their copies in the index, and the table that the UI reads."""
    one_by_one = stored(instance, run(instance, None))
    assert len(one_by_one) >= 3 * 2 * 7
    assert stored(instance, run(instance, CheckResults())) == one_by_one
    failed = [
        info.partition_key
        for info in instance.event_log_storage.get_asset_check_partition_info(
            [dg.AssetCheckKey(dg.AssetKey("numbers"), "b")]
        )
        if info.latest_execution_status.value == "FAILED"
    ]
    assert failed == ["2024-08-02"]


def test_a_result_waits_for_others_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a range run that works for hours fills while it works."""
    flushed: list[float] = []
    clock = iter(range(0, 1000, 2))
    results = CheckResults(lambda: float(next(clock)))
    store = CheckResults.flush
    monkeypatch.setattr(CheckResults, "flush", lambda self: (flushed.append(len(self._waiting)), store(self)))
    with dg.DagsterInstance.ephemeral() as instance:
        run(instance, results)
    assert flushed == [3, 3, 3, 3, 2]  # the clock says 2 s more each time it is asked
