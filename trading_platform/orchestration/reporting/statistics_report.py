"""Show judged statistics in Dagster: one check per family, numbers to plot over time, reasons of skipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from trading_platform.orchestration import keys
from trading_platform.orchestration.reporting.report import severity

_SHOWN = 20
_DATA_DOCS = "[Open Data Docs](/platform/data-docs/)"


def evaluation(
    day: str, family: str, tier: str, judged: int, failed: Sequence[tuple[str, str]], skipped: Mapping[str, int]
) -> dg.AssetCheckEvaluation:
    """Return the result of a family of which `judged` numbers were judged.

    Parameters
    ----------
    failed : symbol and what is not as expected; skipped : reason to how many numbers.
    """
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    told = f"{failed[0][0]}: {failed[0][1]}{more}" if failed else f"{judged} numbers are as in the days before"
    shown: dict[str, Any] = {"judged": judged, "failed": len(failed), "tier": tier}
    shown["data docs"] = dg.MetadataValue.md(_DATA_DOCS)
    if failed:
        shown["not as expected"] = dg.MetadataValue.md(_table(("symbol", "what"), failed))
    if skipped:
        shown["skipped"] = dg.MetadataValue.md(_reasons({family: skipped}))
    return dg.AssetCheckEvaluation(
        asset_key=keys.STATISTICS,
        check_name=family,
        partition=day,
        passed=not failed,
        severity=severity(tier),
        description=told,
        metadata=shown,
    )


def metadata(
    values: Mapping[str, Mapping[str, float]], reasons: Mapping[str, Mapping[str, int]], failed: int
) -> dict[str, Any]:
    """Return a day's metadata: links, what was skipped, and the trades of each symbol as numbers that plot."""
    found: dict[str, Any] = {"data docs": dg.MetadataValue.md(_DATA_DOCS), "not as expected": failed}
    if any(reasons.values()):
        found["skipped"] = dg.MetadataValue.md(_reasons(reasons))
    for name, of in list(values.items())[:_SHOWN]:
        found |= {f"{statistic} {name}": of[statistic] for statistic in ("trades", "taker_share") if statistic in of}
    return found


def _reasons(reasons: Mapping[str, Mapping[str, int]]) -> str:
    rows = [(family, reason, str(count)) for family, of in reasons.items() for reason, count in of.items()]
    return _table(("family", "why it was skipped, which is no pass", "numbers"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows[:_SHOWN]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
