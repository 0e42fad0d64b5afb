"""Names that Dagster shows: assets, checks, jobs, tags; kept in one place so that the UI is consistent."""

from __future__ import annotations

import dagster as dg

from trading_platform.domain.datasets import DATASETS

ASSETS: dict[str, dg.AssetKey] = {name: dg.AssetKey(name) for name in DATASETS}
"""Dataset to asset, inputs first."""

TICKS = ASSETS["ticks"]
REPORT = dg.AssetKey("report")
STATISTICS = dg.AssetKey("statistics")
EXCHANGE, RAW_LOG = dg.AssetKey("exchange"), dg.AssetKey("raw_log")
"""What lies before the assets and is not Dagster's: where trades come from, and the log that ingest writes."""

RAW, DERIVED, MODELS, QUALITY = "raw", "derived", "models", "quality"
"""Groups of assets, beside dbt's `warehouse`."""

OWNERS = ("team:market-data",)

DATASET = "trading_platform/dataset"
"""Tag of an asset: the dataset that it is."""


def group_of(dataset: str) -> str:
    """Return the group of a dataset's asset.

    >>> group_of("ticks"), group_of("bars"), group_of("regimes")
    ('raw', 'derived', 'models')
    """
    of = DATASETS[dataset]
    return MODELS if "model" in of.keys else RAW if of.upstream is None else DERIVED


SCHEMA = "schema"
COMPLETENESS = "completeness"

REFRESH_TODAY = "refresh_today"
SEAL_DAYS = "seal_days"
RECOVER_GAPS = "recover_gaps"
COMPARE_DAYS = "compare_days"
BUILD_WAREHOUSE = "build_warehouse"
WRITE_REPORT = "write_report"
DAILY_CHECKPOINT = "daily_checkpoint"
VERIFY_STORED = "verify_stored"
INGEST = "ingest"

WORK = "trading_platform/work"
"""What kind of work a run is: `ingest`, `recovery`, `comparison`, `refresh`, `warehouse`, `report`; dagster.yaml limits
each."""

REASON = "trading_platform/reason"
"""Why a run was started, in words."""

TIER = "trading_platform/tier"
"""Who must act when a check fails: `page` somebody at once, `ticket` somebody within hours, `dashboard` nobody."""

LEASE = "trading_platform/lease"
"""The lease of gaps that a recovery run works on."""

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

VENUE = "trading_platform/venue"
"""The venue that an ingest run records."""

STOPPED = "trading_platform/stopped_with"
"""Set on runs that were cancelled because the whole platform stopped, not by a person."""
