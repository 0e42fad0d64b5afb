"""Show in Dagster what was sealed or computed without it: one observation a day of each dataset, once.

A materialization stays what a run of Dagster made; so a new DAGSTER_HOME over an old data directory is not blank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys

if TYPE_CHECKING:
    from trading_platform.orchestration.resources import PipelineResource

MOST = 2000
"""Observations of one run: ten years of two datasets take a few days to appear."""


def observe_outside(context: dg.OpExecutionContext, pipeline: PipelineResource) -> int:
    """Observe each day that is published, but that Dagster neither made nor observed; return how many."""
    written = 0
    for name in DATASETS:
        key = keys.ASSETS[name]
        days: dict[str, list[int]] = {}
        for leaf, record in pipeline.ledger.leaves(name).items():
            days.setdefault(leaf.day, []).append(record.rows)
        known = set(context.instance.get_materialized_partitions(key))
        unknown = sorted(day for day in days if day not in known and pipeline.is_over(day))
        if not unknown:
            continue
        observed = _observed(context.instance, key)
        for day in [day for day in unknown if day not in observed][: MOST - written]:
            context.log_event(
                dg.AssetObservation(
                    key,
                    partition=day,
                    description="published without Dagster",
                    metadata={"files": len(days[day]), "dagster/partition_row_count": sum(days[day])},
                )
            )
            written += 1
    return written


def _observed(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    wanted = dg.AssetRecordsFilter(asset_key=key)
    found: set[str] = set()
    cursor = None
    while True:
        page = instance.fetch_observations(wanted, limit=1000, cursor=cursor)
        found |= {record.partition_key for record in page.records if record.partition_key is not None}
        if not page.has_more:
            return found
        cursor = page.cursor
