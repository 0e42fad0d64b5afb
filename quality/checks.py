"""The checks that Dagster shows. They report verdicts of the engine's gates; none of them judges, none blocks.

A blocking check would stop every symbol of every day in a range, after publishing; the gates (schemas/) stop exactly
the symbol-day that is wrong, before. What is reported, and when, is orchestration/reporting/report.py.
"""

from __future__ import annotations

import warnings

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.partitions import DAILY


def _spec(name: str, dataset: str, description: str) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=keys.ASSETS[dataset], description=description, partitions_def=DAILY, blocking=False
        )


def schema(dataset: str) -> dg.AssetCheckSpec:
    """Declare the report of a dataset's gate (severity ERROR)."""
    return _spec(
        keys.SCHEMA,
        dataset,
        f"Every file of {dataset} passed its gate. What a gate refuses is not published: "
        "the last good file stays, and what is computed from it skips exactly that symbol's day.",
    )


def completeness() -> dg.AssetCheckSpec:
    """Declare the report of the completeness ledger (severity WARN)."""
    return _spec(
        keys.COMPLETENESS,
        "ticks",
        "No trade of the day is known to be missing, by the exchange's own trade ids. "
        "What is missing is fetched again by itself (sensor gap_recovery).",
    )
