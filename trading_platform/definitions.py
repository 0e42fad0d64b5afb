"""Dagster's entry point: assemble all assets, checks, jobs, sensors and schedules, with settings and gates.

Importing it does not need the data directory, which may not exist yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module

import dagster as dg

from assets.report import report
from assets.statistics import statistics
from quality.named_checks import CHECKS, check_of
from quality.schemas import GATES
from quality.stored_checks import verify_stored
from sensors.compare_days import compare_days
from sensors.daily_checkpoint import daily_checkpoint
from sensors.daily_report import daily_report
from sensors.gap_recovery import gap_recovery
from sensors.ingest_keepalive import ingest_keepalive
from sensors.notify import notify
from sensors.observe_ingest import observe_ingest
from sensors.refresh_today import refresh_today
from sensors.seal_days import seal_days
from sensors.tidy_runs import tidy_runs
from sensors.verify_stored import verify_changed, verify_everything, verify_job
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.verdict import Gate
from trading_platform.orchestration.asset_factory import EXTERNAL
from trading_platform.orchestration.jobs import JOBS
from trading_platform.orchestration.resources import PipelineResource


class GatedPipeline(PipelineResource):
    """The engine with the quality gates, which the layers below do not know."""

    def gates(self) -> Mapping[str, Gate]:
        """Return the gate of each dataset."""
        return GATES

    def named_checks(self, dataset: str) -> Mapping[str, str]:
        """Return the named checks of a dataset's gate, each with its tier."""
        return {name: check.tier for name, check in CHECKS[dataset].items()}

    def check_of(self, dataset: str, rule: str) -> str:
        """Return the named check that a broken rule belongs to."""
        return check_of(dataset, rule)


# Dagster warns, at every load, of what it calls beta; what we use of that is held by the pinned version and a test.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module="dagster")


def _assets() -> list[dg.AssetsDefinition]:
    return [getattr(import_module(f"assets.{name}"), name) for name in DATASETS]


defs = dg.Definitions(
    assets=[*EXTERNAL, *dg.with_source_code_references([*_assets(), report, statistics])],
    asset_checks=[verify_stored],
    jobs=[*JOBS, verify_job],
    sensors=[ingest_keepalive, gap_recovery, compare_days, seal_days, refresh_today, observe_ingest, notify, tidy_runs],
    schedules=[daily_report, daily_checkpoint, verify_changed, verify_everything],
    resources={"pipeline": GatedPipeline()},
    # Parallel work is the engine's; a process for each step would cost six seconds a step.
    executor=dg.in_process_executor,
)
