"""Build a Dagster asset from a pipeline dataset: partitioned by day, with its reported checks.

This is the part that all assets share; assets/ only says: for each day, refresh, report.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from trading_platform.domain.column_meanings import meaning
from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys
from trading_platform.orchestration.partitions import DAILY, YESTERDAY
from trading_platform.orchestration.reporting.report import report
from trading_platform.orchestration.resources import PipelineResource, settings_in_force
from trading_platform.settings import PREFIX
from trading_platform.store.fs.layout import DataDir

EXTERNAL = (
    dg.AssetSpec(
        keys.EXCHANGE,
        description="The exchanges whose trades are recorded: their streams, REST services and daily files.",
        group_name=keys.RAW,
        kinds={"websocket"},
        owners=keys.OWNERS,
    ),
    dg.AssetSpec(
        keys.RAW_LOG,
        deps=[keys.EXCHANGE],
        description="Everything that was received, byte for byte and in order. Ingest and recovery write it, without "
        "Dagster; all else can be made from it again.",
        group_name=keys.RAW,
        kinds={"file"},
        owners=keys.OWNERS,
        metadata={"dagster/uri": (DataDir(settings_in_force().data_dir.absolute()).log).as_uri()},
    ),
)
"""Assets that Dagster shows and does not make."""

Reported = Iterator[dg.MaterializeResult[Any] | dg.Output[None]]
"""What an asset yields once every day is reported; nothing if nothing is known of any."""


def daily_asset(
    dataset: str, *, checks: Sequence[dg.AssetCheckSpec]
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make an asset of a function that brings a dataset's days up to date; its docstring is the description.

    Parameters
    ----------
    dataset : of `domain.datasets.DATASETS`, which says what it depends on: its upstream, and where a day starts from
        the end of the day before, that day.
    """
    key, of = keys.ASSETS[dataset], DATASETS[dataset]
    upstream = [dg.AssetDep(keys.RAW_LOG if of.upstream is None else keys.ASSETS[of.upstream])]
    if of.stateful:
        upstream.append(dg.AssetDep(key, partition_mapping=YESTERDAY))

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        spec = dg.AssetSpec(
            key,
            deps=upstream,
            description=function.__doc__,
            group_name=keys.group_of(dataset),
            partitions_def=DAILY,
            kinds={"parquet", "python"},
            owners=keys.OWNERS,
            tags={keys.DATASET: dataset},
            metadata=described(dataset),
            skippable=True,  # of a day on which nothing was recorded nothing is materialized
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            # can_subset: a check is reported for every day of a range (report.py), which makes its own output optional.
            return dg.multi_asset(
                name=dataset,
                specs=[spec],
                check_specs=list(checks),
                can_subset=True,
                backfill_policy=dg.BackfillPolicy.single_run(),
            )(function)

    return decorate


def described(dataset: str) -> dict[str, Any]:
    """Return what is known of a dataset before any day of it: where it lies, its columns and what they mean."""
    columns = [
        dg.TableColumn(name, kind, description=meaning(dataset, name))
        for name, kind in DATASETS[dataset].columns.items()
    ]
    place = DataDir(settings_in_force().data_dir.absolute()).lake / dataset
    return {"dagster/uri": place.as_uri(), "dagster/column_schema": dg.TableSchema(columns)}


def refreshed(context: dg.AssetExecutionContext, pipeline: PipelineResource, dataset: str) -> Reported:
    """Bring each day of the run up to date and report it, as soon as it is done, with its own metadata.

    Where nothing is known of any of the days the asset is skipped, not materialized. A run of checks alone looks at the
    stored files and changes nothing; without a day it takes the latest one that is held.

    Raises
    ------
    Failure : if nothing was ever recorded in the data directory.
    """
    if not pipeline.has_data:
        raise dg.Failure(
            f"nothing was ever recorded in {pipeline.data.root}; name the data directory with "
            f"{PREFIX}DATA_DIR, or with the DAGSTER_HOME that `trading-platform up` prints"
        )
    recorded = DATASETS[dataset].recorded
    only_checks = not context.selected_asset_keys
    known = []
    for day in _days(context, pipeline):
        if only_checks:
            done = pipeline.look_at(dataset, day)
        else:
            done = pipeline.refresh(dataset, day, seal=recorded and pipeline.is_over(day))
        known.append(report(context, day, done))
    pipeline.check_results.flush()
    if not any(known):
        return
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key)
    for name, spec in context.assets_def.check_specs_by_output_name.items():
        if spec.key in context.selected_asset_check_keys:
            # Each day has its own result already; this only says that the check's output is not forgotten.
            yield dg.Output(None, output_name=name)


def _days(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Sequence[str]:
    """Return the days of a run; the buttons that execute a check name none."""
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    latest = max((row.day for row in pipeline.ledger.day_report(pipeline.now_ns())), default=None)
    if context.selected_asset_keys or latest is None:
        raise dg.Failure("choose the days: this asset is made for each day by itself")
    return [latest]
