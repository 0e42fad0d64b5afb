"""Give days that are over their last word. What a seal is, is store/lake.py and the ledger."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import dagster as dg

from trading_platform.domain.days import day_after, day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import seal_days as job
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way
from trading_platform.store.first_day import note_first_day
from trading_platform.store.layout import Leaf

if TYPE_CHECKING:
    from trading_platform.store.ledger import DayStatus

DECIDED = ("complete", "reconciled", "incomplete", "unproven")
"""States that more waiting does not change: what can be fetched has been."""

MOST_DAYS = 92
ATTEMPTS = 3


@dg.sensor(
    name="seal_days",
    job=job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks in the completeness ledger for days that are over and decided, and launches one run that "
    "publishes, seals and computes them. A late trade breaks a seal; the day is then done again.",
)
def seal_days(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult | dg.SkipReason:
    """Launch one run for the first stretch of consecutive days that lack a seal."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.SEAL_DAYS)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is sealing")
    waiting = unsealed(pipeline)
    tried: dict[str, list[object]] = json.loads(context.cursor or "{}")
    tried = {day: facts for day, facts in tried.items() if day in waiting}
    due = [day for day in waiting if _attempts(tried, day, waiting[day]) < ATTEMPTS]
    days = first_stretch(due)
    if not days:
        return dg.SensorResult(skip_reason=_nothing(waiting), cursor=json.dumps(tried))
    for day in days:
        tried[day] = [waiting[day], _attempts(tried, day, waiting[day]) + 1]
    # Days that are decoded and not published yet may lie before the first partition; the run looks again.
    note_first_day(pipeline.data, days)
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    attempt = max(int(str(tried[day][1])) for day in days)
    request = dg.RunRequest(
        run_key=f"seal {days[0]} {days[-1]} {_digest([waiting[day] for day in days])} {attempt}",
        tags={keys.RANGE_START: days[0], keys.RANGE_END: days[-1], keys.REASON: f"{span}: over and decided"},
    )
    return dg.SensorResult([request], cursor=json.dumps(tried))


def unsealed(pipeline: PipelineResource) -> dict[str, str]:
    """Return the days that are over, decided, and hold a symbol without a seal, each with a digest of its content."""
    ledger, now_ns = pipeline.ledger, pipeline.now_ns()
    by_day: dict[str, list[DayStatus]] = {}
    for status in ledger.day_report(now_ns):
        if status.day < day_of(now_ns) and status.stored:
            by_day.setdefault(status.day, []).append(status)
    sealed = ledger.sealed_leaves("ticks")
    waiting = {}
    for day, statuses in sorted(by_day.items()):
        lacking = [s for s in statuses if s.state in DECIDED and _leaf(s) not in sealed]
        if lacking:
            waiting[day] = _digest([f"{s.venue} {s.symbol} {s.state} {s.stored}" for s in lacking])
    return waiting


def _leaf(status: "DayStatus") -> Leaf:
    return Leaf("ticks", status.venue, status.symbol, status.day)


def first_stretch(days: Sequence[str]) -> list[str]:
    """Return the first run of consecutive days, at most a quarter.

    >>> first_stretch(["2024-08-08", "2024-08-09", "2024-08-11"])
    ['2024-08-08', '2024-08-09']
    """
    for at, (day, following) in enumerate(pairwise(days)):
        if day_after(day) != following:
            return list(days[: at + 1][:MOST_DAYS])
    return list(days[:MOST_DAYS])


def _attempts(tried: dict[str, list[object]], day: str, digest: str) -> int:
    known, attempts = tried.get(day, ["", 0])
    return int(str(attempts)) if known == digest else 0


def _nothing(waiting: dict[str, str]) -> str:
    if not waiting:
        return "every day that is over and decided is sealed"
    return f"given up after {ATTEMPTS} attempts: {', '.join(waiting)}; see the runs of seal_days"


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
