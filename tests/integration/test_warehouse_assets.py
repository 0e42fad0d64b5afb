"""The warehouse in Dagster: linked to the lake by keys, built by days, its tests as checks, its docs as a page."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from tests.support.builders.dagster_instance import FIRST_DAY, events, instance, range_tags  # noqa: F401  a fixture
from tests.support.builders.dbt_project import KEYS, rows
from tests.support.builders.two_venues import FIRST, LAST, filled  # noqa: F401  a fixture
from trading_platform.domain.errors import WorkError
from trading_platform.orchestration.partitions import daily
from trading_platform.orchestration.resources import PipelineResource, settings_in_force
from trading_platform.store.fs.layout import DataDir
from trading_platform.warehouse import project

# dagster_dbt itself uses what Dagster calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# ruff: noqa: F811  fixtures are handed in under their own names


@pytest.fixture(scope="module")
def defs(filled: Path) -> dg.Definitions:
    """Load the code location, which parses the project into the data directory."""
    with mock.patch.dict(os.environ, {"TRADING_PLATFORM_DATA_DIR": str(filled)}):
        settings_in_force.cache_clear()
        from trading_platform.warehouse_definitions import defs as found
    settings_in_force.cache_clear()
    return found


def test_models_follow_the_lakes_assets(defs: dg.Definitions) -> None:
    """bars → stg_bars, regimes → stg_regimes, ticks → stg_completeness; days are theirs; a range is one run."""
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    names = {key.path[-1]: key for key in graph.get_all_asset_keys()}
    assert set(KEYS) <= set(names)
    links = {"stg_bars": "bars", "stg_regimes": "regimes", "stg_completeness": "ticks", "stg_days": "bars"}
    for name, upstream in links.items():
        assert graph.get(names[name]).parent_keys == {dg.AssetKey(upstream)}
    made = [graph.get(key) for key in names.values() if len(key.path) == 2]
    assert {one.partitions_def for one in made} == {daily(FIRST_DAY)}
    assert {one.backfill_policy for one in made} == {dg.BackfillPolicy.single_run()}
    checked = {check.asset_key.path[-1] for check in graph.asset_check_keys}
    assert checked == set(names) - {"bars", "regimes", "ticks"}
    assert [sensor.name for sensor in defs.get_repository_def().sensor_defs] == ["refresh_warehouse"]


def test_a_range_of_days_is_built_checked_and_documented(
    defs: dg.Definitions, filled: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run over two of three days: their rows and partitions, a result of each check, dbt's page; nothing is left."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (warehouse,) = (one for one in defs.assets or () if isinstance(one, dg.AssetsDefinition))
    wanted = dg.AssetSelection.assets(dg.AssetKey(["marts", "venue_share"])).upstream() & dg.AssetSelection.groups(
        "warehouse"
    )
    resources = {**(defs.resources or {}), "pipeline": PipelineResource(data_dir=str(filled))}
    job = dg.define_asset_job("some", selection=wanted)
    made = dg.Definitions(assets=[warehouse], jobs=[job], resources=resources, executor=dg.in_process_executor)
    done = made.resolve_job_def("some").execute_in_process(instance=instance, tags=range_tags(FIRST, "2024-08-02"))
    assert done.success
    assert {str(day)[:10] for day in rows(filled, "marts.venue_share")["date"]} == {FIRST, "2024-08-02"} != {LAST}
    mart = dg.AssetKey(["marts", "venue_share"])
    assert instance.get_materialized_partitions(mart) == {FIRST, "2024-08-02"}
    checks = [
        event.asset_check_evaluation_data for event in events(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    assert {check.passed for check in checks} == {True}
    expected = {key for key in made.resolve_asset_graph().asset_check_keys if key.asset_key == mart}
    assert {check.asset_check_key for check in checks if check.asset_key == mart} == expected
    for key in expected:  # Dagster plans a row for each day of the run
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        assert [(one.status, one.partition) for one in history] == [(AssetCheckExecutionRecordStatus.SUCCEEDED, None)]
    assert "venue_share" in (filled / "dbt-docs" / "index.html").read_text()
    assert not [path for path in (filled / "run" / "dbt").iterdir() if path.is_dir()]
    assert list((filled / "run" / "warehouse").iterdir()) == []


def test_a_build_without_days_is_refused(defs: dg.Definitions, filled: Path, instance: dg.DagsterInstance) -> None:
    """`dagster job launch` names no day: the run says so at once, and builds nothing."""
    (warehouse,) = (one for one in defs.assets or () if isinstance(one, dg.AssetsDefinition))
    before = (filled / "warehouse.duckdb").read_bytes()
    resources = {**(defs.resources or {}), "pipeline": PipelineResource(data_dir=str(filled))}
    job = dg.Definitions(assets=[warehouse], jobs=[dg.define_asset_job("all", "*")], resources=resources)
    with pytest.raises(dg.Failure, match="choose the days"):
        job.resolve_job_def("all").execute_in_process(instance=instance)
    assert (filled / "warehouse.duckdb").read_bytes() == before


def test_the_project_is_parsed_again_only_after_a_change(
    defs: dg.Definitions, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is parsed is taken as it is; no data directory is made for it; a wrong model is named in one line."""
    found = project.manifest(DataDir(filled))
    monkeypatch.setattr(project, "executable", lambda: "/nonexistent")
    assert project.manifest(DataDir(filled)) == found and found.is_file()
    (tmp_path / "dbt").write_text("#!/bin/sh\necho 'Compilation Error in model mine'; exit 2\n")
    (tmp_path / "dbt").chmod(0o755)
    monkeypatch.setattr(project, "executable", lambda: str(tmp_path / "dbt"))
    (found.parent / "parsed").write_text("another one")
    with pytest.raises(WorkError):
        project.manifest(DataDir(tmp_path / "never"))
    assert not (tmp_path / "never").exists()
    with pytest.raises(WorkError, match="dbt parse failed: Compilation Error in model mine"):
        project.manifest(DataDir(filled))
