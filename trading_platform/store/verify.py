"""Check what is stored against itself: identity, lake against ledger, order, duplicates, checksums, sums, gates.

Reads only, also while others record, fetch, publish and compute. The ledger is read in one transaction; what is read
after it, from files, is newer. So each check reads in the order in which a trade moves, ledger → staging → lake, and
where a newer file seems to contradict the older account it looks again: a violation is what stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import IdRanges, id_runs
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Gate
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import leaf_files as files, parquet, publish as lake, staging
from trading_platform.store.ledger import Ledger, SequenceRow
from trading_platform.store.ledger.kept_days import differing
from trading_platform.store.ledger.snapshot import Snapshot

_LOOKS = 50
"""How often what may be on its way is looked at, with a pause before each further look."""

Wait = Callable[[float], object]
_PAUSE_S = 0.1
_LOOKS_AT_DAYS, _LONG_PAUSE_S = 10, 0.5
"""The same for all files of a symbol."""

Held = dict[int, IdRanges]
"""Ids by epoch."""


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


class _Account(NamedTuple):
    """The ledger's account of all ids at one instant."""

    sequences: list[SequenceRow]
    stored: Mapping[tuple[str, str, int], IdRanges]
    lanes: Mapping[str, tuple[Position, Position]]
    violations: list[Violation]


class _Stored(NamedTuple):
    data: DataDir
    ledger: Ledger
    gates: Mapping[str, Gate]
    wait: Wait


def _no_wait(_seconds: float) -> None:
    """Look again at once."""


def verify_store(data: DataDir, ledger: Ledger, gates: Mapping[str, Gate], *, wait: Wait = _no_wait) -> Verified:
    """Run every check; recording may go on meanwhile.

    Parameters
    ----------
    wait : called with seconds before something that may be on its way is looked at again.
    """
    stored = _Stored(data, ledger, gates, wait)
    account = _account(ledger)
    violations = account.violations
    violations += [Violation("checksum", lane or "sinks", text) for lane, text in ledger.damaged_sinks()]
    violations += [Violation("ledger", path, text) for path, text in ledger.leaves_amiss()]
    trades = 0
    for venue, symbol in sorted({(row.venue, row.symbol) for row in account.sequences}):
        found, count = _lake_against_ledger(stored, account, venue, symbol)
        violations += found
        trades += count
    files = 0
    for dataset in DATASETS:
        for leaf in lake.leaves(data, dataset):
            files += 1
            violations += _file(stored, leaf)
        violations += _lost_files(stored, dataset)
    return Verified(len(account.sequences), files, trades, tuple(violations))


def verify_files(
    data: DataDir, ledger: Ledger, gates: Mapping[str, Gate], leaves: Iterable[Leaf], *, wait: Wait = _no_wait
) -> Iterator[Violation]:
    """Run the checks of single files over some published leaves, one after the other."""
    stored = _Stored(data, ledger, gates, wait)
    for leaf in leaves:
        if (data.lake / leaf.path).exists():
            yield from _file(stored, leaf)
        elif _is_lost(stored, leaf):
            yield Violation("lost file", str(leaf.path), "published, but not in the lake any more")


def verify_trades(
    data: DataDir, ledger: Ledger, gates: Mapping[str, Gate], *, wait: Wait = _no_wait
) -> Iterator[Violation]:
    """Check the account of ids against itself, and every symbol's files against it."""
    stored = _Stored(data, ledger, gates, wait)
    account = _account(ledger)
    yield from account.violations
    yield from (Violation("ledger", path, text) for path, text in ledger.leaves_amiss())
    for venue, symbol in sorted({(row.venue, row.symbol) for row in account.sequences}):
        yield from _lake_against_ledger(stored, account, venue, symbol)[0]


def identity(ledger: Ledger) -> list[Violation]:
    """Check the account of ids alone: what the ledger says of every sequence, against itself."""
    return _account(ledger).violations


def _account(ledger: Ledger) -> _Account:
    with ledger.snapshot() as now:
        days = now.stored_by_day()
        violations: list[Violation] = []
        stored = {}
        for number, row in enumerate(now.sequences):
            key = (row.venue, row.symbol, row.epoch)
            parts = {kind: IdRanges(spans.ranges(number)) for kind, spans in now.ids.items()}
            violations += _identity(now, number, row, parts, days.get(key, 0))
            stored[key] = parts["stored"]
        violations += _ends_of_days(now)
        for row in differing(now):
            subject = f"{row.venue} {row.symbol} epoch {row.epoch}"
            violations.append(Violation("kept days", subject, "the days kept ready differ from the account of ids"))
        return _Account(now.sequences, stored, now.lane_positions(), violations)


def _identity(
    now: Snapshot, number: int, row: SequenceRow, parts: Mapping[str, IdRanges], by_day: int
) -> Iterator[Violation]:
    """[from_id, head] = stored ⊎ void ⊎ open ⊎ unrecoverable, and the gap rows are exactly what is open."""
    subject = f"{row.venue} {row.symbol} epoch {row.epoch}"
    total = row.head - row.from_id + 1
    union = IdRanges(sorted(span for ranges in parts.values() for span in ranges))
    # Of a sequence that is only promised so far the head lies before its beginning: it has no id yet.
    if sum(map(len, parts.values())) != total or list(union) != [(row.from_id, row.head)][: total > 0]:
        sizes = ", ".join(f"{name} {len(ranges)}" for name, ranges in parts.items())
        yield Violation("identity", subject, f"{total} ids from {row.from_id} to {row.head}, but {sizes}")
    rows = IdRanges(now.gaps.ranges(number))
    if rows != parts["open"]:
        yield Violation("gaps", subject, f"open are {list(parts['open'])[:3]}, the gap rows say {list(rows)[:3]}")
    if by_day != len(parts["stored"]):
        yield Violation("coverage", subject, f"{len(parts['stored'])} ids are stored, the days add up to {by_day}")


def _ends_of_days(now: Snapshot) -> Iterator[Violation]:
    """Each day begins and ends with a stored id."""
    days, ids = now.days, now.ids["stored"]
    for number, row in enumerate(now.sequences):
        mine, spans = slice(*days.at[number : number + 2]), slice(*ids.at[number : number + 2])
        first, last = ids.first[spans], ids.last[spans]
        for ends in (days.first[mine], days.last[mine]):
            place = np.searchsorted(first, ends, "right") - 1
            wrong = (place < 0) | (last[place] < ends) if len(last) else np.ones(len(ends), bool)
            if wrong.any():
                subject = f"{row.venue} {row.symbol} epoch {row.epoch}"
                yield Violation("coverage", subject, f"a day ends at {ends[wrong][0]}, which is not stored")


def _lake_against_ledger(stored: _Stored, account: _Account, venue: str, symbol: str) -> tuple[list[Violation], int]:
    """Every stored id lies in exactly one published or staged file, and nothing lies there that is not stored."""
    # Parts before the lake: what leaves staging meanwhile is in the lake by then.
    waiting, violations = _staged(stored, venue, symbol)
    published, count, twice = _published(stored, venue, symbol)
    violations += _duplicates(stored, venue, symbol, twice)
    mine = {epoch: ids for (v, s, epoch), ids in account.stored.items() if (v, s) == (venue, symbol)}
    for epoch in sorted({*mine, *published}):
        subject = f"{venue} {symbol} epoch {epoch}"
        held = published.get(epoch, IdRanges())
        foreign = _beyond(held, mine.get(epoch, IdRanges()))
        if foreign:  # stored since, unless it never was: the ledger knows a trade before any file holds it
            foreign = _beyond(held, stored.ledger.state(venue, symbol, epoch).stored)
        if foreign:
            foreign = _never_stored(stored, (venue, symbol, epoch), foreign)
        if foreign:
            violations.append(Violation("lake", subject, f"published but not stored in the ledger: {foreign[:3]}"))
        held.update(waiting.get(epoch, IdRanges()))
        absent = _beyond(mine.get(epoch, IdRanges()), held)
        if absent:
            absent = _still_absent(stored, account, (venue, symbol, epoch), absent)
        if absent:
            violations.append(Violation("lake", subject, f"stored but neither published nor staged: {absent[:3]}"))
    return violations, count


def _never_stored(stored: _Stored, key: tuple[str, str, int], foreign: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return those ids that stay published though no publisher is about to leave them out."""
    venue, symbol, epoch = key
    # In this order: what is noted no more has been left out by then.
    noted = IdRanges((one.trade_id,) * 2 for one in stored.ledger.withdrawn(venue, symbol) if one.epoch == epoch)
    rest = IdRanges(_beyond(IdRanges(foreign), noted))
    published = _published(stored, venue, symbol)[0].get(epoch, IdRanges()) if rest else IdRanges()
    return [still for first, last in rest for still in published.within(first, last)]


def _beyond(ids: IdRanges, known: IdRanges) -> list[tuple[int, int]]:
    """Return the ids that are not known."""
    return [gone for first, last in ids for gone in known.missing(first, last)]


def _still_absent(
    stored: _Stored, account: _Account, key: tuple[str, str, int], absent: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the ids that are in no file although every lane has delivered what it had decoded for the account.

    What a lane decoded and did not deliver yet is on its way; of a dead one it stays so until it is decoded again.
    """
    for look in range(_LOOKS):
        if look:
            stored.wait(_PAUSE_S)
        if _delivered(stored, account):
            break
    else:
        return []
    venue, symbol, epoch = key
    waiting, _ = _staged(stored, venue, symbol)
    published, _, _ = _published(stored, venue, symbol)
    held = published.get(epoch, IdRanges())
    held.update(waiting.get(epoch, IdRanges()))
    return _beyond(IdRanges(absent), held)


def _delivered(stored: _Stored, account: _Account) -> bool:
    """Tell whether all that the account holds has been staged."""
    if all(staged >= decoded for decoded, staged in account.lanes.values()):
        return True
    now = stored.ledger.lane_positions()
    return all(lane in now and now[lane][1] >= decoded for lane, (decoded, _) in account.lanes.items())


def _published(stored: _Stored, venue: str, symbol: str) -> tuple[Held, int, dict[Leaf, int]]:
    """Return a symbol's published ids, how many trades that is, and how many ids of a day lie in an earlier one too."""
    published: Held = {}
    twice: dict[Leaf, int] = {}
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
            again = sum(len(IdRanges(held.within(first, last))) for first, last in id_runs(ids))
            if again:
                twice[leaf] = twice.get(leaf, 0) + again
            for first, last in id_runs(ids):
                held.add(first, last)
    return published, count, twice


def _duplicates(stored: _Stored, venue: str, symbol: str, twice: dict[Leaf, int]) -> list[Violation]:
    """Return the days that repeat another's ids, and go on doing so.

    Two copies of a trade with times on both sides of midnight are published by day; one is removed a moment later.
    """
    for _ in range(_LOOKS_AT_DAYS):
        if not twice:
            return []
        stored.wait(_LONG_PAUSE_S)
        twice = _published(stored, venue, symbol)[2]
    return [
        Violation("duplicates", str(leaf.path), f"{count} ids lie in another day too") for leaf, count in twice.items()
    ]


def _ids(table: pa.Table) -> Iterator[tuple[int, np.ndarray]]:
    for epoch in pc.unique(table["epoch"]).to_pylist():
        ids = table.filter(pc.equal(table["epoch"], epoch))["trade_id"].drop_null().to_numpy()
        yield epoch, np.sort(ids)


def _staged(stored: _Stored, venue: str, symbol: str) -> tuple[Held, list[Violation]]:
    """Return the ids of a symbol's parts, and the parts that are damaged."""
    held: Held = {}
    damaged = []
    for paths in staging.parts(stored.data, venue, symbol).values():
        for path in paths:
            try:
                table = parquet.read(path, ["epoch", "trade_id"])
            except FileNotFoundError:
                continue  # published in this very moment
            except CorruptionError as error:
                damaged.append(Violation("checksum", str(path.relative_to(stored.data.root)), str(error)))
                continue
            for epoch, ids in _ids(table):
                for first, last in id_runs(ids):
                    held.setdefault(epoch, IdRanges()).add(first, last)
    return held, damaged


def _file(stored: _Stored, leaf: Leaf) -> Iterator[Violation]:
    """The file is the one the ledger speaks of, undamaged, in order, without repeats, and passes its gate."""
    path = stored.data.lake / leaf.path
    subject = str(leaf.path)
    with files.locked(stored.data, leaf):
        record, intent = stored.ledger.leaf(leaf), stored.ledger.intent(leaf)
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
    if intent is not None and intent.file_sha256 == digest:
        record = intent  # its writer stopped before it could confirm; the next one does
    yield from _against_ledger(subject, record, digest, table)
    if leaf.dataset == "ticks":
        yield from _order(subject, table)
    if leaf.dataset == "bars":
        yield from _sums(stored, leaf, table)
    verdict = stored.gates[leaf.dataset](table)
    for failure in verdict.failures:
        yield Violation(f"gate {failure.check}", subject, f"{failure.rows} rows, for example {failure.example}")


def _against_ledger(subject: str, record: LeafRecord | None, digest: str, table: pa.Table) -> Iterator[Violation]:
    """The ledger knows the file, by its bytes, its rows and its content."""
    if record is None:
        yield Violation("unknown file", subject, "the ledger knows no such leaf")
    elif record.file_sha256 != digest:
        yield Violation("checksum", subject, "the file is not the one that was published")
    elif record.rows != table.num_rows or record.content_hash != lake.content_hash(table):
        yield Violation("content", subject, "rows or content differ from what was published")


def _order(subject: str, table: pa.Table) -> Iterator[Violation]:
    if table["trade_id"].null_count:
        yield from _order_of_texts(subject, table)
        return
    ids, epochs = (table[name].to_numpy() for name in ("trade_id", "epoch"))
    rising = (epochs[1:] > epochs[:-1]) | ((epochs[1:] == epochs[:-1]) & (ids[1:] > ids[:-1]))
    if not rising.all():
        at = int(np.flatnonzero(~rising)[0])
        yield Violation("order", subject, f"trade {ids[at + 1]} follows {ids[at]}")


def _order_of_texts(subject: str, table: pa.Table) -> Iterator[Violation]:
    """Trades whose ids prove nothing stand in the order of their times, those of one time in that of their text ids."""
    times, uids = table["ts_event"].cast(pa.int64()).to_numpy(), table["trade_uid"].to_numpy(zero_copy_only=False)
    uids = uids.astype(str)
    rising = (times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (uids[1:] > uids[:-1]))
    if not rising.all():
        at = int(np.flatnonzero(~rising)[0])
        yield Violation("order", subject, f"trade {uids[at + 1]} follows {uids[at]}")
    if (again := len(uids) - len(np.unique(uids))) > 0:
        yield Violation("duplicates", subject, f"{again} text ids are there twice")


def _sums(stored: _Stored, leaf: Leaf, bars: pa.Table) -> Iterator[Violation]:
    """Every trade of the day lies in exactly one bar, unless the day has changed since the bars were made."""
    ticks = lake.read_leaf(stored.data, Leaf("ticks", leaf.venue, leaf.symbol, leaf.day), ["trade_id"])
    count = pc.sum(bars["trade_count"]).as_py() or 0
    held = 0 if ticks is None else ticks.num_rows
    if count > held + stored.ledger.taken_back(leaf.venue, leaf.symbol, leaf.day):
        yield Violation("sums", str(leaf.path), f"bars hold {count} trades, the day holds {held}")


def _lost_files(stored: _Stored, dataset: str) -> Iterator[Violation]:
    for leaf in stored.ledger.published(dataset):
        if not (stored.data.lake / leaf.path).exists() and _is_lost(stored, leaf):
            yield Violation("lost file", str(leaf.path), "published, but not in the lake any more")


def _is_lost(stored: _Stored, leaf: Leaf) -> bool:
    """Tell whether a file is missing while nobody takes it out: first the ledger forgets it, then it goes."""
    with files.locked(stored.data, leaf):
        return stored.ledger.leaf(leaf) is not None and not (stored.data.lake / leaf.path).exists()
