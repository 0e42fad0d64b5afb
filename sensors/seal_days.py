"""Sensor: launch one run that publishes, seals and computes days that are over. Seals are kept by the ledger."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import dagster as dg
import numpy as np

from trading_platform.completeness.day_facts import Bool
from trading_platform.completeness.day_status import STATES, DayTable, day_names, ordinal_of
from trading_platform.completeness.records import DayState
from trading_platform.domain.days import day_after, day_of
from trading_platform.orchestration import keys
from trading_platform.orchestration.jobs import seal_days as job
from trading_platform.orchestration.resources import PipelineResource
from trading_platform.orchestration.runs import under_way
from trading_platform.store.lake.first_day import note_first_day
from trading_platform.store.ledger.leaves import SealedDays

DECIDED: tuple[DayState, ...] = ("complete", "reconciled", "incomplete", "unproven")
"""Final states of a day: everything that can be fetched has been fetched."""

_DECIDED_CODES = [STATES.index(state) for state in DECIDED]

MOST_DAYS = 92
ATTEMPTS = 3


@dg.sensor(
    name="seal_days",
    job=job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks in the completeness ledger for days that are over and settled, and launches one run that "
    "publishes, seals and computes them. A late trade breaks a seal; the day is then processed again.",
)
def seal_days(context: dg.SensorEvaluationContext, pipeline: PipelineResource) -> dg.SensorResult | dg.SkipReason:
    """Launch one run for the first range of consecutive days that lack a seal."""
    if not pipeline.has_data:
        return dg.SkipReason("nothing is recorded yet")
    if (run := under_way(context.instance, keys.SEAL_DAYS)) is not None:
        return dg.SkipReason(f"run {run.run_id[:8]} is sealing")
    waiting = unsealed(pipeline)
    tried: dict[str, list[object]] = json.loads(context.cursor or "{}")
    tried = {day: facts for day, facts in tried.items() if day in waiting}
    due = [day for day in waiting if _attempts(tried, day, waiting) < ATTEMPTS]
    days = first_stretch(due)
    if not days:
        return dg.SensorResult(skip_reason=_nothing(waiting), cursor=json.dumps(tried))
    for day in days:
        tried[day] = [waiting[day], _attempts(tried, day, waiting) + 1]
    # Days that are decoded but not yet published may lie before the first partition; the run checks again.
    note_first_day(pipeline.data, days)
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    attempt = max(int(str(tried[day][1])) for day in days)
    request = dg.RunRequest(
        run_key=f"seal {days[0]} {days[-1]} {_digest([waiting[day] for day in days])} {attempt}",
        tags={keys.RANGE_START: days[0], keys.RANGE_END: days[-1], keys.REASON: f"{span}: over and settled"},
    )
    return dg.SensorResult([request], cursor=json.dumps(tried))


class Unsealed(Mapping[str, str]):
    """Days that are over and settled but have an unsealed symbol, each with a digest of its content.

    A digest is computed on request: few are requested of a year of a thousand symbols.
    """

    def __init__(self, rows: DayTable) -> None:
        self._rows = rows
        ordinals = np.unique(rows.ordinal)
        self._days = dict(zip(day_names(ordinals), ordinals.tolist(), strict=True))

    def __getitem__(self, day: str) -> str:
        mine = self._rows.take(np.flatnonzero(self._rows.ordinal == self._days[day]))
        return _digest(f"{row.venue} {row.symbol} {row.state} {row.stored}" for row in mine.rows())

    def __iter__(self) -> Iterator[str]:
        return iter(self._days)

    def __len__(self) -> int:
        return len(self._days)


def unsealed(pipeline: PipelineResource) -> Unsealed:
    """Return the days that are ready to be sealed."""
    ledger, today = pipeline.ledger, day_of(pipeline.now_ns())
    days = ledger.day_table(pipeline.now_ns())
    wanted = (days.ordinal < ordinal_of(today)) & (days.stored > 0) & np.isin(days.state, _DECIDED_CODES)
    wanted &= ~_sealed(days, ledger.sealed_days("ticks"))
    return Unsealed(days.take(np.flatnonzero(wanted)))


def _sealed(days: DayTable, sealed: SealedDays) -> Bool:
    """Tell for each row whether its day is sealed."""
    number = {pair: at for at, pair in enumerate(days.pairs)}
    pair = np.array([number.get(pair, len(number)) for pair in sealed.pairs], np.int64)[sealed.pair]
    ordinals, at = np.unique(days.ordinal, return_inverse=True)
    place = np.searchsorted(ordinals, sealed.ordinal)
    # A sealed day without a row (possible while a ledger is rebuilt) marks a spare cell that is never read.
    place[np.append(ordinals, -1)[place] != sealed.ordinal] = len(ordinals)
    held = np.zeros((len(number) + 1, len(ordinals) + 1), np.bool_)
    held[pair, place] = True
    told: Bool = held[days.pair, at]
    return told


def first_stretch(days: Sequence[str]) -> list[str]:
    """Return the first run of consecutive days, at most a quarter.

    >>> first_stretch(["2024-08-08", "2024-08-09", "2024-08-11"])
    ['2024-08-08', '2024-08-09']
    """
    for at, (day, following) in enumerate(pairwise(days)):
        if day_after(day) != following:
            return list(days[: at + 1][:MOST_DAYS])
    return list(days[:MOST_DAYS])


def _attempts(tried: dict[str, list[object]], day: str, waiting: Mapping[str, str]) -> int:
    if day not in tried:
        return 0
    known, attempts = tried[day]
    return int(str(attempts)) if known == waiting[day] else 0


def _nothing(waiting: Iterable[str]) -> str:
    if not list(waiting):
        return "every day that is over and settled is sealed"
    return f"gave up after {ATTEMPTS} attempts: {', '.join(waiting)}; see the runs of seal_days"


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
