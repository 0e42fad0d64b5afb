"""Check what is stored against itself: identity, lake against ledger, order, duplicates, checksums, sums, gates.

Reads only. Each check is one function that yields its violations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.sequence import IdRanges
from trading_platform.domain.verdict import Gate
from trading_platform.store import lake, parquet, staging
from trading_platform.store.layout import DATASETS, DataDir, Leaf
from trading_platform.store.ledger import Ledger, SequenceRow


class Violation(NamedTuple):
    """One thing that is not as it must be."""

    check: str
    subject: str
    detail: str


class Verified(NamedTuple):
    """What was looked at and what was found; nothing found is good."""

    sequences: int
    files: int
    trades: int
    violations: tuple[Violation, ...]


class _Stored(NamedTuple):
    data: DataDir
    ledger: Ledger
    gates: Mapping[str, Gate]


def verify(data: DataDir, ledger: Ledger, gates: Mapping[str, Gate]) -> Verified:
    """Run every check; recording may go on meanwhile."""
    stored = _Stored(data, ledger, gates)
    violations: list[Violation] = []
    sequences = ledger.sequences()
    trades = 0
    for row in sequences:
        violations += _identity(stored, row)
    pairs = sorted({(row.venue, row.symbol) for row in sequences})
    for venue, symbol in pairs:
        found, count = _lake_against_ledger(stored, venue, symbol)
        violations += found
        trades += count
    files = 0
    for dataset in DATASETS:
        for leaf in lake.leaves(data, dataset):
            files += 1
            violations += _file(stored, leaf)
        violations += _lost_files(stored, dataset)
    return Verified(len(sequences), files, trades, tuple(violations))


def _identity(stored: _Stored, row: SequenceRow) -> Iterator[Violation]:
    """[from_id, head] = stored ⊎ void ⊎ open ⊎ unrecoverable, and the gap rows are exactly what is open."""
    subject = f"{row.venue} {row.symbol} epoch {row.epoch}"
    state = stored.ledger.state(row.venue, row.symbol, row.epoch)
    parts = {"stored": state.stored, "void": state.void, "unrecoverable": state.unrecoverable}
    parts["open"] = IdRanges(state.open())
    total = row.head - row.from_id + 1
    union = IdRanges()
    for ranges in parts.values():
        union.update(ranges)
    # Of a sequence that is only promised so far the head lies before its beginning: it has no id yet.
    if sum(map(len, parts.values())) != total or list(union) != [(row.from_id, row.head)][: total > 0]:
        sizes = ", ".join(f"{name} {len(ranges)}" for name, ranges in parts.items())
        yield Violation("identity", subject, f"{total} ids from {row.from_id} to {row.head}, but {sizes}")
    rows = IdRanges(
        (gap.first_missing, gap.last_missing)
        for gap in stored.ledger.gaps()
        if (gap.venue, gap.symbol, gap.epoch) == (row.venue, row.symbol, row.epoch)
    )
    if rows != parts["open"]:
        yield Violation("gaps", subject, f"open are {list(parts['open'])[:3]}, the gap rows say {list(rows)[:3]}")
    by_day = sum(day.stored for day in stored.ledger.days(row.venue, row.symbol) if day.epoch == row.epoch)
    if by_day != len(state.stored):
        yield Violation("coverage", subject, f"{len(state.stored)} ids are stored, the days add up to {by_day}")


def _lake_against_ledger(stored: _Stored, venue: str, symbol: str) -> tuple[list[Violation], int]:
    """Every stored id lies in exactly one published or staged file, and nothing lies there that is not stored."""
    published: dict[int, IdRanges] = {}
    violations: list[Violation] = []
    count = 0
    for leaf in lake.leaves(stored.data, "ticks", venue=venue, symbol=symbol):
        try:
            table = lake.read_leaf(stored.data, leaf, ["epoch", "trade_id"])
        except CorruptionError:
            continue  # told by the check of the file itself
        if table is None:
            continue
        count += table.num_rows
        for epoch, ids in _ids(table):
            held = published.setdefault(epoch, IdRanges())
            twice = sum(len(IdRanges(held.within(int(a), int(b)))) for a, b in _runs(ids))
            if twice:
                violations.append(Violation("duplicates", str(leaf.path), f"{twice} ids lie in another day too"))
            for first, last in _runs(ids):
                held.add(first, last)
    waiting = _staged(stored, venue, symbol)
    for row in stored.ledger.sequences(venue, symbol):
        account = stored.ledger.state(venue, symbol, row.epoch).stored
        held = published.get(row.epoch, IdRanges())
        subject = f"{venue} {symbol} epoch {row.epoch}"
        foreign = [extra for first, last in held for extra in account.missing(first, last)]
        if foreign:
            violations.append(Violation("lake", subject, f"published but not stored in the ledger: {foreign[:3]}"))
        held.update(waiting.get(row.epoch, IdRanges()))
        absent = [gone for first, last in account for gone in held.missing(first, last)]
        if absent and not _undelivered(stored):
            violations.append(Violation("lake", subject, f"stored but neither published nor staged: {absent[:3]}"))
    return violations, count


def _ids(table: pa.Table) -> Iterator[tuple[int, np.ndarray]]:
    for epoch in pc.unique(table["epoch"]).to_pylist():
        ids = table.filter(pc.equal(table["epoch"], epoch))["trade_id"].drop_null().to_numpy()
        yield epoch, np.sort(ids)


def _runs(ids: np.ndarray) -> list[tuple[int, int]]:
    if not len(ids):
        return []
    breaks = np.flatnonzero(np.diff(ids) > 1)
    firsts, lasts = ids[np.concatenate(([0], breaks + 1))], ids[np.concatenate((breaks, [len(ids) - 1]))]
    return [(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True)]


def _staged(stored: _Stored, venue: str, symbol: str) -> dict[int, IdRanges]:
    held: dict[int, IdRanges] = {}
    for paths in staging.parts(stored.data, venue, symbol).values():
        for path in paths:
            try:
                table = parquet.read(path, ["epoch", "trade_id"])
            except FileNotFoundError:
                continue  # published in this very moment
            for epoch, ids in _ids(table):
                for first, last in _runs(ids):
                    held.setdefault(epoch, IdRanges()).add(first, last)
    return held


def _undelivered(stored: _Stored) -> bool:
    """Tell whether some lane is decoded further than it is staged: its trades are on their way."""
    return any(decoded > staged for decoded, staged in stored.ledger.lane_positions().values())


def _file(stored: _Stored, leaf: Leaf) -> Iterator[Violation]:
    """The file is the one the ledger speaks of, undamaged, in order, without repeats, and passes its gate."""
    path = stored.data.lake / leaf.path
    subject = str(leaf.path)
    with lake.locked(stored.data, leaf):
        record = stored.ledger.leaf(leaf)
        digest = parquet.file_sha256(path) if path.exists() else None
        if digest is None:
            return
        try:
            table = lake.read_leaf(stored.data, leaf)
        except CorruptionError as error:
            yield Violation("checksum", subject, str(error))
            return
    if table is None:
        return
    if record is None:
        yield Violation("unknown file", subject, "the ledger knows no such leaf")
    elif record.file_sha256 != digest:
        yield Violation("checksum", subject, "the file is not the one that was published")
    elif record.rows != table.num_rows or record.content_hash != lake.content_hash(table):
        yield Violation("content", subject, "rows or content differ from what was published")
    if leaf.dataset == "ticks":
        yield from _order(subject, table)
    if leaf.dataset == "bars":
        yield from _sums(stored, leaf, table)
    verdict = stored.gates[leaf.dataset](table)
    for failure in verdict.failures:
        yield Violation(f"gate {failure.check}", subject, f"{failure.rows} rows, for example {failure.example}")


def _order(subject: str, table: pa.Table) -> Iterator[Violation]:
    ids = table["trade_id"].to_numpy() if not table["trade_id"].null_count else None
    if ids is None:
        return
    epochs = table["epoch"].to_numpy()
    rising = (epochs[1:] > epochs[:-1]) | ((epochs[1:] == epochs[:-1]) & (ids[1:] > ids[:-1]))
    if not rising.all():
        at = int(np.flatnonzero(~rising)[0])
        yield Violation("order", subject, f"trade {ids[at + 1]} follows {ids[at]}")


def _sums(stored: _Stored, leaf: Leaf, bars: pa.Table) -> Iterator[Violation]:
    """Every trade of the day lies in exactly one bar, unless the day has changed since the bars were made."""
    ticks = lake.read_leaf(stored.data, Leaf("ticks", leaf.venue, leaf.symbol, leaf.day), ["trade_id"])
    count = pc.sum(bars["trade_count"]).as_py() or 0
    held = 0 if ticks is None else ticks.num_rows
    if count > held:
        yield Violation("sums", str(leaf.path), f"bars hold {count} trades, the day holds {held}")


def _lost_files(stored: _Stored, dataset: str) -> Iterator[Violation]:
    for leaf in stored.ledger.leaves(dataset):
        if not (stored.data.lake / leaf.path).exists():
            yield Violation("lost file", str(leaf.path), "published, but not in the lake any more")
