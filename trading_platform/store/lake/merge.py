"""Make one row per trade out of any copies of it. Pure: tables in, tables out.

The result is a function of the *set* of copies, whatever their order and however they were grouped,
also when what was merged before enters again as a copy. Which files the copies come from is store/lake/publish.py.

Of several copies the least (`ts_recv`, channel, payload) wins. Times may have been printed at different
precision: one time *refines* another if the other is it, cut to µs, ms or s. A time below the µs may be a double's,
which is not exact: it refines the µs beside it too if that is within the double's error. The finest time among the
copies that agree with the winner is kept; among several the earliest.

One row cannot tell what the copies were that it came from, and a later copy may need to know: a coarse winner
that was refined, a copy that lost. Such copies are handed back as `remembered`, to be given in again next time
(store/lake/publish.py keeps them beside the lake). Without them the result would depend on what arrived first:
test_merge_is_associative fails at its third copy.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.trades.trade_columns import NO_ID
from trading_platform.store.lake import schema as shapes

Int = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

ORIGIN = "origin"
"""Column of the input that tells where a copy comes from."""

NEW, PUBLISHED, REMEMBERED = 0, 1, 2
"""Origins: a staged part, the file being replaced, the copies remembered from earlier merges."""

_PAYLOAD = ("ts_event", "price", "quantity", "side")
_PRECISIONS = (1_000_000_000, 1_000_000, 1_000)
_FINEST = len(_PRECISIONS)
_DOUBLE_NS = 300
"""Seconds since 1970 in a double, printed with 17 digits, may be so far beside the time that they tell."""


class Dispute(NamedTuple):
    """A copy that does not agree with the row that was kept; payloads as JSON texts, with a text id if it has one."""

    epoch: int
    trade_id: int
    kept: str
    other: str


class Merged(NamedTuple):
    """One row per trade in the dataset's order, the copies to remember, and what new copies put in dispute."""

    rows: pa.Table
    remembered: pa.Table
    disputes: list[Dispute]


class _Copies(NamedTuple):
    """Columns of the copies as numbers; prices by their bits, so that equal means identical."""

    ts_event: Int
    ts_recv: Int
    rank: Int
    price: Int
    quantity: Int
    side: Int

    def at(self, index: Int) -> _Copies:
        return _Copies(*(column[index] for column in self))

    def payload_equals(self, other: _Copies) -> Mask:
        same: Mask = self.ts_event == other.ts_event
        return same & self.terms_equal(other)

    def terms_equal(self, other: _Copies) -> Mask:
        same: Mask = (self.price == other.price) & (self.quantity == other.quantity) & (self.side == other.side)
        return same


class _Resolved(NamedTuple):
    winners: Int  # row numbers, one per key, in key order
    ts_event: Int  # the winners' times, refined
    remember: Int
    disputed: list[tuple[int, int, int]]  # winner's row, its refined time, the other's row


def mark(table: pa.Table, origin: int) -> pa.Table:
    """Return ticks with the column that tells their origin."""
    return table.append_column(ORIGIN, pa.array(np.full(table.num_rows, origin, np.int8)))


def merge(copies: pa.Table) -> Merged:
    """Return one row per trade.

    Parameters
    ----------
    copies : ticks in any order, with the column of `mark`.
    """
    copies = copies.combine_chunks()
    if _each_once(copies):
        rows = copies.drop_columns([ORIGIN])
        return Merged(rows, rows.slice(0, 0), [])
    without = copies.column("trade_id").null_count
    if not without:
        return _merge_by_id(copies)
    by_uid = pc.is_null(copies.column("trade_id"))
    unnumbered = _merge_by_uid(copies.filter(by_uid).combine_chunks())
    if without == copies.num_rows:
        return unnumbered
    numbered = _merge_by_id(copies.filter(pc.invert(by_uid)).combine_chunks())
    rows = pa.concat_tables([numbered.rows, unnumbered.rows]).combine_chunks()
    remembered = pa.concat_tables([numbered.remembered, unnumbered.remembered])
    return Merged(rows, remembered, [*numbered.disputes, *unnumbered.disputes])


def _each_once(copies: pa.Table) -> bool:
    """Tell whether these are the rows already: every id once, in order, of one epoch. So it is nearly always."""
    if copies.num_rows == 0 or copies.column("trade_id").null_count:
        return False
    ids, epochs = copies.column("trade_id").to_numpy(), copies.column("epoch").to_numpy()
    return bool((ids[:-1] < ids[1:]).all()) and bool((epochs == epochs[0]).all())


def _merge_by_id(copies: pa.Table) -> Merged:
    epoch = _ints(copies, "epoch")
    trade_id = _ints(copies, "trade_id")
    columns = _columns(copies)
    origin = copies.column(ORIGIN).to_numpy()
    found = _resolve(columns, epoch, trade_id, origin)
    plain = copies.drop_columns([ORIGIN])
    return Merged(_pick(plain, columns, found), plain.take(pa.array(found.remember)), _disputes(plain, found))


def _disputes(plain: pa.Table, found: _Resolved) -> list[Dispute]:
    if not found.disputed:
        return []
    kept, times, others = (np.array(column, np.int64) for column in zip(*found.disputed, strict=True))
    keys = plain.take(pa.array(others))
    kept_texts = _texts(plain.take(pa.array(kept)), times)
    other_texts = _texts(keys, _ints(keys, "ts_event"))
    epochs, ids = keys.column("epoch").to_pylist(), keys.column("trade_id").fill_null(NO_ID).to_pylist()
    return [Dispute(*row) for row in zip(epochs, ids, kept_texts, other_texts, strict=True)]


def _merge_by_uid(copies: pa.Table) -> Merged:
    """Merge trades that have text ids; their order is that of their times."""
    texts = copies.column("trade_uid").combine_chunks().dictionary_encode()
    uid: Int = (texts.chunk(0) if isinstance(texts, pa.ChunkedArray) else texts).indices.to_numpy().astype(np.int64)
    columns = _columns(copies)
    found = _resolve(columns, np.zeros_like(uid), uid, copies.column(ORIGIN).to_numpy())
    plain = copies.drop_columns([ORIGIN])
    rows = _pick(plain, columns, found)
    rows = rows.take(pc.sort_indices(rows, [("ts_event", "ascending"), ("trade_uid", "ascending")]))
    return Merged(rows, plain.take(pa.array(found.remember)), _disputes(plain, found))


def _columns(copies: pa.Table) -> _Copies:
    return _Copies(
        _ints(copies, "ts_event"),
        _ints(copies, "ts_recv"),
        shapes.source_codes(copies.column("source")).astype(np.int64),
        copies.column("price").to_numpy().view(np.int64),
        copies.column("quantity").to_numpy().view(np.int64),
        shapes.side_codes(copies.column("side")).astype(np.int64),
    )


def _ints(table: pa.Table, name: str) -> Int:
    numbers: Int = table.column(name).cast(pa.int64()).to_numpy()
    return numbers


def _pick(plain: pa.Table, columns: _Copies, found: _Resolved) -> pa.Table:
    count = len(found.winners)
    in_place = count == plain.num_rows and bool((found.winners[:-1] < found.winners[1:]).all())
    rows = plain if in_place else plain.take(pa.array(found.winners))
    if not np.array_equal(found.ts_event, columns.ts_event[found.winners]):
        at = rows.schema.get_field_index("ts_event")
        rows = rows.set_column(at, shapes.TICKS.field("ts_event"), pa.array(found.ts_event).cast(shapes.TIME))
    return rows


def _texts(rows: pa.Table, ts_event: Int) -> list[str]:
    columns = [ts_event.tolist(), *(rows.column(name).to_pylist() for name in _PAYLOAD[1:])]
    texts = [dict(zip(_PAYLOAD, row, strict=True)) for row in zip(*columns, strict=True)]
    sources = shapes.source_codes(rows.column("source")).tolist()
    for text, uid, source in zip(texts, rows.column("trade_uid").to_pylist(), sources, strict=True):
        if uid is not None:
            # The source tells whether the venue's listing of the day is among those that differ.
            text |= {"trade_uid": uid, "source": SOURCES[source]}
    encode = msgspec.json.Encoder().encode
    return [encode(text).decode() for text in texts]


def _resolve(columns: _Copies, high: Int, low: Int, origin: Codes) -> _Resolved:
    """Find each key's winner; (high, low) is the key."""
    constant = not len(high) or bool((high == high[0]).all())
    order = np.argsort(low, kind="stable") if constant else np.lexsort((low, high))
    new = np.ones(len(order), bool)
    new[1:] = (low[order[1:]] != low[order[:-1]]) | (high[order[1:]] != high[order[:-1]])
    starts = np.flatnonzero(new)
    winners, times = order[starts], columns.ts_event[order[starts]]
    if len(starts) == len(order):
        return _Resolved(winners, times, order[:0], [])
    key = np.cumsum(new) - 1
    agreed, differ = _split(columns, order, key, starts)
    if len(agreed):
        ranked = agreed[np.lexsort((columns.rank[order[agreed]], columns.ts_recv[order[agreed]], key[agreed]))]
        first = ranked[_firsts(key[ranked])]
        winners[key[first]] = order[first]
    remember, disputed = order[:0], []
    if len(differ):
        decided = _decide(columns, order[differ], key[differ], origin)
        winners[decided.keys], times[decided.keys] = decided.winners, decided.ts_event
        remember, disputed = decided.remember, decided.disputed
    return _Resolved(winners, times, remember, disputed)


def _split(columns: _Copies, order: Int, key: Int, starts: Int) -> tuple[Int, Int]:
    """Return the places in `order` of keys with several copies: those whose payloads are all equal, and the others."""
    sizes = np.diff(np.append(starts, len(order)))
    places = np.flatnonzero(sizes[key] > 1)
    same = columns.at(order[places]).payload_equals(columns.at(order[starts[key[places]]]))
    unlike = np.zeros(len(starts), bool)
    unlike[key[places[~same]]] = True
    differs = unlike[key[places]]
    return places[~differs], places[differs]


class _Decided(NamedTuple):
    keys: Int
    winners: Int
    ts_event: Int
    remember: Int
    disputed: list[tuple[int, int, int]]


def _decide(columns: _Copies, rows: Int, key: Int, origin: Codes) -> _Decided:
    """Decide the keys whose copies do not all say the same."""
    c = columns.at(rows)
    order = np.lexsort((c.side, c.quantity, c.price, c.ts_event, c.rank, c.ts_recv, key))
    rows, key, c = rows[order], key[order], c.at(order)
    first = _firsts(key)
    keys, group = np.unique(key, return_inverse=True)
    winner = c.at(first)
    like_winner = c.terms_equal(winner.at(group))
    refines = like_winner & _refines(c.ts_event, winner.ts_event[group])
    finest = np.lexsort((c.ts_event, -_precision(c.ts_event), ~refines, group))
    time = c.ts_event[finest[_firsts(group[finest])]]
    kept = winner._replace(ts_event=time).at(group)
    agrees = like_winner & (_refines(c.ts_event, kept.ts_event) | _refines(kept.ts_event, c.ts_event))
    # Equal payloads stand together here, the least received first (lexsort is stable).
    distinct = np.lexsort((c.side, c.quantity, c.price, c.ts_event, group))
    d = c.at(distinct)
    repeats = np.zeros(len(d.side), bool)
    repeats[1:] = d.at(np.arange(1, len(d.side))).payload_equals(d.at(np.arange(len(d.side) - 1)))
    repeats[1:] &= group[distinct[1:]] == group[distinct[:-1]]
    # What is already remembered stays so: the file being replaced may never be, if the machine stops now.
    known = (
        np.logical_or.reduceat((origin[rows] == REMEMBERED)[distinct], np.flatnonzero(~repeats))
        if len(distinct)
        else repeats
    )
    one_each = distinct[~repeats]
    published = c.at(one_each).payload_equals(kept.at(one_each))
    # A key without a new copy was told of when its copies came.
    news = np.logical_or.reduceat(origin[rows] == NEW, first)
    tell = one_each[~agrees[one_each] & news[group[one_each]]]
    disputed = [(int(rows[first[group[i]]]), int(time[group[i]]), int(rows[i])) for i in tell]
    return _Decided(keys, rows[first], time, rows[one_each[~published | known]], disputed)


def _firsts(sorted_keys: Int) -> Int:
    """Return where each run of equal keys begins."""
    new = np.ones(len(sorted_keys), bool)
    new[1:] = sorted_keys[1:] != sorted_keys[:-1]
    return np.flatnonzero(new)


def _precision(times: Int) -> Int:
    """Return 0 for whole seconds, 1 for ms, 2 for µs, 3 for ns."""
    digits = np.full(len(times), _FINEST)
    for level in range(_FINEST - 1, -1, -1):
        digits[times % _PRECISIONS[level] == 0] = level
    return digits


def _refines(fine: Int, coarse: Int) -> Mask:
    """Tell where `coarse` is `fine`, or is `fine` cut to µs, ms or s, whose µs may be the next one."""
    result: Mask = fine == coarse
    for unit in _PRECISIONS:
        result = result | (fine - fine % unit == coarse)
    beside = (fine - coarse >= -_DOUBLE_NS) & (fine - coarse < 1_000 + _DOUBLE_NS)
    result |= beside & (fine % 1_000 != 0) & (coarse % 1_000 == 0)
    return result
