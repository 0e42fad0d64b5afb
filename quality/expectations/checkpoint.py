"""The daily checkpoint: a day's numbers beside those of the days before, judged by Great Expectations.

`checkpoint` does all of it, without Dagster. What is expected is families.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from quality.expectations.data_docs import SubjectRow, folder_of, publish_site
from quality.expectations.day_statistics import Statistics, opening_change
from quality.expectations.families import EXPECTED, FAMILIES, TIERS, Expected
from quality.expectations.kept import Pair, keep_verdicts, statistics_of
from quality.expectations.limits import LEAST_DAYS, TRAILING_DAYS, band
from quality.expectations.suites import Judged, Opinion, validate
from quality.outages import KnownOutage
from trading_platform.domain.days import day_after, day_of, day_range
from trading_platform.domain.errors import UsageError
from trading_platform.domain.units import NS_PER_S
from trading_platform.store.fs.disk import make_directory
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from trading_platform.store.ledger import Ledger


class Skipped(NamedTuple):
    """A number that is not judged, and why. It is no pass."""

    statistic: str
    family: str
    reason: str


class SubjectResult(NamedTuple):
    """What was found about one symbol's day."""

    venue: str
    symbol: str
    answers: Sequence[Opinion]
    skipped: Sequence[Skipped]

    @property
    def name(self) -> str:
        """How it is called in pages and tables."""
        return f"{self.venue} {self.symbol}"

    def failed(self, family: str | None = None) -> list[Opinion]:
        """Return the numbers that are not as expected, of one family or of all."""
        return [a for a in self.answers if not a.passed and family in {None, a.judged.family}]


class CheckpointResult(NamedTuple):
    """What was found about a day."""

    day: str
    subjects: Sequence[SubjectResult]

    def judged(self, family: str) -> int:
        """Return how many numbers of a family were judged; none of a family that was skipped."""
        return sum(a.judged.family == family for s in self.subjects for a in s.answers)

    def failures(self, family: str) -> list[tuple[SubjectResult, Opinion]]:
        """Return a family's numbers that are not as expected."""
        return [(subject, answer) for subject in self.subjects for answer in subject.failed(family)]

    def reasons(self, family: str) -> dict[str, int]:
        """Return why numbers of a family were skipped, and how many for each reason."""
        found: dict[str, int] = {}
        for skipped in (s for subject in self.subjects for s in subject.skipped if s.family == family):
            found[skipped.reason] = found.get(skipped.reason, 0) + 1
        return found

    @property
    def failed_families(self) -> list[str]:
        """The families with a number that is not as expected."""
        return [family for family in FAMILIES if self.failures(family)]


def checkpoint(
    data: DataDir,
    ledger: Ledger,
    day: str,
    now_ns: int,
    *,
    docs: bool = True,
    outages: Sequence[KnownOutage] = (),
) -> CheckpointResult:
    """Judge a day that is over, and write Data Docs.

    Parameters
    ----------
    docs : whether to write the pages, which takes most of the time after the library's import.
    outages : days that are no history; what they excuse of the day itself is skipped.

    Raises
    ------
    UsageError : for a day that is not over, or of which nothing is held.
    """
    if day >= day_of(now_ns):
        raise UsageError(f"{day} is not over yet: it cannot be compared with whole days")
    before = {at: _values(data, ledger, at) for at in day_range(day_after(day, -TRAILING_DAYS), day_after(day, -1))}
    today = _values(data, ledger, day)
    if not today:
        raise UsageError(f"nothing is held of {day}, so there are no statistics of it")
    begun = _begun(ledger, now_ns)
    subjects = {}
    for pair, values in today.items():
        known = [outage for outage in outages if outage.venue == pair[0]]
        usual = {at: of for at, of in before.items() if not any(o.covers(*pair, at) for o in known)}
        history = {at: of[pair] for at, of in usual.items() if pair in of}
        judged, skipped = judge(values, history, began=begun.get(pair) == day, first_day=begun.get(pair))
        subjects[pair] = _excused(judged, skipped, [o for o in known if o.covers(*pair, day)])
    return _validated(data, day, now_ns, subjects, docs=docs)


def _excused(
    judged: Sequence[Judged], skipped: Sequence[Skipped], outages: Sequence[KnownOutage]
) -> tuple[list[Judged], list[Skipped]]:
    """Skip what a known outage of the day excuses."""
    reasons = {
        family: f"known outage: {outage.source}" for outage in outages for family in FAMILIES if outage.excuses(family)
    }
    excused = [Skipped(each.statistic, each.family, reasons[each.family]) for each in judged if each.family in reasons]
    return [each for each in judged if each.family not in reasons], [*skipped, *excused]


def _values(data: DataDir, ledger: Ledger, day: str) -> dict[Pair, Statistics]:
    return {pair: kept.values for pair, kept in statistics_of(data, ledger, day).items()}


def _begun(ledger: Ledger, now_ns: int) -> dict[Pair, str]:
    """Return each symbol's first day, on which recording began part-way: it is no whole day."""
    found: dict[Pair, str] = {}
    for row in ledger.day_report(now_ns):
        pair = row.venue, row.symbol
        found[pair] = min(row.day, found.get(pair, row.day))
    return found


def judge(
    values: Statistics, history: Mapping[str, Statistics], *, began: bool = False, first_day: str | None = None
) -> tuple[list[Judged], list[Skipped]]:
    """Return the numbers that can be judged, with the ends they must lie between, and those that can't.

    Parameters
    ----------
    history : day to its numbers, of the thirty days before, ascending.
    began : whether recording began on the day; first_day : when it did.
    """
    values = dict(values)
    last = next((of["last_price"] for of in reversed(list(history.values())) if "last_price" in of), None)
    if last is not None and "first_price" in values:
        values["opening_change"] = opening_change(values["first_price"], last)
    found = [_one(each, values, history, began=began, first_day=first_day) for each in EXPECTED]
    return [one for one in found if isinstance(one, Judged)], [one for one in found if isinstance(one, Skipped)]


def _one(
    each: Expected, values: Statistics, history: Mapping[str, Statistics], *, began: bool, first_day: str | None
) -> Judged | Skipped:
    if each.statistic not in values:
        return Skipped(each.statistic, each.family, each.absent)
    if each.whole and began:
        return Skipped(each.statistic, each.family, "recording began within the day")
    if each.limits is not None:
        return _judged(each, values, *each.limits, f"{each.meaning}: between fixed ends")
    days = {day: of for day, of in history.items() if not (each.whole and day == first_day)}
    known = [of[each.statistic] for of in days.values() if each.statistic in of]
    if len(known) < LEAST_DAYS:
        reason = f"{len(known)} days of history, {LEAST_DAYS} are needed"
        return Skipped(each.statistic, each.family, reason)
    usual = band(known, each.scale, deviations=each.deviations, least=each.least)
    note = f"{each.meaning}: usually {usual.middle:.6g}, from {usual.days} days before"
    return _judged(each, values, usual.low, usual.high, note)


def _judged(each: Expected, values: Statistics, low: float, high: float, note: str) -> Judged:
    return Judged(each.statistic, each.family, TIERS[each.family], values[each.statistic], low, high, note)


Subjects = Mapping[Pair, tuple[Sequence[Judged], Sequence[Skipped]]]


def _validated(data: DataDir, day: str, now_ns: int, subjects: Subjects, *, docs: bool) -> CheckpointResult:
    wanted = {f"{venue}_{symbol}": judged for (venue, symbol), (judged, _) in subjects.items() if judged}
    raw = data.staging / f"data-docs-{day}"
    shutil.rmtree(raw, ignore_errors=True)
    now = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
    make_directory(data.staging)
    answers = validate(wanted, day=day, now=now, site=raw if docs else None) if wanted else {}
    results = [
        SubjectResult(*pair, answers.get("_".join(pair), []), skipped) for pair, (_, skipped) in subjects.items()
    ]
    found = CheckpointResult(day, sorted(results, key=lambda result: -len(result.failed())))
    if docs:
        make_directory(raw)
        publish_site(raw, data.data_docs, day, [_row(raw, subject) for subject in found.subjects])
    keep_verdicts(data, day, [_kept(subject) for subject in found.subjects])
    return found


def _kept(subject: SubjectResult) -> dict[str, object]:
    answers = [answer.judged._asdict() | {"passed": answer.passed} for answer in subject.answers]
    skipped = [each._asdict() for each in subject.skipped]
    return {"venue": subject.venue, "symbol": subject.symbol, "judged": answers, "skipped": skipped}


def _row(raw: Path, subject: SubjectResult) -> SubjectRow:
    failed = subject.failed()
    texts = [told(answer) for answer in failed]
    texts += sorted({f"skipped: {each.family}: {each.reason}" for each in subject.skipped})
    link = folder_of(raw, f"{subject.venue}_{subject.symbol}")
    return SubjectRow(subject.name, link, len(subject.answers), len(failed), len(subject.skipped), texts)


def told(answer: Opinion) -> str:
    """Return in words what is not as expected.

    >>> told(Opinion(Judged("trades", "counts", "ticket", 10.0, 50.0, 200.0, ""), passed=False))
    'trades is 10, expected 50 to 200'
    """
    judged = answer.judged
    if answer.problem:
        return f"{judged.statistic} could not be judged: {answer.problem}"
    return f"{judged.statistic} is {judged.value:.6g}, expected {judged.low:.6g} to {judged.high:.6g}"
