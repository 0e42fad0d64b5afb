"""Old runs are deleted with all that they left, and what the UI shows of their days stays."""

# No `from __future__ import annotations`: Dagster reads the annotations of assets as objects.

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.dagster_run import DagsterRun

from trading_platform.orchestration import keys
from trading_platform.orchestration.history.pruning import KEPT_DAYS, ORPHAN_S, forget, forget_old, sweep

DAYS = dg.StaticPartitionsDefinition(["2024-08-08", "2024-08-09", "2024-08-10"])
A_DAY = 86_400.0
QUIET = {"telemetry": {"enabled": False}}

pytestmark = pytest.mark.process  # Dagster captures the output of a step with `tail`


@dg.multi_asset(
    name="numbers",
    specs=[dg.AssetSpec("numbers", partitions_def=DAYS)],
    check_specs=[dg.AssetCheckSpec("sane", asset="numbers", partitions_def=DAYS)],
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def numbers(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
    """Report each day with its check, as the platform's assets do."""
    print("working")
    for day in context.partition_keys:
        context.add_asset_metadata({"run": context.run.run_id}, asset_key="numbers", partition_key=day)
        context.log_event(
            dg.AssetCheckEvaluation(asset_key=dg.AssetKey("numbers"), check_name="sane", partition=day, passed=True)
        )
    yield dg.MaterializeResult(asset_key="numbers")
    yield dg.Output(None, output_name="numbers_sane")


KEY = dg.AssetKey("numbers")
CHECK = dg.AssetCheckKey(KEY, "sane")
JOB = dg.Definitions(
    assets=[numbers],
    jobs=[dg.define_asset_job(keys.REFRESH_TODAY, selection=[numbers])],
    executor=dg.in_process_executor,
).resolve_job_def(keys.REFRESH_TODAY)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an instance's databases, once: that takes longer than a test."""
    root = tmp_path_factory.mktemp("empty")
    dg.DagsterInstance.local_temp(str(root), overrides=QUIET).dispose()
    return root


@pytest.fixture
def instance(empty: Path, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Give an instance with its files."""
    root = shutil.copytree(empty, tmp_path / "home")
    with dg.DagsterInstance.local_temp(str(root), overrides=QUIET) as found:
        yield found


def refresh(instance: dg.DagsterInstance, *days: str) -> str:
    """Run the job over one day, or a range of days."""
    tags = {keys.RANGE_START: days[0], keys.RANGE_END: days[-1]} if len(days) > 1 else None
    done = JOB.execute_in_process(instance=instance, partition_key=None if tags else days[0], tags=tags)
    assert done.success
    return done.run_id


def files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """Return every file and folder that is named after a run, or lies in such a folder."""
    return [path for path in Path(instance.root_directory).rglob("*") if run_id in str(path)]


def rows(instance: dg.DagsterInstance) -> dict[str, int]:
    """Count the rows of each table that runs write to."""
    counts = {}
    for connect, tables in (
        (instance.run_storage.connect, ("runs", "run_tags")),  # type: ignore[attr-defined]
        (instance.event_log_storage.index_connection, ("event_logs", "asset_event_tags", "asset_check_executions")),  # type: ignore[attr-defined]
    ):
        with connect() as connection:
            for table in tables:
                counts[table] = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()
    return counts


def shown(instance: dg.DagsterInstance) -> dict[str, tuple[str, str]]:
    """Return for each day what the UI shows, worked out afresh: the run of its materialization, and of its check."""
    instance.event_log_storage.wipe_asset_cached_status(KEY)
    statuses = instance.get_status_by_partition(KEY, DAYS.get_partition_keys(), DAYS)
    assert statuses is not None
    found = {}
    for day, status in statuses.items():
        if status is None:
            continue
        assert status.value == "MATERIALIZED"
        (record,) = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=[day]), limit=1
        ).records
        (check,) = [
            info
            for info in instance.event_log_storage.get_asset_check_partition_info([CHECK])
            if info.partition_key == day
        ]
        assert check.latest_execution_status.value == "SUCCEEDED"
        found[day] = (record.run_id, check.latest_planned_run_id)
    return found


def test_the_latest_of_each_day_outlives_its_run(instance: dg.DagsterInstance) -> None:
    """After every run is pruned each day is shown as materialized and checked, by the run that did it last."""
    first = refresh(instance, "2024-08-08", "2024-08-09")
    again = [refresh(instance, "2024-08-09") for _ in range(3)]
    before = shown(instance)
    assert before == {"2024-08-08": (first, first), "2024-08-09": (again[-1], again[-1])}
    for run_id in (again[0], first, again[2], again[1]):  # whatever the order
        forget(instance, run_id)
    assert shown(instance) == before
    assert rows(instance) == {
        "runs": 0,
        "run_tags": 0,
        "event_logs": 2,
        "asset_event_tags": rows(instance)["asset_event_tags"],
        "asset_check_executions": 2,
    }
    assert instance.get_latest_materialization_event(KEY) is not None


def test_a_run_leaves_no_file_and_no_tag(instance: dg.DagsterInstance) -> None:
    """Its database, its captured output, its folder; Dagster's own way leaves them all."""
    kept, gone = refresh(instance, "2024-08-08"), refresh(instance, "2024-08-09")
    assert len(files(instance, gone)) > 3
    held = files(instance, kept)
    forget(instance, gone)
    assert files(instance, gone) == [] and files(instance, kept) == held
    assert instance.get_run_by_id(gone) is None and len(instance.all_logs(kept)) > 5


def test_space_does_not_grow_with_runs(instance: dg.DagsterInstance) -> None:
    """Four refreshes of a day leave as many files and rows as two, and no bigger a database."""
    index = Path(instance.event_log_storage.path_for_shard("index"))  # type: ignore[attr-defined]

    def after(runs: int) -> tuple[int, dict[str, int], int]:
        for _ in range(runs):
            forget(instance, refresh(instance, "2024-08-10"))
        sweep(instance, time.time())
        return len(list(Path(instance.root_directory).rglob("*"))), rows(instance), index.stat().st_size

    (names, held, size), (names_then, held_then, size_then) = after(2), after(2)
    assert (names_then, held_then) == (names, held)
    assert size_then - size < 20_000  # a run's rows in it take 40,000


def test_ages_go_by_the_end_and_by_the_job(instance: dg.DagsterInstance) -> None:
    """Refreshes go after three days, others much later, running ones never."""
    now = time.time()
    refresh(instance, "2024-08-08")
    other = _run(instance, "other", dg.DagsterRunStatus.SUCCESS)
    going = _run(instance, "going", dg.DagsterRunStatus.STARTED)
    refreshes = KEPT_DAYS[keys.REFRESH_TODAY] * A_DAY
    assert forget_old(instance, now + refreshes - 60) == 0
    assert forget_old(instance, now + refreshes + 60) == 1
    assert {run.run_id for run in instance.get_runs()} == {other, going}
    assert forget_old(instance, now + (KEPT_DAYS[None] or 0) * A_DAY + 60) == 1
    assert [run.run_id for run in instance.get_runs()] == [going]


def test_a_few_at_a_time(instance: dg.DagsterInstance) -> None:
    """A tick of the sensor has an end however much there is."""
    for _ in range(3):
        _run(instance, keys.REFRESH_TODAY, dg.DagsterRunStatus.SUCCESS)
    later = time.time() + 400 * A_DAY
    assert [forget_old(instance, later, most=2) for _ in range(3)] == [2, 1, 0]


def test_the_newest_recording_of_a_venue_is_never_forgotten(instance: dg.DagsterInstance) -> None:
    """In it stands that a person has cancelled it: without it recording would begin again."""
    runs = [
        _run(instance, keys.INGEST, dg.DagsterRunStatus.CANCELED, {keys.VENUE: venue}) for venue in ("a", "b", "a", "b")
    ]
    assert forget_old(instance, time.time() + 400 * A_DAY) == 2
    assert {run.run_id for run in instance.get_runs()} == set(runs[2:])


def test_what_is_left_of_runs_that_are_gone_is_swept(instance: dg.DagsterInstance) -> None:
    """Dagster's own deletion leaves files; they go once they are a day old, and those of runs that exist stay."""
    kept, gone = refresh(instance, "2024-08-08"), refresh(instance, "2024-08-09")
    instance.delete_run(gone)
    left = files(instance, gone)
    assert left
    now = max(path.stat().st_mtime for path in left)
    assert sweep(instance, now + ORPHAN_S - 60).files == 0
    assert files(instance, gone) == left
    assert sweep(instance, now + ORPHAN_S + 60, most=1).more
    sweep(instance, now + ORPHAN_S + 60)
    assert files(instance, gone) == [] and len(files(instance, kept)) > 3


def test_observations_do_not_pile_up(instance: dg.DagsterInstance) -> None:
    """Events without a run have no run to go with: they go by their age, the last of each asset stays."""
    for number in range(4):
        instance.report_runless_asset_event(dg.AssetObservation(KEY, metadata={"n": number}))
    now = time.time()
    assert sweep(instance, now).rows == 0
    assert sweep(instance, now + 30 * A_DAY).rows == 3
    (last,) = instance.fetch_observations(KEY, limit=9).records
    assert last.asset_observation is not None and last.asset_observation.metadata["n"].value == 3
    shard = Path(instance.event_log_storage.path_for_shard(""))  # type: ignore[attr-defined]
    assert shard.name == ".db" and shard.exists()


def test_a_prune_that_was_cut_short_is_done_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is listed until everything else of it is gone."""
    run_id = refresh(instance, "2024-08-08")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", full)
        with pytest.raises(OSError, match="no space"):
            forget(instance, run_id)
    assert instance.get_run_by_id(run_id) is not None
    assert forget_old(instance, time.time() + 10 * A_DAY) == 1
    assert files(instance, run_id) == []


def _run(
    instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None
) -> str:
    run = instance.add_run(DagsterRun(job_name=job, status=status, tags=tags))
    return run.run_id
