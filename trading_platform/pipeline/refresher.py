"""Bring one symbol-day of a computed dataset up to date: is it stale, what does it start from, compute, publish.

A leaf's input hash covers its inputs, the code's version and parameters, and the end state of the previous day that
has bars. A day whose predecessor is not computed waits for it, naming it: no day is ever warmed up differently. A
refused day is passed over by the next one until it is good, which then changes that one's input hash.

Which symbol-days are looked at is engine.py; what is computed, the datasets' own modules; writing, store/lake.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import Gate, Verdict
from trading_platform.pipeline import states
from trading_platform.pipeline.chain import Book, Chain
from trading_platform.pipeline.datasets import DATASETS, Computed, Dataset
from trading_platform.pipeline.inputs import LakeInputs
from trading_platform.pipeline.report import LeafResult, Status
from trading_platform.pipeline.work import Config, Work
from trading_platform.store import lake, parquet
from trading_platform.store.layout import DataDir, Leaf
from trading_platform.store.ledger.rows import LeafRecord


class PipelineLedger(Book, lake.Leaves, Protocol):
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

    def __init__(self, data: DataDir, ledger: PipelineLedger, config: Config, gates: Mapping[str, Gate]) -> None:
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
        records = self._ledger.leaves(dataset.name, chain.venue, chain.symbol, day)
        leaves = dataset.computation.leaves(self._config, chain.venue, chain.symbol, day)
        work = Work(self._config, LakeInputs(self._data, self._ledger, chain, day, self._config.regimes))
        results = []
        for leaf in leaves:
            before = records.get(leaf)
            rows = 0 if before is None else before.rows
            if reason := self._refusal_above(leaf):
                results.append(LeafResult(leaf, "refused", rows, None, reason))
            elif chain.has(day):
                results.append(self._try(dataset, chain, work, leaf, before))
        return results or self._remove(dataset, chain, day, records)

    def _try(self, dataset: Dataset, chain: Chain, work: Work, leaf: Leaf, before: LeafRecord | None) -> LeafResult:
        rows = 0 if before is None else before.rows
        try:
            return self._leaf(dataset, chain, work, leaf, before)
        except Waiting as reason:
            return LeafResult(leaf, "waiting", rows, None, str(reason))
        except CorruptionError as error:
            return LeafResult(leaf, "refused", rows, None, str(error))

    def _leaf(self, dataset: Dataset, chain: Chain, work: Work, leaf: Leaf, before: LeafRecord | None) -> LeafResult:
        above = dataset.above(leaf)
        if DATASETS[above.dataset].upstream is not None and self._ledger.leaf(above) is None:
            raise Waiting(f"{above.dataset} of {leaf.day} are not computed yet")
        start = self._start(chain, leaf) if dataset.stateful else _Start()
        input_hash = self._input_hash(dataset, work, leaf, start)
        if before is not None and before.input_hash == input_hash and self._intact(dataset, leaf, before):
            return LeafResult(leaf, "unchanged", before.rows, self._ledger.verdict(leaf))
        computed = dataset.computation.compute(work, leaf, self._load(dataset, start))
        return self._publish(dataset, leaf, computed, input_hash, before)

    def carries(self, dataset: Dataset, pair: tuple[str, str], day: str) -> bool:
        """Tell whether every leaf of a symbol-day is computed and has kept a state that can be carried on."""
        for leaf in dataset.computation.leaves(self._config, *pair, day):
            record = self._ledger.leaf(leaf)
            kept = None if record is None else states.load(self._data, leaf, record)
            if kept is None or not self._fits(dataset, kept):
                return False
        return True

    def _fits(self, dataset: Dataset, kept: bytes) -> bool:
        return kept.partition(b"\n")[0].decode() == self._settings(dataset)

    def _start(self, chain: Chain, leaf: Leaf) -> _Start:
        """Return the nearest earlier leaf to carry on from; a refused one that was never good is passed over."""
        day = chain.previous(leaf.day)
        while day is not None:
            before = leaf._replace(day=day)
            record = self._ledger.leaf(before)
            if record is not None and record.end_state is not None:
                return _Start(before, record)
            if not self._refused(before):
                raise Waiting(f"{day} is not computed yet")
            day = chain.previous(day)
        return _Start()

    def _refused(self, leaf: Leaf) -> bool:
        verdict = self._ledger.verdict(leaf)
        return bool(self._refusal_above(leaf)) or (verdict is not None and not verdict.passed)

    def _refusal_above(self, leaf: Leaf) -> str:
        """Return why an input of the leaf was refused, empty if none was."""
        while DATASETS[leaf.dataset].upstream is not None:
            leaf = DATASETS[leaf.dataset].above(leaf)
            verdict = self._ledger.verdict(leaf)
            if verdict is not None and not verdict.passed:
                return f"{leaf.dataset} of {leaf.day} were refused: {describe(verdict)}"
        return ""

    def _input_hash(self, dataset: Dataset, work: Work, leaf: Leaf, start: _Start) -> str:
        return _digest(
            leaf.path.as_posix(),
            self._settings(dataset),
            dict(dataset.computation.inputs(work, leaf)),
            start.end_state,
        )

    def _settings(self, dataset: Dataset) -> str:
        return _digest(dataset.name, dataset.version, dict(dataset.computation.settings(self._config)))

    def _intact(self, dataset: Dataset, leaf: Leaf, record: LeafRecord) -> bool:
        """Tell whether what was published is still there, with the state it ended in."""
        path = self._data.lake / leaf.path
        if not path.exists() or parquet.file_sha256(path) != record.file_sha256:
            return False
        return not dataset.stateful or states.load(self._data, leaf, record) is not None

    def _load(self, dataset: Dataset, start: _Start) -> bytes | None:
        if start.leaf is None or start.record is None:
            return None
        kept = states.load(self._data, start.leaf, start.record)
        if kept is None:
            raise Waiting(f"the state that {start.leaf.day} ended with is lost; compute that day again")
        if not self._fits(dataset, kept):
            raise Waiting(f"{start.leaf.day} was computed with other settings; compute from the first day on")
        return kept.partition(b"\n")[2]

    def _publish(
        self, dataset: Dataset, leaf: Leaf, computed: Computed, input_hash: str, before: LeafRecord | None
    ) -> LeafResult:
        end_state = computed.ended
        if computed.state is not None:
            kept = self._settings(dataset).encode() + b"\n" + computed.state
            end_state = states.save(self._data, leaf, input_hash, kept)
        published = lake.write_leaf(
            self._data,
            leaf,
            computed.table,
            ledger=self._ledger,
            gate=self._gates[dataset.name],
            input_hash=input_hash,
            end_state=end_state,
        )
        good = published.verdict.passed
        if dataset.stateful:
            states.prune(self._data, leaf, input_hash if good else before and before.input_hash)
        if not good:
            return refused(leaf, published.rows, published.verdict)
        status: Status = "computed" if published.changed else "unchanged"
        ended_otherwise = dataset.stateful and (before is None or before.end_state != end_state)
        return LeafResult(leaf, status, published.rows, published.verdict, end_state_changed=ended_otherwise)

    def _remove(self, dataset: Dataset, chain: Chain, day: str, records: Mapping[Leaf, LeafRecord]) -> list[LeafResult]:
        """Take away what a day has that no longer has bars: the gap across it is closed."""
        for leaf in records:
            lake.remove_leaf(self._data, leaf, ledger=self._ledger)
            states.prune(self._data, leaf, None)
        leaf = Leaf(dataset.name, chain.venue, chain.symbol, day)
        return [LeafResult(leaf, "absent", end_state_changed=dataset.stateful and bool(records))]


def refused(leaf: Leaf, rows: int, verdict: Verdict) -> LeafResult:
    """Return the result of a leaf that its own gate refused."""
    return LeafResult(leaf, "refused", rows, verdict, describe(verdict))


def describe(verdict: Verdict) -> str:
    """Return a verdict against a frame in one line.

    >>> from trading_platform.domain.verdict import Failure
    >>> describe(Verdict((Failure("ids rise", 2, "row 7: trade_id=3"), Failure("one day", 1, "row 0"))))
    'ids rise (2 rows, row 7: trade_id=3) and 1 more'
    """
    if verdict.passed:
        return "passed"
    check, rows, example = verdict.failures[0]
    more = f" and {len(verdict.failures) - 1} more" if len(verdict.failures) > 1 else ""
    return f"{check} ({rows} row{'s' if rows != 1 else ''}, {example[:120]}){more}"


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
