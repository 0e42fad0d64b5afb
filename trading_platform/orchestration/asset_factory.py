"""Build a Dagster asset from a pipeline dataset: partitioned by day, with its reported checks.

This is the part that all assets share; assets/ only says: for each day, refresh, report.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys
from trading_platform.orchestration.partitions import DAILY, YESTERDAY

Reported = Iterator[dg.MaterializeResult[Any] | dg.Output[None]]
"""What an asset yields once every day is reported."""


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
    upstream = [] if of.upstream is None else [dg.AssetDep(keys.ASSETS[of.upstream])]
    if of.stateful:
        upstream.append(dg.AssetDep(key, partition_mapping=YESTERDAY))

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        spec = dg.AssetSpec(
            key,
            deps=upstream,
            description=function.__doc__,
            group_name=keys.GROUP,
            partitions_def=DAILY,
            kinds={"parquet"},
            tags={"dataset": dataset},
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


def materialized(context: dg.AssetExecutionContext) -> Reported:
    """Yield what was asked for, the asset, its checks or both; `report` has given each day its own metadata."""
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key)
    for name, spec in context.assets_def.check_specs_by_output_name.items():
        if spec.key in context.selected_asset_check_keys:
            # Each day has its own result already; this only says that the check's output is not forgotten.
            yield dg.Output(None, output_name=name)
