"""Bring a dataset's symbol-days up to date: find what is stale, compute it, let its gate judge, publish, report.

This file decides which symbol-days are looked at, in which order, and under which lock; what happens to one of them
is symbol_day.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from trading_platform.analytics.own_indicators import use_paths
from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.datasets import COMPUTED, DATASETS, Dataset, in_order
from trading_platform.domain.days import day_range
from trading_platform.domain.errors import CorruptionError, WorkError
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.ingest.replay.one_leaf import Heal
from trading_platform.pipeline.datasets.table import computation, listing
from trading_platform.pipeline.day_context import PipelineConfig, RegimeConfig
from trading_platform.pipeline.lake_inputs import Moved
from trading_platform.pipeline.results import DayReport, LeafResult, Status, describe
from trading_platform.pipeline.symbol_day import PipelineLedger, Refresher
from trading_platform.pipeline.tick_days import Chain
from trading_platform.settings import Settings
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.publish import Published

Pair = tuple[str, str]
"""(venue, symbol)."""

OnReport = Callable[[DayReport], object]
LOCK_WAIT_S = 600.0
"""How long a symbol's dataset waits for another process that is bringing it up to date."""

DEFAULT = PipelineConfig()
_ATTEMPTS = 5


def _is_recorded(leaf: Leaf) -> bool:
    return DATASETS[leaf.dataset].recorded


def _units(dataset: Dataset, pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Return what has leaves of a dataset: the symbols, or their venues, which have no symbol."""
    return pairs if dataset.by_symbol else sorted({(venue, "") for venue, _ in pairs})


class Pipeline:
    """Everything that is computed from ticks, kept up to date.

    Parameters
    ----------
    data : where everything lies.
    ledger : what is known of it.
    gates : dataset to gate; a root hands down `quality.schemas.GATES`.
    timeframes, indicator_names, regimes : what is computed.
    heal : rebuilds damaged ticks from the log; without it they are refused.
    """

    def __init__(
        self,
        data: DataDir,
        ledger: PipelineLedger,
        *,
        gates: Mapping[str, Gate],
        timeframes: Sequence[str] = DEFAULT.timeframes,
        indicator_names: Sequence[str] = DEFAULT.indicators,
        regimes: RegimeConfig = DEFAULT.regimes,
        heal: Heal | None = None,
    ) -> None:
        self.data = data
        self.ledger = ledger
        self.config = PipelineConfig(tuple(timeframes), tuple(indicator_names), regimes)
        self._gates = gates
        self._heal = heal
        self._refresher = Refresher(data, ledger, self.config, gates)

    @classmethod
    def from_settings(
        cls,
        data: DataDir,
        ledger: PipelineLedger,
        settings: Settings,
        *,
        gates: Mapping[str, Gate],
        heal: Heal | None = None,
    ) -> Self:
        """Make the pipeline that the settings describe."""
        use_paths(settings.indicator_paths)
        regimes = settings.regimes
        config = RegimeConfig(
            regimes.model, regimes.states, regimes.timeframes, regimes.min_days, regimes.lookback_days
        )
        return cls(
            data,
            ledger,
            gates=gates,
            timeframes=settings.timeframes,
            indicator_names=settings.indicators,
            regimes=config,
            heal=heal,
        )

    def refresh(
        self, dataset: str, day: str, symbols: Sequence[Pair] | None = None, *, seal: bool = False
    ) -> DayReport:
        """Bring one dataset's day up to date.

        Parameters
        ----------
        symbols : (venue, symbol) pairs, by default all that the ledger knows.
        seal : for ticks: say in the ledger that the day is over.
        """
        (spec,) = in_order([dataset])
        pairs = _units(spec, self.ledger.symbols() if symbols is None else symbols)
        return self._day(spec, day, pairs, {}, seal=seal)

    def refresh_range(
        self,
        datasets: Sequence[str],
        first: str,
        last: str,
        symbols: Sequence[Pair] | None = None,
        *,
        on_report: OnReport | None = None,
    ) -> list[DayReport]:
        """Bring every day from `first` to `last` up to date, one dataset after the other, inputs first.

        Days outside the range are left as they are: `begin` says where to begin, `carry_on` goes beyond the end.
        """
        asked = self.ledger.symbols() if symbols is None else symbols
        reports: list[DayReport] = []
        for dataset in in_order(datasets):
            pairs = _units(dataset, asked)
            chains: dict[Pair, Chain] = {}
            busy = {pair: self._busy_days(dataset, pair) for pair in pairs}
            for day in day_range(first, last):
                report = self._day(dataset, day, [pair for pair in pairs if day in busy[pair]], chains)
                idle = [LeafResult(Leaf(dataset.name, *pair, day), "absent") for pair in pairs if day not in busy[pair]]
                reports.append(report._replace(results=(*report.results, *idle)))
                if on_report is not None:
                    on_report(reports[-1])
        return reports

    def _busy_days(self, dataset: Dataset, pair: Pair) -> set[str]:
        """Return the days on which a symbol can have anything but nothing."""
        venue, symbol = pair
        staged = {leaf.day for leaf in staging.parts(self.data, venue, symbol or None)}
        published = {leaf.day for leaf in self.ledger.leaves(dataset.name, *pair)}
        if not dataset.by_symbol:
            return staged | published | {leaf.day for leaf in self.ledger.leaves("ticks", venue)}
        return staged | published | set(Chain.load(self.data, self.ledger, *pair).days)

    def begin(self, datasets: Sequence[str], first: str, symbols: Sequence[Pair] | None = None) -> str:
        """Return the day to begin with so that no day from `first` on has to wait for an earlier one."""
        begin = first
        for pair in self.ledger.symbols() if symbols is None else symbols:
            chain = Chain.load(self.data, self.ledger, *pair)
            for dataset in in_order(datasets):
                day = chain.previous(first) if dataset.stateful else None
                while day is not None and not self._refresher.carries(dataset, pair, day):
                    begin = min(begin, day)
                    day = chain.previous(day)
        return begin

    def carry_on(
        self,
        datasets: Sequence[str],
        last: str,
        symbols: Sequence[Pair] | None = None,
        *,
        on_report: OnReport | None = None,
    ) -> list[DayReport]:
        """Carry what has changed up to `last` on into the computed days after it; report those that changed."""
        reports = []
        for dataset in in_order(datasets):
            for pair in self.ledger.symbols() if symbols is None else symbols:
                later = [day for day in self._computed_days(dataset, pair, last) if day > last]
                if dataset.stateful and later:
                    reports += self.ripple(dataset.name, later[0], [pair], on_report=on_report)
        return [report for report in reports if set(report.counts) != {"unchanged"}]

    def ripple(
        self, dataset: str, from_day: str, symbols: Sequence[Pair] | None = None, *, on_report: OnReport | None = None
    ) -> list[DayReport]:
        """Refresh `from_day`, and each later computed day as long as the one before it ended in another state.

        Returns
        -------
        list of DayReport : a report for each day that was refreshed, ascending.
        """
        (spec,) = in_order([dataset])
        pairs = _units(spec, self.ledger.symbols() if symbols is None else symbols)
        results: dict[str, list[LeafResult]] = {}
        for pair in pairs:
            chains: dict[Pair, Chain] = {}
            for day in self._computed_days(spec, pair, from_day):
                report = self._day(spec, day, [pair], chains)
                results.setdefault(day, []).extend(report.results)
                if not any(result.end_state_changed for result in report.results):
                    break
        reports = [DayReport(dataset, day, tuple(results[day])) for day in sorted(results)]
        for report in reports:
            if on_report is not None:
                on_report(report)
        return reports

    def follow(self, pair: Pair, days: Sequence[str], *, on_report: OnReport | None = None) -> list[DayReport]:
        """Bring everything up to date that depends on the ticks of some days of one symbol, after a repair.

        Bars of the days themselves, of those in between and of their neighbours (a trade proves what lies beside
        it); what carries state on from there until it no longer changes.
        """
        if not days:
            return []
        chain = Chain.load(self.data, self.ledger, *pair)
        first, last = chain.previous(min(days)) or min(days), chain.next(max(days)) or max(days)
        reports: list[DayReport] = []
        for dataset in in_order(COMPUTED):
            if not dataset.stateful:
                reports += self.refresh_range([dataset.name], first, last, [pair], on_report=on_report)
                continue
            for day in day_range(first, last):
                reports += self.ripple(dataset.name, day, [pair], on_report=on_report)
        return reports

    def differs(self, leaf: Leaf) -> bool | None:
        """Compute a leaf again and tell whether one bit of it differs; None of one that is not up to date."""
        (dataset,) = in_order([leaf.dataset])
        record = self.ledger.leaf(leaf)
        if record is None or dataset.upstream is None:
            return None
        table = self._refresher.again(dataset, Chain.load(self.data, self.ledger, leaf.venue, leaf.symbol), leaf)
        return None if table is None else lake.content_hash(table) != record.content_hash

    def look_at(self, dataset: str, day: str) -> DayReport:
        """Read every published file of a dataset's day and let its gate judge the rows; compute and change nothing."""
        report = self.published(dataset, day)
        return report._replace(results=tuple(map(self._judged, report.results)))

    def _judged(self, result: LeafResult) -> LeafResult:
        if result.status != "unchanged":
            return result
        try:
            table = lake.read_leaf(self.data, result.leaf)
        except CorruptionError as error:
            return result._replace(status="refused", reason=str(error))
        verdict = Verdict() if table is None else self._gates[result.leaf.dataset](table)
        status: Status = "unchanged" if verdict.passed else "refused"
        return result._replace(status=status, verdict=verdict, reason="" if verdict.passed else describe(verdict))

    def published(self, dataset: str, day: str, *, instead: Collection[LeafResult] = ()) -> DayReport:
        """Report one dataset's day as it is published, its files compared with the ledger; compute nothing.

        Parameters
        ----------
        instead : what is said of the symbols that these results are about.
        """
        (spec,) = in_order([dataset])
        records = self.ledger.leaves(dataset, day=day)
        said = {(result.leaf.venue, result.leaf.symbol) for result in instead}
        results = list(instead)
        for pair in _units(spec, self.ledger.symbols()):
            if pair in said:
                continue
            whole = Leaf(dataset, *pair, day)
            leaves = [whole] if spec.upstream is None else computation(spec).leaves(self.config, *pair, day)
            results += [self._as_published(x, records[x]) for x in leaves if x in records] or [
                LeafResult(whole, "absent")
            ]
        return DayReport(
            dataset, day, tuple(sorted(results, key=lambda result: (result.leaf.venue, result.leaf.symbol)))
        )

    def _as_published(self, leaf: Leaf, record: LeafRecord) -> LeafResult:
        try:
            lake.look_at(self.data, leaf, ledger=self.ledger)
        except CorruptionError as error:
            return LeafResult(leaf, "refused", record.rows, None, str(error))
        return LeafResult(leaf, "unchanged", record.rows, self.ledger.verdict(leaf))

    def _computed_days(self, dataset: Dataset, pair: Pair, from_day: str) -> list[str]:
        computed = {leaf.day for leaf in self.ledger.leaves(dataset.name, *pair)}
        return sorted({from_day, *(day for day in computed if day > from_day)})

    def _day(
        self, dataset: Dataset, day: str, pairs: Sequence[Pair], chains: dict[Pair, Chain], *, seal: bool = False
    ) -> DayReport:
        results: list[LeafResult] = []
        for pair in pairs:
            if dataset.recorded:
                results.append(self._recorded(Leaf(dataset.name, *pair, day), seal=seal))
            elif not dataset.by_symbol:
                venue, _ = pair
                gate = self._gates[dataset.name]
                results.append(listing(dataset).refresh(self.data, self.ledger, venue, day, gate))
            else:
                results += self._symbol_day(dataset, day, pair, chains)
        return DayReport(dataset.name, day, tuple(results))

    def _recorded(self, leaf: Leaf, *, seal: bool) -> LeafResult:
        """Publish what is staged; look at what is published, and heal it if it is damaged."""
        before = self.ledger.leaf(leaf)
        healed = ""
        try:
            published = self._publish(leaf, before)
        except CorruptionError as damage:
            healed = str(damage)
            try:
                if self._heal is None:
                    raise
                published = self._heal(leaf)
            except WorkError as error:
                return LeafResult(leaf, "refused", 0 if before is None else before.rows, None, str(error))
        if published is not None and not published.verdict.passed:
            return LeafResult(leaf, "refused", published.rows, published.verdict, describe(published.verdict))
        record = self.ledger.leaf(leaf)
        if record is None:
            return LeafResult(leaf, "absent")
        if seal:
            self.ledger.seal(leaf)
        status: Status = "computed" if published is not None and published.changed else "unchanged"
        return LeafResult(leaf, status, record.rows, self.ledger.verdict(leaf), healed=healed)

    def _publish(self, leaf: Leaf, record: LeafRecord | None) -> Published | None:
        """Publish what is staged, if anything is.

        Raises
        ------
        CorruptionError : if the published file is not the one that the ledger speaks of, or a part is damaged.
        """
        if staging.parts_of(self.data, leaf) or self.ledger.intent(leaf) is not None:
            return lake.publish(self.data, leaf, ledger=self.ledger, gate=self._gates[leaf.dataset])
        if record is not None:
            lake.look_at(self.data, leaf, ledger=self.ledger)
        return None

    def _symbol_day(self, dataset: Dataset, day: str, pair: Pair, chains: dict[Pair, Chain]) -> list[LeafResult]:
        moved: Moved | None = None
        with self._locked(dataset, pair):
            for _ in range(_ATTEMPTS):
                if pair not in chains:
                    chains[pair] = Chain.load(self.data, self.ledger, *pair)
                try:
                    return self._refresher.refresh(dataset, chains[pair], day)
                except Moved as error:
                    moved = error
                    del chains[pair]
                    if _is_recorded(moved.leaf):
                        self._recorded(moved.leaf, seal=False)
        status: Status = "refused" if moved is not None and _is_recorded(moved.leaf) else "waiting"
        return [LeafResult(Leaf(dataset.name, *pair, day), status, reason=str(moved))]

    @contextmanager
    def _locked(self, dataset: Dataset, pair: Pair) -> Iterator[None]:
        """Let one process at a time plan and publish a symbol's dataset: the later one sees the newer inputs."""
        what = f"refreshing {dataset.name} of {pair[0]} {pair[1]}"
        path = self.data.run / "pipeline" / dataset.name / pair[0] / pair[1] / "lock"
        with FileLock.acquire(path, what, wait_s=LOCK_WAIT_S):
            yield
