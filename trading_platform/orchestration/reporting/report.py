"""Report each refreshed day to Dagster: metadata and check results.

A range run that returned one result would store it for all its days, so each day is reported as soon as it is done.
Nothing is validated here: verdicts come from the gates (quality/), completeness from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from trading_platform.completeness.open_ends import Concern
from trading_platform.domain.column_meanings import meaning
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.verdict import Failure, Verdict
from trading_platform.orchestration import keys
from trading_platform.pipeline.results import DayReport, LeafResult

if TYPE_CHECKING:
    from trading_platform.completeness.open_ends import OpenEnd
    from trading_platform.orchestration.resources import PipelineResource
    from trading_platform.store.ledger import DayStatus

CHARTED_DAYS = 3
"""Charts stay in Dagster's event log for ever: only the last days of a range get one."""

_FINE_STATES = ("complete", "reconciled", "recording")
_SHOWN_FAILURES = 20
_PLOTTED = 12
_UNKNOWN = "nothing was recorded on this day, so nothing can be said of it"


def report(context: dg.AssetExecutionContext, day: str, done: DayReport) -> bool:
    """Record a day's metadata and check results with the asset that is being materialized.

    Returns
    -------
    bool : False of a day of which nothing is known; its checks have no result then, because no data is no pass.
    """
    pipeline: PipelineResource = context.resources.pipeline
    key = keys.ASSETS[done.dataset]
    if not is_known(pipeline, done):
        context.log.warning(f"{day}: {_UNKNOWN}; its checks are skipped")
        if key in context.selected_asset_keys:
            context.add_asset_metadata({"skipped": _UNKNOWN}, asset_key=key, partition_key=day)
        return False
    if key in context.selected_asset_keys:
        charted = day in list(context.partition_keys)[-CHARTED_DAYS:]
        context.add_asset_metadata(metadata(pipeline, done, charted=charted), asset_key=key, partition_key=day)
    wanted = {check.name for check in context.selected_asset_check_keys}
    for evaluation in evaluations(pipeline, done):
        if evaluation.check_name in wanted:
            pipeline.check_results.add(context, evaluation)
    for result in done.healed[:_SHOWN_FAILURES]:
        context.log.warning(f"made again: {result.healed}")
    if done.failed:
        first = done.failed[0]
        rest = f" (and {len(done.failed) - 1} more)" if len(done.failed) > 1 else ""
        context.log.warning(f"{_name(first)} {first.status}: {first.reason}{rest}")
    return True


def is_known(pipeline: PipelineResource, done: DayReport) -> bool:
    """Tell whether anything is known of a day: a file, an account of ids, or an end that nobody vouches for."""
    there = any(result.status != "absent" for result in done.results)
    return there or bool(pipeline.statuses(done.day) or pipeline.open_ends(done.day))


def report_from_op(context: dg.OpExecutionContext, pipeline: PipelineResource, done: DayReport) -> None:
    """Record a day's materialization and check results from an operation that is no asset (a repair)."""
    shown = metadata(pipeline, done, charted=True)
    context.log_event(dg.AssetMaterialization(keys.ASSETS[done.dataset], partition=done.day, metadata=shown))
    for evaluation in evaluations(pipeline, done):
        context.log_event(evaluation)  # type: ignore[arg-type]  # recorded like the others, only not declared


def metadata(pipeline: PipelineResource, done: DayReport, *, charted: bool) -> dict[str, Any]:
    """Return a day's metadata: row count, a table by symbol, failures, a chart."""
    found: dict[str, Any] = {"dagster/partition_row_count": dg.MetadataValue.int(done.rows)}
    statuses = pipeline.statuses(done.day)
    dataset = DATASETS[done.dataset]
    if not dataset.by_symbol:
        found["venues"] = dg.MetadataValue.md(_venues_table(done))
    elif dataset.recorded:
        found["symbols"] = dg.MetadataValue.md(_ticks_table(done, statuses))
        found |= _numbers(done, statuses)
    else:
        found["symbols"] = dg.MetadataValue.md(_computed_table(done, statuses))
    if charted and dataset.open_ended and (columns := _columns(pipeline, done)) is not None:
        found["dagster/column_schema"] = columns
    if done.healed:
        found["damaged and made again"] = dg.MetadataValue.md(_healed(done.healed))
    if done.failed:
        found["problems"] = dg.MetadataValue.md(_problems(done.failed))
    if charted and "timeframe" in dataset.keys:
        # Here, because every process of Dagster loads this module, and few draw.
        from trading_platform.orchestration.reporting import charts

        pictures = charts.of_day(pipeline.data, done, pipeline.settings.regimes.model)
        found |= {picture.symbol: dg.MetadataValue.md(picture.small) for picture in pictures}
        if pictures:
            found["large charts"] = dg.MetadataValue.md("\n\n".join(picture.large for picture in pictures))
    return found


def _numbers(done: DayReport, statuses: Sequence[DayStatus]) -> dict[str, Any]:
    """Return numbers that Dagster plots over the days: trades of the symbols with most of them, and what is missing."""
    several = len({result.leaf.venue for result in done.results}) > 1
    most = sorted((r for r in done.results if r.rows), key=lambda r: (-r.rows, r.leaf))[:_PLOTTED]
    names = {r.leaf: f"trades {r.leaf.symbol}{f' {r.leaf.venue}' if several else ''}" for r in most}
    missing = sum(status.open + status.unrecoverable for status in statuses)
    return {"trades missing": missing} | {names[result.leaf]: result.rows for result in most}


def _columns(pipeline: PipelineResource, done: DayReport) -> dg.TableSchema | None:
    """Return the columns of a dataset whose settings name more of them, as a file of the day has them."""
    import pyarrow.parquet as pq

    for result in done.results:
        if not result.rows:  # of a symbol that was passed over as a whole the leaf has no timeframe
            continue
        path = pipeline.data.lake / result.leaf.path
        if path.is_file():
            known, shape = DATASETS[done.dataset].columns, pq.read_schema(path)
            return dg.TableSchema(
                [
                    dg.TableColumn(name, known.get(name, "float64"), description=meaning(done.dataset, name))
                    for name in shape.names
                ]
            )
    return None


def evaluations(pipeline: PipelineResource, done: DayReport) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield a day's check results: the gates' verdicts and, for ticks, the ledger's completeness."""
    files = [result for result in done.results if result.status != "absent"]
    if files:  # no file is no pass
        refused = _refused(pipeline, done)
        for name, tier in pipeline.named_checks(done.dataset).items():
            yield _verdict(done, name, tier, refused.get(name, []), len(files))
    if DATASETS[done.dataset].recorded:
        yield _completeness(done.day, pipeline.statuses(done.day), pipeline.open_ends(done.day), pipeline.now_ns())


def _refused(pipeline: PipelineResource, done: DayReport) -> dict[str, list[LeafResult]]:
    """Return the refused files of each named check, each with those of its failures that belong to the check."""
    found: dict[str, list[LeafResult]] = {}
    for result in (each for each in done.results if each.status == "refused"):
        by_check: dict[str, list[Failure]] = {}
        for failure in result.verdict.failures if result.verdict else ():
            by_check.setdefault(pipeline.check_of(done.dataset, failure.check), []).append(failure)
        if not by_check:  # not readable, or an input was refused: no rule was asked
            found.setdefault(keys.SCHEMA, []).append(result)
        for name, failures in by_check.items():
            found.setdefault(name, []).append(result._replace(verdict=Verdict(tuple(failures))))
    return found


def _verdict(
    done: DayReport, name: str, tier: str, refused: Sequence[LeafResult], files: int
) -> dg.AssetCheckEvaluation:
    shown: dict[str, Any] = {"files": files, "files refused": len(refused), "tier": tier}
    if refused:
        shown["refused"] = dg.MetadataValue.md(_failures_table(refused))
    return dg.AssetCheckEvaluation(
        asset_key=keys.ASSETS[done.dataset],
        check_name=name,
        partition=done.day,
        passed=not refused,
        severity=severity(tier),
        description=f"{len(refused)} of {files} files refused" if refused else f"{files} files: it holds",
        metadata=shown,
    )


def severity(tier: str) -> dg.AssetCheckSeverity:
    """Return Dagster's word for a tier: only what somebody must act on at once is red."""
    return dg.AssetCheckSeverity.ERROR if tier == "page" else dg.AssetCheckSeverity.WARN


def _completeness(
    day: str, statuses: Sequence[DayStatus], ends: Sequence[OpenEnd], now_ns: int
) -> dg.AssetCheckEvaluation:
    """Judge a day: amber for what is missing or not known for a minute, red for what is not known for five."""
    lacking = [s for s in statuses if s.state not in _FINE_STATES or s.open or s.unrecoverable]
    missing = sum(s.open + s.unrecoverable for s in lacking)
    unknown = [end for end in ends if end.concern(now_ns)]
    worst = max((end.concern(now_ns) for end in unknown), default=Concern.NONE)
    told = []
    if lacking:
        told.append(f"{len(lacking)} of {len(statuses)} symbols lack proof, {missing} trades missing")
    if unknown:
        oldest = min(unknown, key=lambda end: end.since_ns)
        told.append(f"{len(unknown)} symbols are silent, {oldest.symbol} is {oldest.text(now_ns)}")
    silent = [(end.venue, end.symbol, end.text(now_ns)) for end in unknown]
    return dg.AssetCheckEvaluation(
        asset_key=keys.TICKS,
        check_name=keys.COMPLETENESS,
        partition=day,
        passed=not told,
        severity=dg.AssetCheckSeverity.ERROR if worst is Concern.RED else dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or f"{len(statuses)} symbols: no known trade is missing",
        metadata={"trades missing": missing}
        | ({"silent": dg.MetadataValue.md(_table(("venue", "symbol", "end"), silent))} if silent else {})
        | ({"symbols": dg.MetadataValue.md(_status_table(statuses))} if statuses else {}),
    )


def _venues_table(done: DayReport) -> str:
    rows = [(result.leaf.venue, _cell(result)) for result in done.results if result.status != "absent"]
    return "\n".join(["| venue | rows |", "| --- | --- |", *(f"| {venue} | {cell} |" for venue, cell in rows)])


def _ticks_table(done: DayReport, statuses: Sequence[DayStatus]) -> str:
    by_symbol = {(s.venue, s.symbol): s for s in statuses}
    rows = []
    for result in done.results:
        status = by_symbol.get((result.leaf.venue, result.leaf.symbol))
        if status is not None or result.status != "absent":
            counts = _counts(status) if status else ("",) * len(_COUNTS)
            rows.append((result.leaf.venue, result.leaf.symbol, _cell(result), *counts))
    return _table(("venue", "symbol", "rows", *_COUNTS), rows)


_COUNTS = ("day", "expected", "stored", "void", "open", "lost")


def _counts(status: DayStatus) -> tuple[str, ...]:
    expected = "not known yet" if status.expected is None else f"{status.expected:,}"
    return (
        status.state,
        expected,
        *(f"{n:,}" for n in (status.stored, status.void, status.open, status.unrecoverable)),
    )


def _status_table(statuses: Sequence[DayStatus]) -> str:
    return _table(("venue", "symbol", *_COUNTS), [(s.venue, s.symbol, *_counts(s)) for s in statuses])


def _computed_table(done: DayReport, statuses: Sequence[DayStatus]) -> str:
    """One row a symbol, one column a timeframe: rows, and what became of the file where it is not plainly there."""
    states = {(s.venue, s.symbol): s.state for s in statuses}
    timeframes = list(dict.fromkeys(r.leaf.timeframe for r in done.results if r.leaf.timeframe))
    by_symbol: dict[tuple[str, str], dict[str | None, LeafResult]] = {}
    for result in done.results:
        by_symbol.setdefault((result.leaf.venue, result.leaf.symbol), {})[result.leaf.timeframe] = result
    rows = []
    for symbol, cells in by_symbol.items():
        if all(cell.status == "absent" for cell in cells.values()):
            continue
        rows.append((*symbol, states.get(symbol, "?"), *(_cell(cells.get(t) or cells.get(None)) for t in timeframes)))
    return _table(("venue", "symbol", "day", *timeframes), rows)


def _cell(result: LeafResult | None) -> str:
    if result is None:
        return ""
    return f"{result.rows:,}" if result.status in ("computed", "unchanged") else result.status


def _failures_table(refused: Sequence[LeafResult]) -> str:
    rows = []
    for result in refused:
        failures = result.verdict.failures if result.verdict else ()
        rows += [(_name(result), failure.check, f"{failure.rows:,}", failure.example) for failure in failures]
        if not failures:
            rows.append((_name(result), "", "", result.reason))
    shown = _table(("file", "rule", "rows", "example"), rows[:_SHOWN_FAILURES])
    return shown if len(rows) <= _SHOWN_FAILURES else f"{shown}\n\n… and {len(rows) - _SHOWN_FAILURES} more"


def _problems(failed: Sequence[LeafResult]) -> str:
    lines = [f"- {_name(result)} **{result.status}**: {_escape(result.reason)}" for result in failed[:_SHOWN_FAILURES]]
    return "\n".join([*lines, *([f"- and {len(failed) - len(lines)} more"] if len(lines) < len(failed) else [])])


def _healed(results: Sequence[LeafResult]) -> str:
    lines = [f"- {_escape(result.healed)}" for result in results[:_SHOWN_FAILURES]]
    return "\n".join([*lines, *([f"- and {len(results) - len(lines)} more"] if len(lines) < len(results) else [])])


def _name(result: LeafResult) -> str:
    leaf = result.leaf
    return " ".join(part for part in (leaf.venue, leaf.symbol, leaf.timeframe, leaf.day) if part)


def _table(header: Sequence[str | None], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "nothing is recorded for this day"
    if header[0] == "venue" and len({row[0] for row in rows}) == 1:
        # Pages are narrow; a column that says the same in each row goes first.
        header, rows = header[1:], [row[1:] for row in rows]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_escape(cell or "") for cell in line) + " |" for line in lines)


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
