"""Names that Dagster shows: assets, checks, jobs, tags; kept in one place so that the UI is consistent."""

from __future__ import annotations

import dagster as dg

from trading_platform.domain.datasets import DATASETS

ASSETS: dict[str, dg.AssetKey] = {name: dg.AssetKey(name) for name in DATASETS}
"""Dataset to asset, inputs first."""

TICKS = ASSETS["ticks"]
GROUP = "market_data"

REPORT = dg.AssetKey("report")
QUALITY_GROUP = "quality"

SCHEMA = "schema"
COMPLETENESS = "completeness"

REFRESH_TODAY = "refresh_today"
SEAL_DAYS = "seal_days"
RECOVER_GAPS = "recover_gaps"
COMPARE_DAYS = "compare_days"
BUILD_WAREHOUSE = "build_warehouse"
WRITE_REPORT = "write_report"
INGEST = "ingest"

WORK = "work"
"""What kind of work a run is: `ingest`, `recovery`, `comparison`, `refresh`, `warehouse`; dagster.yaml limits each."""

REASON = "reason"
"""Why a run was started, in words."""

LEASE = "lease"
"""The lease of gaps that a recovery run works on."""

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

VENUE = "venue"
"""The venue that an ingest run records."""

STOPPED = "stopped_with"
"""Set on runs that were cancelled because the whole platform stopped, not by a person."""
