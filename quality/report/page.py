"""Show a day's facts as one HTML page that loads nothing. Which facts there are is facts.py, the words templates/.

What is long is cut to what a person reads, and says so: a thousand symbols still make a page below two megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quality.report.facts import ReportFacts, SymbolFacts
from quality.report.words import counted, duration, utc
from trading_platform.domain.days import day_start
from trading_platform.orchestration.pages.navigation import environment

if TYPE_CHECKING:
    from quality.report.trades import Outlier

_TEMPLATES = Path(__file__).parent / "templates"


class _Limits(NamedTuple):
    """How much of each is shown."""

    symbols: int = 100
    notes: int = 40
    figures: int = 6
    figure_rows: int = 15
    outliers: int = 30


class Note(NamedTuple):
    """One thing that a person should look at; `level` is ``bad`` or ``warn``."""

    level: str
    subject: str
    text: str


class _PriceFigure(NamedTuple):
    svg: Any
    caption: str


def render(facts: ReportFacts) -> str:
    """Return the page."""
    limits = _Limits()
    marked = [(s, o) for s in facts.symbols if s.statistics and s.statistics.outliers for o in s.statistics.outliers]
    marked.sort(key=lambda pair: -abs(pair[1].deviation))
    template = environment(_TEMPLATES).get_template("report.html.j2")
    return template.render(
        f=facts,
        limits=limits,
        notes=worst_first(facts),
        missing=sum(s.status.open + s.status.unrecoverable for s in facts.symbols),
        months=[(month, len(list(days))) for month, days in groupby(facts.heat_days, lambda day: day[:7])],
        shown_gaps=len(facts.repairs.shown),
        all_gaps=sum(gaps for gaps, _ in facts.repairs.by_state.values()),
        by_latency=_by_latency(facts),
        by_records=sorted(facts.symbols, key=lambda s: -(s.repeated + s.conflicts + sum(s.quarantined.values()))),
        by_drift=sorted(facts.symbols, key=_unusual),
        played=any(s.statistics.played for s in facts.symbols if s.statistics),
        latency_figure=_latency_figure(facts, limits.figure_rows),
        drift_figure=_drift_figure(facts, limits.figure_rows),
        price_figures=list(_price_figures(facts, limits.figures)),
        outliers=marked[: limits.outliers],
        all_outliers=len(marked),
        unjudged=[s.name for s in facts.symbols if s.statistics and s.statistics.outliers is None][: limits.symbols],
        here="Reports",
        further=_further(facts.day),
        counted=counted,
        utc=utc,
        duration=duration,
    )


def worst_first(facts: ReportFacts) -> list[Note]:
    """Return what a person should look at, the worst first."""
    return sorted(notes(facts), key=lambda note: note.level != "bad")


def notes(facts: ReportFacts) -> Iterator[Note]:
    """Yield what a person should look at."""
    for s in facts.symbols:
        missing = s.status.open + s.status.unrecoverable
        if s.not_known:
            yield Note("bad", s.name, s.not_known)
        for files, why in s.damaged:
            yield Note("bad", s.name, f"{files} cannot be read: {why}")
        if s.refused:
            files = ", ".join(file for file, _ in s.refused)
            yield Note("bad", s.name, f"{counted(len(s.refused), 'file')} refused by the gate: {files}")
        if missing:
            lost = f", {s.status.unrecoverable:,} of them for good" if s.status.unrecoverable else ""
            yield Note("bad", s.name, f"{counted(missing, 'trade')} missing{lost}")
        elif s.status.state in {"incomplete", "unproven"}:
            yield Note("warn", s.name, f"the day is {s.status.state}: {s.score.parts[0].reason}")
        yield from _of_records(s)
        yield from _of_numbers(s)
    for each in facts.verdicts or ():
        if each.unusual:
            text = f"{counted(len(each.unusual), 'statistic')} not as on the days before: {each.unusual[0]}"
            yield Note("warn", f"{each.symbol} {each.venue}", text)
    if facts.revisions is not None and facts.revisions.changed:
        changed = counted(len(facts.revisions.changed), "stored day")
        yield Note("warn", "Revisions", f"{changed} changed since the report of {facts.revisions.since}")


def _of_records(s: SymbolFacts) -> Iterator[Note]:
    if s.repeated:
        yield Note("bad", s.name, f"{counted(s.repeated, 'trade')} repeated in the published file")
    if s.conflicts:
        yield Note("warn", s.name, f"{counted(s.conflicts, 'trade')} with a copy that says something else")
    if s.quarantined:
        records = counted(sum(s.quarantined.values()), "record")
        yield Note("warn", s.name, f"{records} in quarantine: {', '.join(s.quarantined)}")
    if s.candles is not None and s.candles.equal < s.candles.compared:
        bars = counted(s.candles.compared - s.candles.equal, "bar")
        yield Note("bad", s.name, f"{bars} not equal to the venue's candles")


def _of_numbers(s: SymbolFacts) -> Iterator[Note]:
    if marked := _outliers(s):
        yield Note("warn", s.name, f"{counted(len(marked), 'trade')} far from the price around")
    latency = s.statistics.latency if s.statistics is not None else None
    if latency is not None and latency.negative:
        share = latency.negative / latency.trades
        yield Note("warn", s.name, f"{share:.1%} of live trades were received before they happened: a clock is off")
    elif latency is not None and latency.in_time < 0.95:
        yield Note("warn", s.name, f"only {latency.in_time:.1%} of live trades came within a second")
    if s.drift.ratio is not None and s.status.state != "recording" and not 1 / 3 <= s.drift.ratio <= 3:
        yield Note("warn", s.name, f"{s.drift.ratio:.2f} times the usual number of trades")


def _further(day: str) -> list[tuple[str, str]]:
    return [
        ("Runs of this day", f"/runs?q[0]=tag:dagster/partition={day}"),
        ("Ticks in Dagster", f"/assets/ticks?view=partitions&partition={day}"),
        ("All reports", "/platform/report/all"),
        ("Data Docs", "/platform/data-docs/"),
        ("dbt docs", "/platform/dbt/"),
    ]


def _by_latency(facts: ReportFacts) -> list[SymbolFacts]:
    def slowness(s: SymbolFacts) -> float:
        latency = s.statistics.latency if s.statistics else None
        return -latency.quantiles[2] if latency is not None and latency.quantiles else 1.0

    return sorted((s for s in facts.symbols if s.statistics is not None), key=slowness)


def _unusual(s: SymbolFacts) -> float:
    ratio = s.drift.ratio
    return 2.0 if ratio is None else min(ratio, 1 / ratio) if ratio else 0.0


def _latency_figure(facts: ReportFacts, most: int) -> Any:
    from quality.report import figures

    rows = [
        (s.symbol, s.statistics.latency.quantiles)
        for s in _by_latency(facts)
        if s.statistics is not None and s.statistics.latency is not None and s.statistics.latency.quantiles
    ][:most]
    if not rows:
        return None
    said = "; ".join(f"{name}: median {q[0]:,.1f} ms, 99 % within {q[2]:,.1f} ms" for name, q in rows)
    return _safe(figures.latencies("latency-figure", f"Latency by symbol. {said}", rows))


def _drift_figure(facts: ReportFacts, most: int) -> Any:
    from quality.report import figures

    rows = [(s.symbol, s.drift.ratio) for s in sorted(facts.symbols, key=_unusual) if s.drift.ratio is not None][:most]
    if not rows:
        return None
    said = "; ".join(f"{name}: {ratio:.2f} times" for name, ratio in rows)
    return _safe(figures.ratios("drift-figure", f"Number of trades beside the usual one. {said}", rows))


def _price_figures(facts: ReportFacts, most: int) -> Iterator[_PriceFigure]:
    from quality.report import figures

    shown = [s for s in facts.symbols if s.statistics is not None]
    shown.sort(key=lambda s: (-len(_outliers(s)), -s.status.stored, s.name))
    for at, s in enumerate(shown[:most]):
        path, marked = s.statistics.path, _outliers(s)  # type: ignore[union-attr]
        crosses = counted(len(marked), "outlier") if marked else "no outlier"
        told = f"{s.name}: {path.low.min():,.10g} to {path.high.max():,.10g}, last {path.last[-1]:,.10g}, {crosses}"
        svg = figures.prices(f"price-{at}", f"Price over the day of {told}", path, marked, day_start(facts.day))
        yield _PriceFigure(_safe(svg), f"{told}.")


def _outliers(s: SymbolFacts) -> Sequence[Outlier]:
    return (s.statistics.outliers or ()) if s.statistics is not None else ()


def _safe(text: str) -> Any:
    """Mark what was made here, not by a venue, as HTML."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  our style sheet, and figures whose texts ElementTree has escaped
