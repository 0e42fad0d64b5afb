"""The asset checks that Dagster shows. They report the verdicts of the gates (schemas/); they do not test or block.

A blocking check would stop all symbols and days of a run, after publishing; a gate rejects only the symbol-day that
is wrong, before publishing. What is reported, and when, is orchestration/reporting/report.py.
"""

from __future__ import annotations

import warnings

import dagster as dg

from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys
from trading_platform.orchestration.partitions import DAILY


def _spec(name: str, dataset: str, description: str) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=keys.ASSETS[dataset], description=description, partitions_def=DAILY, blocking=False
        )


def of(dataset: str) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a dataset: its gate's, and of one that a venue's channel is recorded into completeness."""
    return [_schema(dataset), *([_completeness(dataset)] if DATASETS[dataset].recorded else [])]


def _schema(dataset: str) -> dg.AssetCheckSpec:
    """Declare the report of a dataset's gate (severity ERROR)."""
    return _spec(
        keys.SCHEMA,
        dataset,
        f"Every file of {dataset} passed its gate. A refused file is not published: "
        "the last good file stays, and computations from it skip exactly that symbol's day.",
    )


def _completeness(dataset: str) -> dg.AssetCheckSpec:
    """Declare the report of the completeness ledger (severity WARN)."""
    return _spec(
        keys.COMPLETENESS,
        dataset,
        "No trade of the day is known to be missing, judged by the exchange's own trade ids. "
        "Missing trades are fetched automatically (sensor gap_recovery).",
    )
