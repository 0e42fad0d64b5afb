"""Sensor: launch a run that builds the warehouse's days whose files were replaced, a few times a day.

A day that is over is built soon after its files; the running day, which changes every few minutes, four times a day.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import dagster as dg

from trading_platform.domain.days import day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import latest, under_way
from trading_platform.store.fs.layout import DataDir
from trading_platform.warehouse.building import leaves

MOST_DAYS = 31
"""Days of one run: of each Dagster records every model, and plans every check."""
ATTEMPTS = 3
PAST_NS = 30 * 60 * 10**9
RUNNING_NS = 6 * 3600 * 10**9

build_warehouse = dg.define_asset_job(
    keys.BUILD_WAREHOUSE,
    selection=dg.AssetSelection.all(),
    description="Build and test the marts of days whose files were replaced.",
    tags={keys.WORK: "warehouse"},
)


@dg.sensor(
    name="refresh_warehouse",
    job=build_warehouse,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks which files of bars and regimes were replaced since the last build and launches one run for "
    f"their days: of days that are over at most every {PAST_NS // 60 // 10**9} minutes, of the running one every "
    f"{RUNNING_NS // 3600 // 10**9} hours.",
)
def refresh_warehouse(
    context: dg.SensorEvaluationContext, pipeline: PipelineResource
) -> dg.SensorResult | dg.SkipReason:
    """Launch one run for the days that changed, if it is time."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.BUILD_WAREHOUSE)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is building")
    known: dict[str, Any] = json.loads(context.cursor or '{"days": {}, "at_ns": 0, "tried": 0}')
    last = latest(context.instance, keys.BUILD_WAREHOUSE, {})
    failed = last is not None and last.run.status == dg.DagsterRunStatus.FAILURE and known["tried"] < ATTEMPTS
    now_ns = pipeline.now_ns()
    held = digests(pipeline.data)
    days = due(held, known["days"], day_of(now_ns), now_ns - known["at_ns"])
    if not days and failed:
        days = known["last"]
    if not days:
        return dg.SkipReason("no file was replaced since the last build, or that was a short time ago")
    tried = known["tried"] + 1 if failed else 1
    cursor = {
        "days": {day: digest for day, digest in known["days"].items() if day in held}
        | {day: held[day] for day in days if day in held},
        "at_ns": now_ns,
        "tried": tried,
        "last": days,
    }
    request = dg.RunRequest(
        run_key=f"warehouse {now_ns}",
        tags={
            keys.RANGE_START: days[0],
            keys.RANGE_END: days[-1],
            keys.REASON: f"files of {len(days)} days were replaced",
        },
    )
    return dg.SensorResult([request], cursor=json.dumps(cursor))


def due(held: Mapping[str, str], built: Mapping[str, str], today: str, passed_ns: int) -> list[str]:
    """Return the days to build now, in order, at most `MOST_DAYS`.

    Parameters
    ----------
    held, built : by day the digest of its files, now and at the last build of it.
    passed_ns : time since the last build.

    Examples
    --------
    >>> due({"2024-08-08": "b", "2024-08-09": "c"}, {"2024-08-08": "a"}, "2024-08-09", PAST_NS)
    ['2024-08-08', '2024-08-09']
    >>> due({"2024-08-08": "a", "2024-08-09": "c"}, {"2024-08-08": "a"}, "2024-08-09", PAST_NS)
    []
    """
    changed = sorted(day for day, digest in held.items() if built.get(day) != digest)
    past = [day for day in changed if day < today]
    enough = RUNNING_NS if not past else PAST_NS
    if passed_ns < enough and len(past) <= MOST_DAYS:
        return []
    return changed[:MOST_DAYS]


def digests(data: DataDir) -> dict[str, str]:
    """Return by day a digest of its files of bars and regimes."""
    files: dict[str, list[str]] = defaultdict(list)
    for leaf in leaves(data):
        files[leaf["date"]].append(" ".join(map(str, leaf.values())))
    return {day: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:12] for day, found in files.items()}
