"""Dagster's second entry point: the warehouse, a code location of its own.

It is apart from definitions.py because importing it takes seconds and needs the parsed dbt project, which no run of the
other assets should wait for.
"""

from __future__ import annotations

import warnings

import dagster as dg

from trading_platform.orchestration.resources import PipelineResource

# Dagster warns, at every load, of what it calls beta; what we use of that is held by the pinned version and a test.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module="dagster")

from assets.warehouse import dbt_resource, warehouse  # noqa: E402  after the filter: its decorators warn
from sensors.refresh_warehouse import build_warehouse, refresh_warehouse  # noqa: E402

defs = dg.Definitions(
    assets=[warehouse],
    jobs=[build_warehouse],
    sensors=[refresh_warehouse],
    resources={"pipeline": PipelineResource(), "dbt": dbt_resource()},
    executor=dg.in_process_executor,
)
