"""Dagster's checks of what is stored, made by one operation. What it looks at is verification.py.

They have no partition: a run looks at the changed files of all days, or at all files.
"""

import random
import time
import warnings
from collections.abc import Iterator

import dagster as dg

from quality.named_checks import NamedCheck
from quality.verification import STORED, Findings, StoredData, verify
from trading_platform.orchestration import keys
from trading_platform.orchestration.reporting.outside import observe_outside
from trading_platform.orchestration.reporting.report import severity
from trading_platform.orchestration.resources import PipelineResource

# No `from __future__ import annotations`: Dagster reads the annotations of operations as objects.

_SHOWN = 20


class VerifyConfig(dg.Config):
    """What to look at, and for how long."""

    everything: bool = True
    """All files and accounts, not changed files alone."""
    budget_s: float = 1800.0
    """Seconds after which no further file is begun; the next run begins with those that are left."""


def _spec(dataset: str, name: str, check: NamedCheck) -> dg.AssetCheckSpec:
    metadata = {keys.TIER: check.tier}
    return dg.AssetCheckSpec(name, asset=keys.ASSETS[dataset], description=check.holds, metadata=metadata)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.multi_asset_check(
        name="look_at_stored_files",
        specs=[_spec(dataset, name, check) for dataset, checks in STORED.items() for name, check in checks.items()],
        can_subset=True,
    )
    def verify_stored(
        context: dg.AssetCheckExecutionContext, config: VerifyConfig, pipeline: PipelineResource
    ) -> Iterator[dg.AssetCheckResult]:
        """Look at stored files; a check of which nothing was looked at has no result, because that is no pass."""
        if not pipeline.has_data:
            raise dg.Failure(f"nothing was ever recorded in {pipeline.data.root}")
        found = verify(
            StoredData(pipeline.data, pipeline.ledger, pipeline.gates(), pipeline.pipeline),
            pipeline.now_ns(),
            random.Random(context.run.run_id),
            everything=config.everything,
            budget_s=config.budget_s,
            monotonic=time.monotonic,
        )
        context.log.info(f"{found.files} files looked at, {found.left} left for the next run")
        if config.everything:
            observe_outside(context.op_execution_context, pipeline)
        wanted = context.selected_asset_check_keys
        for dataset, checks in STORED.items():
            for name, check in checks.items():
                if found.looked_at.get((dataset, name)) and dg.AssetCheckKey(keys.ASSETS[dataset], name) in wanted:
                    yield _result(dataset, name, check, found)


def _result(dataset: str, name: str, check: NamedCheck, found: Findings) -> dg.AssetCheckResult:
    violations = found.violations.get((dataset, name), ())
    lines = [f"- {v.subject}: {v.detail}" for v in violations[:_SHOWN]]
    rest = [f"- and {len(violations) - _SHOWN} more"] if len(violations) > _SHOWN else []
    told = f"{violations[0].subject}: {violations[0].detail}" if violations else "all holds"
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return dg.AssetCheckResult(
        asset_key=keys.ASSETS[dataset],
        check_name=name,
        passed=not violations,
        severity=severity(check.tier),
        description=told + more,
        metadata={
            "looked at": found.looked_at[dataset, name],
            "violations": len(violations),
            "tier": check.tier,
            **({"what": dg.MetadataValue.md("\n".join([*lines, *rest]))} if violations else {}),
        },
    )
