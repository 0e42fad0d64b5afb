"""Bring one symbol-day of a computed dataset up to date: is it stale, what does it start from, compute, publish.

A leaf's input hash covers its inputs, the code's version and parameters, and the end state of the previous day that
has bars. A day whose predecessor is not computed waits for it, naming it: no day is ever warmed up differently. A
refused day is passed over by the next one until it is good, which then changes that one's input hash.

Which symbol-days are looked at is pipeline.py; what is computed, the datasets' own modules; writing,
store/lake/publish_computed.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from trading_platform.completeness.records import LeafEntry, LeafRecord
from trading_platform.domain.datasets import DATASETS, Dataset
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import Gate
from trading_platform.pipeline.datasets.table import Computed, above as above_of, computation
from trading_platform.pipeline.day_context import DayContext, PipelineConfig
from trading_platform.pipeline.lake_inputs import LakeInputs, Moved
from trading_platform.pipeline.ledger_snapshot import LedgerSnapshot
from trading_platform.pipeline.results import LeafResult, Status, describe
from trading_platform.pipeline.state import end_states as states
from trading_platform.pipeline.state.end_states import EndState
from trading_platform.pipeline.tick_days import Chain, TickLedger
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import leaf_files as files, parquet, publish as lake, publish_computed as computed
from trading_platform.store.lake.publish import Published
from trading_platform.store.lake.publish_computed import LeafRows

if TYPE_CHECKING:
    import pyarrow as pa


class PipelineLedger(TickLedger, files.LeafLedger, Protocol):
    """What the pipeline asks of the ledger."""

    def symbols(self) -> list[tuple[str, str]]:
        """Return every (venue, symbol) known."""

    def seal(self, leaf: Leaf) -> None:
        """Say that a day is over."""


class Waiting(Exception):
    """Something that must be computed first is not; the message names it."""


class _Start(NamedTuple):
    """What a day starts from: the leaf before it and its record, None on the first day."""

    leaf: Leaf | None = None
    record: LeafRecord | None = None

    @property
    def end_state(self) -> str | None:
        return None if self.record is None else self.record.end_state


class Refresher:
    """Refreshes single symbol-days; see `engine.Pipeline` for the parameters."""

    def __init__(
        self, data: DataDir, ledger: PipelineLedger, config: PipelineConfig, gates: Mapping[str, Gate]
    ) -> None:
        self._data = data
        self._ledger = ledger
        self._config = config
        self._gates = gates

    def refresh(self, dataset: Dataset, chain: Chain, day: str) -> list[LeafResult]:
        """Bring every leaf of a symbol-day up to date.

        Raises
        ------
        Moved : if an input was replaced meanwhile; nothing was published.
        """
        leaves = computation(dataset).leaves(self._config, chain.venue, chain.symbol, day)
        known = LedgerSnapshot(self._ledger)
        one = _SymbolDay(self._data, self._config, dataset, chain, known, self._ledger)
        results: list[LeafResult] = []
        fresh: list[LeafRows] = []
        for leaf in leaves:
            if reason := known.refusal_above(leaf):
                results.append(_held_back(leaf, "refused", known, reason))
            elif chain.has(day):
                done = one.plan(leaf)
                (fresh if isinstance(done, LeafRows) else results).append(done)  # type: ignore[arg-type]
        if not leaves or not (results or fresh):
            return self._remove(dataset, chain, day, known.of_day(Leaf(dataset.name, chain.venue, chain.symbol, day)))
        states.save(self._data, one.ended)
        published = computed.write_leaves(self._data, fresh, ledger=self._ledger, gate=self._gates[dataset.name])
        results += [self._conclude(dataset, *pair, known) for pair in zip(fresh, published, strict=True)]
        results = [r._replace(healed=one.damaged.get(r.leaf, "")) if r.status == "computed" else r for r in results]
        return sorted(results, key=lambda result: leaves.index(result.leaf))

    def again(self, dataset: Dataset, chain: Chain, leaf: Leaf) -> pa.Table | None:
        """Compute a published leaf again from what it was computed from, and publish nothing.

        None of one that is not up to date: it is due to be computed, so that a difference would say nothing.
        """
        known = LedgerSnapshot(self._ledger)
        return _SymbolDay(self._data, self._config, dataset, chain, known, self._ledger).again(leaf)

    def carries(self, dataset: Dataset, pair: tuple[str, str], day: str) -> bool:
        """Tell whether every leaf of a symbol-day is computed and has kept a state that can be carried on."""
        for leaf in computation(dataset).leaves(self._config, *pair, day):
            record = self._ledger.leaf(leaf)
            kept = None if record is None else states.load(self._data, leaf, record)
            if kept is None or _payload(kept, dataset, self._config) is None:
                return False
        return True

    def _conclude(self, dataset: Dataset, fresh: LeafRows, published: Published, known: LedgerSnapshot) -> LeafResult:
        """Drop the states that are no longer named, and say what became of the leaf."""
        leaf, before = fresh.leaf, known.leaf(fresh.leaf)
        good = published.verdict.passed
        if dataset.stateful:
            states.prune(self._data, leaf, fresh.input_hash if good else before and before.input_hash)
        if not good:
            return LeafResult(leaf, "refused", published.rows, published.verdict, describe(published.verdict))
        status: Status = "computed" if published.changed else "unchanged"
        ended_otherwise = dataset.stateful and (before is None or before.end_state != fresh.end_state)
        return LeafResult(leaf, status, published.rows, published.verdict, end_state_changed=ended_otherwise)

    def _remove(self, dataset: Dataset, chain: Chain, day: str, entries: Mapping[Leaf, LeafEntry]) -> list[LeafResult]:
        """Take away what a day has that no longer has bars: the gap across it is closed."""
        gone = [leaf for leaf, entry in entries.items() if entry.record is not None]
        for leaf in gone:
            lake.remove_leaf(self._data, leaf, ledger=self._ledger)
            states.prune(self._data, leaf, None)
        leaf = Leaf(dataset.name, chain.venue, chain.symbol, day)
        return [LeafResult(leaf, "absent", end_state_changed=dataset.stateful and bool(gone))]


class _SymbolDay:
    """Plans and computes the leaves of one symbol-day; publishes nothing."""

    def __init__(
        self,
        data: DataDir,
        config: PipelineConfig,
        dataset: Dataset,
        chain: Chain,
        known: LedgerSnapshot,
        ledger: PipelineLedger,
    ) -> None:
        self._data = data
        self._config = config
        self._dataset = dataset
        self._chain = chain
        self._known = known
        self._ledger = ledger
        self._works: dict[str, DayContext] = {}
        self.ended: list[EndState] = []
        self.damaged: dict[Leaf, str] = {}

    def plan(self, leaf: Leaf) -> LeafResult | LeafRows:
        """Return what stands in the way, or nothing to do, or the leaf computed anew."""
        try:
            return self._plan(leaf)
        except Waiting as reason:
            return _held_back(leaf, "waiting", self._known, str(reason))
        except CorruptionError as error:
            return _held_back(leaf, "refused", self._known, str(error))

    def _plan(self, leaf: Leaf) -> LeafResult | LeafRows:
        dataset, before = self._dataset, self._known.leaf(leaf)
        above = above_of(leaf)
        if DATASETS[above.dataset].upstream is not None and self._known.leaf(above) is None:
            raise Waiting(f"{above.dataset} of {leaf.day} are not computed yet")
        start, work, input_hash = self._from(leaf)
        if before is not None and before.input_hash == input_hash:
            damage = self._damage(leaf, before)
            if not damage:
                return LeafResult(leaf, "unchanged", before.rows, self._known.verdict(leaf))
            self.damaged[leaf] = damage
        done = computation(dataset).compute(work, leaf, self._state(start))
        return LeafRows(leaf, done.table, input_hash, self._keep(leaf, input_hash, done))

    def _from(self, leaf: Leaf) -> tuple[_Start, DayContext, str]:
        """Return what a leaf is computed from: the start, the day's inputs, and the digest of both."""
        start = self._start(leaf) if self._dataset.stateful else _Start()
        work = self._work(leaf.day)
        inputs = dict(computation(self._dataset).inputs(work, leaf))
        settings = _settings(self._dataset, self._config)
        return start, work, _digest(leaf.path.as_posix(), settings, inputs, start.end_state)

    def again(self, leaf: Leaf) -> pa.Table | None:
        """Return the leaf computed once more, None if it is not up to date."""
        before = self._known.leaf(leaf)
        try:
            start, work, input_hash = self._from(leaf)
            if before is None or before.input_hash != input_hash:
                return None
            return computation(self._dataset).compute(work, leaf, self._state(start)).table
        except (Waiting, CorruptionError, Moved):
            return None

    def _work(self, day: str) -> DayContext:
        if day not in self._works:
            inputs = LakeInputs(self._data, self._known, self._ledger, self._chain, day, self._config.regimes)
            self._works[day] = DayContext(self._config, inputs)
        return self._works[day]

    def _start(self, leaf: Leaf) -> _Start:
        """Return the nearest earlier leaf to carry on from; a refused one that was never good is passed over."""
        day = self._chain.previous(leaf.day)
        while day is not None:
            before = leaf._replace(day=day)
            record = self._known.leaf(before)
            if record is not None and record.end_state is not None:
                return _Start(before, record)
            if not self._known.refused(before):
                raise Waiting(f"{day} is not computed yet")
            day = self._chain.previous(day)
        return _Start()

    def _damage(self, leaf: Leaf, record: LeafRecord) -> str:
        """Tell what is wrong with what was published: its file, or the state it ended in; empty if nothing is."""
        path = self._data.lake / leaf.path
        if not path.exists():
            return f"{leaf.path} was missing"
        if not parquet.is_file(path, record.file_sha256):
            return f"{leaf.path} was not the file that was published"
        if self._dataset.stateful and states.load(self._data, leaf, record) is None:
            return f"the state that {leaf.path} ended in was lost"
        return ""

    def _state(self, start: _Start) -> bytes | None:
        if start.leaf is None or start.record is None:
            return None
        kept = states.load(self._data, start.leaf, start.record)
        if kept is None:
            raise Waiting(f"the state that {start.leaf.day} ended with is lost; compute that day again")
        payload = _payload(kept, self._dataset, self._config)
        if payload is None:
            raise Waiting(f"{start.leaf.day} was computed with other settings; compute from the first day on")
        return payload

    def _keep(self, leaf: Leaf, input_hash: str, done: Computed) -> str | None:
        """Remember the end state, to be made durable; return how the ledger shall name it."""
        if done.state is None:
            return done.ended
        kept = _settings(self._dataset, self._config).encode() + b"\n" + done.state
        self.ended.append(EndState(leaf, input_hash, kept))
        return states.digest(kept)


def _held_back(leaf: Leaf, status: Status, known: LedgerSnapshot, reason: str) -> LeafResult:
    record = known.leaf(leaf)
    return LeafResult(leaf, status, 0 if record is None else record.rows, None, reason)


def _settings(dataset: Dataset, config: PipelineConfig) -> str:
    return _digest(dataset.name, dataset.version, dict(computation(dataset).settings(config)))


def _payload(kept: bytes, dataset: Dataset, config: PipelineConfig) -> bytes | None:
    """Return the state in a state file, None if it is of another version or other settings."""
    settings, _, payload = kept.partition(b"\n")
    return payload if settings.decode() == _settings(dataset, config) else None


def _digest(*parts: Sequence[Any] | Mapping[str, Any] | str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
