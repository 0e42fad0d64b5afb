"""The asset checks that Dagster shows. They report the verdicts of the gates (schemas/); they do not test or block.

A blocking check would stop all symbols and days of a run, after publishing; a gate rejects only the symbol-day that
is wrong, before publishing. What is reported, and when, is orchestration/reporting/report.py.
"""

from __future__ import annotations

import warnings

import dagster as dg

from quality.named_checks import CHECKS, NamedCheck
from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys
from trading_platform.orchestration.partitions import DAILY

COMPLETENESS = NamedCheck(
    "No trade of the day is known to be missing, judged by the exchange's own trade ids. "
    "Missing trades are fetched automatically (sensor gap_recovery).",
    "ticket",
)


def of(dataset: str) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a dataset: its gate's, and of one that a venue's channel is recorded into completeness."""
    named = CHECKS[dataset] | ({keys.COMPLETENESS: COMPLETENESS} if DATASETS[dataset].recorded else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=keys.ASSETS[dataset],
                description=check.holds,
                partitions_def=DAILY,
                blocking=False,
                metadata={keys.TIER: check.tier},
            )
            for name, check in named.items()
        ]
