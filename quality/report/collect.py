"""Read a day's facts out of ledger and lake, while others record. Statistics are trades.py, the score is score.py.

Nothing is written here, and nothing recomputed: the report shows what is published.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from quality.report.facts import Drift, HeatRow, RepairedGap, Repairs, ReportFacts, SymbolFacts
from quality.report.revisions import Contents, Revisions, revisions
from quality.report.score import ScorePart, score, steadiness
from quality.report.verdicts import verdicts_of
from quality.report.words import counted, utc
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import DAY_NS, day_after, day_of, day_range, day_start
from trading_platform.domain.errors import CorruptionError, UsageError
from trading_platform.ingest.recovery.open_tails import open_ends
from trading_platform.store.fs.layout import DataDir, Leaf

if TYPE_CHECKING:
    from quality.report.candles import CandleComparison
    from quality.report.trades import TradeStatistics
    from trading_platform.completeness.records import DayState, DayStatus, Gap
    from trading_platform.store.ledger import Ledger

HEAT_DAYS, LEAST_HEAT_DAYS = 35, 7
"""The calendar's days, up to the day: five weeks, and fewer if nothing older is held, but a week at least."""
TRAILING_DAYS, LEAST_DAYS = 30, 7
"""What a day is compared with, and the least that makes a comparison."""
_SHOWN_GAPS = 12
_CANDLES = "candles"
_PART_OF_DAY = {
    "recording": "the day is not over",
    "repairing": "its end is being asked for",
    "incomplete": "but the recording began within the day",
    "unproven": "but no later trade shows where the day ended",
}

Pair = tuple[str, str]


def newest_day(ledger: Ledger, now_ns: int) -> str:
    """Return the day to report unless one is named: the newest that is over, else the running one.

    Raises
    ------
    UsageError : if no day holds a trade.
    """
    days = sorted({row.day for row in ledger.day_report(now_ns)})
    if not days:
        raise UsageError("no trade is held yet, so there is nothing to report; record with ingest or demo")
    return max((day for day in days if day < day_of(now_ns)), default=days[-1])


def collect(
    data: DataDir, ledger: Ledger, day: str, now_ns: int, *, earlier: Mapping[str, Contents | None]
) -> tuple[ReportFacts, Contents]:
    """Return the facts of a day, and what the next report compares with.

    Parameters
    ----------
    earlier : the days before that have a report, ascending; the newest with what it looked at.

    Raises
    ------
    UsageError : if nothing is held of the day.
    """
    rows = ledger.day_report(now_ns)
    today = [row for row in rows if row.day == day]
    if not today:
        days = sorted({row.day for row in rows})
        held = f"days held: {days[0]} to {days[-1]}" if days else "no trade is held yet"
        raise UsageError(f"nothing is held of {day}; {held}")
    contents = _contents(ledger, day)
    reader = _Reader(data, ledger, rows, day, now_ns)
    symbols = sorted((reader.symbol(row) for row in today), key=_worst_first)
    heat_days = _heat_days(rows, day)
    facts = ReportFacts(
        day,
        now_ns,
        ledger.kind() == "simulated",
        day < day_of(now_ns),
        symbols,
        heat_days,
        _heat(rows, heat_days),
        _repairs(ledger.gaps_touching(day_start(day), day_start(day) + DAY_NS)),
        reader.quarantined_nameless(),
        _since(earlier, contents),
        any(symbol.candles is not None for symbol in symbols),
        verdicts_of(data, day),
        tuple(earlier),
    )
    return facts, contents


def _worst_first(symbol: SymbolFacts) -> tuple[float, str, str]:
    return (-1.0 if symbol.score.value is None else symbol.score.value, symbol.venue, symbol.symbol)


def _since(earlier: Mapping[str, Contents | None], contents: Contents) -> Revisions | None:
    known = [(day, before) for day, before in earlier.items() if before is not None]
    return revisions(*known[-1], contents) if known else None


def _contents(ledger: Ledger, day: str) -> Contents:
    """Return the hashes of the published ticks of the calendar's days."""
    first = day_after(day, 1 - HEAT_DAYS)
    found = {}
    for at in day_range(first, day):
        for leaf, record in ledger.leaves("ticks", day=at).items():
            found[f"{leaf.venue} {leaf.symbol} {leaf.day}"] = (record.content_hash, record.rows)
    return found


def _heat_days(rows: Iterable[DayStatus], day: str) -> tuple[str, ...]:
    oldest = max(min(row.day for row in rows), day_after(day, 1 - HEAT_DAYS))
    return tuple(day_range(min(oldest, day_after(day, 1 - LEAST_HEAT_DAYS)), day))


def _heat(rows: Iterable[DayStatus], days: Sequence[str]) -> list[HeatRow]:
    by_pair: dict[Pair, dict[str, DayStatus]] = defaultdict(dict)
    for row in rows:
        if days[0] <= row.day <= days[-1]:
            by_pair[row.venue, row.symbol][row.day] = row
    return [HeatRow(*pair, tuple(_cell(held.get(day)) for day in days)) for pair, held in sorted(by_pair.items())]


def _cell(row: DayStatus | None) -> tuple[DayState, int] | None:
    return None if row is None else (row.state, row.open + row.unrecoverable)


_CLOSED = ("filled", "void")


def _repairs(gaps: Sequence[Gap]) -> Repairs:
    counts: Counter[str] = Counter()
    trades: Counter[str] = Counter()
    for gap in gaps:
        counts[gap.state] += 1
        trades[gap.state] += gap.missing
    first = sorted(gaps, key=lambda gap: (gap.state in _CLOSED, -gap.missing, gap.id))
    shown = [
        RepairedGap(gap, *("not known" if ts is None else utc(ts) for ts in (gap.prev_ts, gap.next_ts)))
        for gap in first[:_SHOWN_GAPS]
    ]
    return Repairs({state: (counts[state], trades[state]) for state in sorted(counts)}, shown)


class _Reader:
    """Reads the facts of one symbol's day after the other; what concerns all of them is read once."""

    def __init__(self, data: DataDir, ledger: Ledger, rows: Sequence[DayStatus], day: str, now_ns: int) -> None:
        self._data, self._ledger, self._day = data, ledger, day
        self._start_ns = day_start(day)
        self._simulated = ledger.kind() == "simulated"
        self._stored: dict[Pair, dict[str, int]] = defaultdict(dict)
        for row in rows:
            self._stored[row.venue, row.symbol][row.day] = row.stored
        received = (self._start_ns, self._start_ns + DAY_NS)
        self._quarantined = ledger.quarantined(received=received)
        ends = open_ends(data, ledger.sequences())
        known = [end for end in ends if day_of(end.since_ns) <= day <= day_of(now_ns) and end.concern(now_ns)]
        self._not_known = {(end.venue, end.symbol): end.text(now_ns) for end in known}
        with ledger.snapshot() as now:
            self._conflicting = set(now.conflicts())

    def quarantined_nameless(self) -> dict[str, int]:
        """Count the records that name no symbol, by venue and kind."""
        nameless = self._quarantined.items()
        return {f"{venue}: {kind}": count for (venue, symbol, kind), count in nameless if symbol is None}

    def symbol(self, row: DayStatus) -> SymbolFacts:
        """Return the facts of one symbol's day."""
        pair = row.venue, row.symbol
        damaged: list[tuple[str, str]] = []
        without: tuple[TradeStatistics | None, int] = (None, 0)
        statistics, repeated = _unless_damaged("ticks", damaged, lambda: self._trades(*pair), without)
        quarantined = {kind: count for (*of, kind), count in self._quarantined.items() if tuple(of) == pair}
        conflicts, refused = self._conflicts(*pair), self._refused(*pair)
        drift = self._drift(row)
        candles = _unless_damaged("bars or candles", damaged, lambda: self._candles(*pair), None)
        parts = [
            _completeness(row),
            _timeliness(statistics),
            _validity(row, sum(quarantined.values()), refused, damaged),
            _consistency(row, conflicts + repeated, candles),
            _stability(drift, over=row.state != "recording"),
        ]
        return SymbolFacts(
            *pair,
            row,
            statistics,
            repeated,
            conflicts,
            quarantined,
            refused,
            damaged,
            drift,
            candles,
            score(parts),
            self._not_known.get(pair, ""),
        )

    def _trades(self, venue: str, symbol: str) -> tuple[TradeStatistics | None, int]:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from quality.report.trades import DayTrades, repeats, statistics
        from trading_platform.store.lake.publish import read_leaf

        columns = ["epoch", "trade_id", "trade_uid", "ts_event", "ts_recv", "price", "source"]
        table = read_leaf(self._data, Leaf("ticks", venue, symbol, self._day), columns)
        if table is None or not table.num_rows:
            return None, 0
        if table.column("trade_id").null_count:
            repeated = table.num_rows - pc.count_distinct(table.column("trade_uid")).as_py()
        else:
            repeated = repeats(*(table.column(name).to_numpy().astype(np.int64) for name in ("epoch", "trade_id")))
        ts_event, ts_recv = (table.column(name).cast(pa.int64()).to_numpy() for name in ("ts_event", "ts_recv"))
        live = pc.equal(table.column("source").cast(pa.string()), "ws").to_numpy(zero_copy_only=False)
        order = np.argsort(ts_event, kind="stable")
        columns_in_order = (column[order] for column in (ts_event, ts_recv, table.column("price").to_numpy(), live))
        return statistics(DayTrades(*columns_in_order), self._start_ns, simulated=self._simulated), int(repeated)

    def _conflicts(self, venue: str, symbol: str) -> int:
        """Count the conflicts about trades whose ids the day holds."""
        if (venue, symbol) not in self._conflicting:
            return 0
        spans = [row for row in self._ledger.days(venue, symbol) if row.day == self._day]
        return sum(
            any(row.epoch == c.epoch and row.first_id <= c.trade_id <= row.last_id for row in spans)
            for c in self._ledger.conflicts(venue, symbol)
        )

    def _refused(self, venue: str, symbol: str) -> list[tuple[str, str]]:
        """Return the files that their gate refused, each with the rules it broke."""
        found = []
        for dataset in (name for name, each in DATASETS.items() if each.by_symbol):
            for leaf, entry in self._ledger.entries(dataset, venue, symbol, self._day).items():
                if entry.verdict is not None and not entry.verdict.passed:
                    broken = "; ".join(f"{f.check} ({f.rows:,} rows, {f.example})" for f in entry.verdict.failures)
                    found.append((" ".join(filter(None, (dataset, leaf.timeframe, leaf.model))), broken))
        return found

    def _drift(self, row: DayStatus) -> Drift:
        first = day_after(self._day, -TRAILING_DAYS)
        before = [n for at, n in self._stored[row.venue, row.symbol].items() if first <= at < self._day and n]
        return Drift(row.stored, len(before), float(median(before)) if len(before) >= LEAST_DAYS else None)

    def _candles(self, venue: str, symbol: str) -> CandleComparison | None:
        """Compare the one-minute bars with the venue's candles, None where none are held."""
        from quality.report.candles import compare
        from trading_platform.store.lake.publish import read_leaf

        if _CANDLES not in DATASETS:
            return None
        bars = Leaf("bars", venue, symbol, self._day, "1m")
        tables = [read_leaf(self._data, leaf) for leaf in (bars, bars._replace(dataset=_CANDLES))]
        return None if tables[0] is None or tables[1] is None else compare(tables[0], tables[1])


def _completeness(row: DayStatus) -> ScorePart:
    """Judge the ids that are known: a day recorded in part is whole if all of that part is held."""
    known, missing = row.stored + row.void, row.open + row.unrecoverable
    value = known / (known + missing) if known + missing else None
    if row.state in {"complete", "reconciled"}:
        value, reason = 1.0, "every trade is proved to be held"
    elif missing:
        reason = f"{counted(missing, 'trade')} missing"
    elif row.first_id is None and row.state != "recording":
        value, reason = 0.0, "nothing proves that no trade is missing"
    else:
        reason = f"no known trade is missing, {_PART_OF_DAY[row.state]}"
    return ScorePart("complete", value, 40, reason)


def _timeliness(found: TradeStatistics | None) -> ScorePart:
    latency = None if found is None else found.latency
    if latency is None or latency.trades == latency.negative:
        why = "a clock is off" if latency is not None else "no trade came over the stream as it happened"
        return ScorePart("in time", None, 20, why)
    return ScorePart("in time", latency.in_time, 20, "share of live trades received within a second")


T = TypeVar("T")


def _unless_damaged(files: str, damaged: list[tuple[str, str]], read: Callable[[], T], without: T) -> T:
    """Return what is read, and `without` where a file is damaged: that is a finding, not the end of the report."""
    try:
        return read()
    except CorruptionError as error:
        damaged.append((files, " ".join(str(error).split())))
        return without


def _validity(row: DayStatus, quarantined: int, refused: Sequence[object], damaged: Sequence[object]) -> ScorePart:
    if damaged:
        return ScorePart("valid", 0.0, 15, f"{counted(len(damaged), 'file')} damaged")
    if refused:
        return ScorePart("valid", 0.0, 15, f"{counted(len(refused), 'file')} refused by the gate")
    share = row.stored / (row.stored + quarantined) if row.stored + quarantined else None
    return ScorePart("valid", share, 15, f"{counted(quarantined, 'record')} in quarantine")


def _consistency(row: DayStatus, contradictions: int, candles: CandleComparison | None) -> ScorePart:
    if not row.stored:
        return ScorePart("consistent", None, 15, "no trade is held")
    share = 1 - min(contradictions / row.stored, 1.0)
    reason = f"{contradictions:,} conflicts and repeats"
    if candles is not None and candles.compared:
        share *= candles.equal / candles.compared
        reason += f", {candles.equal:,} of {candles.compared:,} bars equal the venue's candles"
    return ScorePart("consistent", share, 15, reason)


def _stability(drift: Drift, *, over: bool) -> ScorePart:
    if drift.ratio is None or not over:
        reason = "the day is not over" if not over else f"{drift.days} of {LEAST_DAYS} days of history"
        return ScorePart("steady", None, 10, reason)
    return ScorePart("steady", steadiness(drift.ratio), 10, f"{drift.ratio:.2f} times the usual number of trades")
