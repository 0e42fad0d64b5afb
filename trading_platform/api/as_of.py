"""Point-in-time reads: build a temporary lake from only the data received up to an instant.

Ticks are those with ``ts_recv`` up to the instant; completeness follows from them and from evidence received by then;
pipeline/ computes everything downstream, regimes with the models in force then. Without a ledger that knows these
trades there is no such evidence, and void ids count as missing. Reading from such a lake is api/readers.py.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from trading_platform.analytics.own_indicators import use_paths
from trading_platform.completeness.records import TextDay
from trading_platform.domain.datasets import DATASETS, with_upstream
from trading_platform.domain.days import day_of
from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.domain.id_ranges import IdRanges, Range, id_runs
from trading_platform.domain.timeframe import TIMEFRAMES
from trading_platform.domain.verdict import pass_all
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.settings import Settings
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, reader as readers
from trading_platform.store.ledger import DayRow, LeafRecord, Ledger, SequenceRow, SequenceState, tables as t

Pair = tuple[str, str]
"""(venue, symbol)."""


_NO_VALUES = ("ts_open", "ts_close", "complete", "model_version")
"""Columns of indicators and regimes that every row has, also one without a trade."""


@contextmanager
def lake_at(
    data: DataDir,
    ledger: Ledger | None,
    at_ns: int,
    *,
    settings: Settings,
    pairs: Sequence[Pair],
    datasets: Sequence[str] = (),
    timeframes: Sequence[str] = tuple(TIMEFRAMES),
    until: str | None = None,
) -> Iterator[tuple[DataDir, Ledger]]:
    """Yield a data directory and a ledger as they stood at an instant; they are deleted after the block.

    Parameters
    ----------
    ledger : as it is now, None if there is none.
    datasets : which computed datasets are wanted; what they need is computed too.
    timeframes : of the computed datasets.
    until : the last day that is computed; by default the last one with a trade.

    Raises
    ------
    UsageError : if a trade does not say when it was received, or the trades of something stored are not there.
    WorkError : if something that is needed cannot be computed, such as with a damaged model.
    """
    with tempfile.TemporaryDirectory(prefix="as-of-") as folder:
        there = DataDir(Path(folder)).create()
        past = LedgerAt(there, ledger, at_ns)
        try:
            ticks = [leaf for leaf in lake.leaves(data, "ticks") if (leaf.venue, leaf.symbol) in pairs]
            _check_trades(data, ticks, pairs, datasets, until)
            for leaf in ticks:
                past.take(data, leaf)
            _take_models(data, there, at_ns)
            _compute(there, past, settings, pairs, datasets, timeframes, until)
            yield there, past
        finally:
            past.close()


def _check_trades(
    data: DataDir, ticks: Sequence[Leaf], pairs: Sequence[Pair], datasets: Sequence[str], until: str | None
) -> None:
    """Refuse to answer from less than was answered from: bars whose trades were not copied along."""
    held = {(leaf.venue, leaf.symbol, leaf.day) for leaf in ticks}
    for dataset in datasets:
        for leaf in lake.leaves(data, dataset):
            if (leaf.venue, leaf.symbol) not in pairs or (until is not None and leaf.day > until):
                continue
            if (leaf.venue, leaf.symbol, leaf.day) not in held and _holds_trades(data, leaf):
                raise UsageError(
                    f"{dataset} as of a time are computed from the ticks, and those of {leaf.venue} {leaf.symbol} "
                    f"{leaf.day} are not in {data.lake}; copy them too"
                )


def _holds_trades(data: DataDir, leaf: Leaf) -> bool:
    """Tell whether a computed leaf was made of trades; one that a gap lies across was not."""
    table = lake.read_leaf(data, leaf)
    if table is None:
        return False
    if leaf.dataset == "bars":
        return bool(pc.any(pc.greater(table.column("trade_count"), 0)).as_py())
    values = table.drop_columns([name for name in _NO_VALUES if name in table.schema.names])
    return any(column.null_count < table.num_rows for column in values.columns)


def _compute(
    there: DataDir,
    past: LedgerAt,
    settings: Settings,
    pairs: Sequence[Pair],
    datasets: Sequence[str],
    timeframes: Sequence[str],
    until: str | None,
) -> None:
    days = [leaf.day for leaf in past.leaves("ticks")]
    if not datasets or not days:
        return
    r = settings.regimes
    use_paths(settings.indicator_paths)
    pipeline = Pipeline(
        there,
        past,
        gates=dict.fromkeys(DATASETS, pass_all),
        timeframes=timeframes,
        indicator_names=settings.indicators,
        regimes=RegimeConfig(r.model, r.states, r.timeframes, r.min_days, r.lookback_days),
    )
    last = max(days) if until is None else min(until, max(days))
    if last < min(days):
        return
    for report in pipeline.refresh_range(with_upstream(datasets), min(days), last, pairs):
        for result in report.results:
            if result.status in {"refused", "waiting"}:
                leaf = result.leaf
                raise WorkError(f"{leaf.dataset} of {leaf.symbol} {leaf.day} as of a time: {result.reason}")


def _take_models(data: DataDir, there: DataDir, at_ns: int) -> None:
    """Take the models that were in force: those of months that had begun."""
    month = day_of(at_ns)[:7]
    root = data.state / "models"
    for path in root.rglob("*.json"):
        if path.stem <= month:
            target = there.state / "models" / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


class LedgerAt(Ledger):
    """A ledger of its own whose account of ids is that of another one at an instant.

    Parameters
    ----------
    there : where it lies, with the lake it speaks of.
    now : the ledger as it is now, None if there is none.
    """

    def __init__(self, there: DataDir, now: Ledger | None, at_ns: int) -> None:
        super().__init__(Ledger.open(there).database)
        self._there = there
        self._now = now
        self._at_ns = at_ns
        self._held: dict[Pair, dict[int, IdRanges]] = {}
        self._days: dict[Pair, list[DayRow]] = {}
        self._shown: dict[tuple[str, str, int], Mapping[str, list[Range]] | None] = {}

    def take(self, data: DataDir, leaf: Leaf) -> None:
        """Take over what had been received of a symbol-day."""
        table = lake.read_leaf(data, leaf)
        if table is None:
            return
        table = readers.received_by(table, self._at_ns, leaf.path.as_posix())
        if not table.num_rows:
            return
        path = self._there.lake / leaf.path
        path.parent.mkdir(parents=True, exist_ok=True)
        written = parquet.write(path, table)
        ids = table.column("trade_id")
        record = LeafRecord(
            written.rows,
            written.content_hash,
            parquet.file_sha256(path),
            first_id=ids[0].as_py(),
            last_id=ids[-1].as_py(),
        )
        self.intend(leaf, record)
        self.confirm(leaf)
        if not ids.null_count:
            self._count(leaf, table)

    def _count(self, leaf: Leaf, table: pa.Table) -> None:
        pair = leaf.venue, leaf.symbol
        for epoch in pc.unique(table.column("epoch")).to_pylist():
            mine = table.filter(pc.equal(table.column("epoch"), epoch)).column("trade_id").to_numpy()
            self._held.setdefault(pair, {}).setdefault(epoch, IdRanges()).update(id_runs(mine))
            self._days.setdefault(pair, []).append(DayRow(leaf.day, epoch, int(mine[0]), int(mine[-1]), len(mine)))

    def symbols(self) -> list[Pair]:
        """Return the pairs of which anything had been received."""
        return sorted({(leaf.venue, leaf.symbol) for leaf in self.leaves("ticks")})

    def sequences(self, venue: str | None = None, symbol: str | None = None) -> list[SequenceRow]:
        """Return where each epoch began and ended at that time; an end is proved if it still is the same.

        It begins with what was promised by then: what was promised later is not known yet.
        """
        rows = [] if self._now is None else self._now.sequences(venue, symbol)
        tails = {(row.venue, row.symbol, row.epoch, row.head): row.tail for row in rows}
        return [
            SequenceRow(
                *pair, epoch, self._begin(*pair, epoch), held.last, tails.get((*pair, epoch, held.last), "live")
            )
            for pair, epochs in sorted(self._held.items())
            if venue in {None, pair[0]} and symbol in {None, pair[1]}
            for epoch, held in sorted(epochs.items())
            if held.first is not None and held.last is not None
        ]

    def state(self, venue: str, symbol: str, epoch: int = 0) -> SequenceState:
        """Return the account of one sequence as of then."""
        held = self._held.get((venue, symbol), {}).get(epoch, IdRanges()).copy()
        state = SequenceState(from_id=held.first, head=held.last or 0, stored=held)
        if held.first is not None:
            state.from_id = self._begin(venue, symbol, epoch)
        seen = self._evidence(venue, symbol, epoch)
        if seen is not None and self._now is not None:
            claims = [*seen["void"], *_twice([*seen["skip"], *seen["skip last"]])]
            state.void = IdRanges(self._now.voids(venue, symbol, epoch)).common(claims)
            state.unrecoverable = IdRanges(seen["unrecoverable"])
        return state

    def _begin(self, venue: str, symbol: str, epoch: int) -> int:
        """Return the first id that we had undertaken to hold by then; the first held one where nobody says."""
        first = self._held[venue, symbol][epoch].first
        assert first is not None
        seen = self._evidence(venue, symbol, epoch) or {}
        told = [low for kind in ("promise", "void", "unrecoverable") for low, _ in seen.get(kind, [])]
        return min([first, *told])

    def voids(self, venue: str, symbol: str, epoch: int = 0) -> list[Range]:
        """Return the ids that were known to be used up."""
        return list(self.state(venue, symbol, epoch).void)

    def text_days(self, venue: str | None = None, symbol: str | None = None) -> list[TextDay]:
        """Return the days of symbols whose ids prove nothing, with the listings that had been taken in by then."""
        now = [] if self._now is None else self._now.text_days(venue, symbol)
        held = {(leaf.venue, leaf.symbol, leaf.day): row.rows for leaf, row in self.leaves("ticks").items()}
        listed = [(day, day.listed) for day in now]
        return [
            day._replace(held=held.get(day[:3], 0), listed=None if told is None or told.seen_ns > self._at_ns else told)
            for day, told in listed
        ]

    def days(self, venue: str, symbol: str) -> list[DayRow]:
        """Return the days of which trades had been received."""
        return sorted(self._days.get((venue, symbol), []))

    def _evidence(self, venue: str, symbol: str, epoch: int) -> Mapping[str, list[Range]] | None:
        """Return what had been shown by then, by kind; None if there is no ledger of these trades."""
        key = venue, symbol, epoch
        if key not in self._shown:
            self._shown[key] = self._read_evidence(*key)
        return self._shown[key]

    def _read_evidence(self, venue: str, symbol: str, epoch: int) -> Mapping[str, list[Range]] | None:
        now, held = self._now, self._held.get((venue, symbol), {}).get(epoch, IdRanges())
        if now is None or not _knows(now, venue, symbol, epoch, held):
            return None
        c = t.evidence.c
        query = sa.select(c.kind, c.first_id, c.last_id).where(
            c.venue == venue, c.symbol == symbol, c.epoch == epoch, c.seen_ns <= self._at_ns
        )
        found: dict[str, list[Range]] = {"void": [], "skip": [], "skip last": [], "unrecoverable": []}
        with now.database.reading() as db:
            for kind, first, last in db.execute(query):
                found.setdefault(kind, []).append((first, last))
        return found


def _knows(now: Ledger, venue: str, symbol: str, epoch: int, held: IdRanges) -> bool:
    """Tell whether a ledger speaks of these very trades, not of those of another data directory."""
    stored = now.state(venue, symbol, epoch).stored
    return not any(True for first, last in held for _ in stored.missing(first, last))


def _twice(ranges: Sequence[Range]) -> list[Range]:
    """Return the ids that more than one of the ranges holds: what a listing skipped once proves nothing.

    >>> _twice([(1, 5), (4, 9), (20, 21)])
    [(4, 5)]
    """
    seen, again = IdRanges(), IdRanges()
    for first, last in ranges:
        again.update(seen.within(first, last))
        seen.add(first, last)
    return list(again)
