"""The models of dbt/ as assets, their tests as checks, linked to the lake's assets by keys.

A code location of its own (trading_platform/warehouse_definitions.py): it needs dbt's parsed project when it is
imported, and dagster_dbt, which takes seconds; no run of the other assets should wait for that.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from packaging.version import Version

from trading_platform.domain.errors import WorkError
from trading_platform.orchestration.partitions import DAILY
from trading_platform.orchestration.resources import PipelineResource, settings_in_force
from trading_platform.store.fs.layout import DataDir
from trading_platform.warehouse import project

GROUP = "warehouse"


class WarehouseTranslator(DagsterDbtTranslator):
    """Names of dbt as Dagster shows them."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:  # noqa: ARG002  dagster_dbt's signature
        """Return one group for all."""
        return GROUP

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add where dbt's documentation of the model is, on the UI's own port."""
        page = f"/platform/dbt/#!/model/{dbt_resource_props['unique_id']}"
        return {**super().get_metadata(dbt_resource_props), "docs": dg.MetadataValue.md(f"[dbt docs]({page})")}


class QuietDbt(DbtCliResource):
    """dbt's command line, without `dbt --version`, which asks a package index for the newest one."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))


def dbt_resource() -> QuietDbt:
    """Return how dbt is called."""
    folder = str(project.project_dir())
    return QuietDbt(project_dir=folder, profiles_dir=folder, dbt_executable=project.executable())


@dbt_assets(
    manifest=project.manifest(DataDir(settings_in_force().data_dir)),
    name=GROUP,
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    # `stg_days` looks at the list of files, which changes with `bars`, as `stg_bars` looks at their rows.
    dagster_dbt_translator=WarehouseTranslator(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True)),
)
def warehouse(context: dg.AssetExecutionContext, dbt: QuietDbt, pipeline: PipelineResource) -> Iterator[Any]:
    """Build and test the models of the chosen days, then document them."""
    if context.selected_asset_keys and not _has_days(context):
        raise dg.Failure("choose the days: the warehouse is built for each day by itself")
    data = pipeline.data
    target = project.target_of(data) / context.run.run_id
    try:
        # What is parsed already is not parsed again.
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(project.target_of(data) / "partial_parse.msgpack", target)
        os.environ.update(project.variables(data))  # this process is the run's own; dbt is its child
        for event in dbt.cli(["build", *_days(context)], context=context, target_path=target).stream():
            if isinstance(event, dg.AssetCheckResult):
                pipeline.check_results.add(context, _evaluation(event))  # together: hundreds, one by one, take seconds
            else:
                yield event
        pipeline.check_results.flush()
        project.document(data)
        _follow_in_database(context, pipeline)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Return what a dbt test found, as Dagster stores it; of the whole table, not of a day."""
    assert result.asset_key is not None and result.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


def _follow_in_database(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> None:
    """Build the same models in the database, if there is one: a copy, whose absence fails no run."""
    url = pipeline.settings.database_url.get_secret_value()
    if not url:
        return
    try:
        project.build_in_database(pipeline.data, url)
    except WorkError as error:
        context.log.warning(f"the marts of the database are not up to date: {error}")


def _has_days(context: dg.AssetExecutionContext) -> bool:
    return bool(context.has_partition_key or context.has_partition_key_range)


def _days(context: dg.AssetExecutionContext) -> list[str]:
    """Return the words that limit a build to the days of a run; the buttons that execute a check name none."""
    if not _has_days(context):
        return []
    days = context.partition_keys
    return ["--vars", json.dumps({"from_day": min(days), "to_day": max(days)})]
