"""Check from outside that a data directory accounts for every trade. For use after all writers have stopped.

It reads the venue's truth, the log (tests/support/judges/naive/log.py), the ledger's tables by plain SQL and the lake's
files, and uses nothing of what is under test. `judge` returns what is wrong, in words; nothing is wrong with `[]`.

    every id from from_id to head lies in exactly one of stored, void, open, unrecoverable
    an id beyond head is in the truth only while the tail is open
    stored = the ids that an independent decoder finds in the log, but for those that a record of their own calls void
    drained: what the log holds is what the lake holds, ids and payloads, each trade once
    bars, where there are any, are those of a naive twin
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.judges.naive import bars as naive_bars, log as naive_log, merge as naive_merge

MOST_SHOWN = 5
_SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume", "trade_count")


class Account(NamedTuple):
    """What the ledger says of one symbol."""

    from_id: int
    head: int
    tail: str
    stored: set[int]
    void: set[int]
    unrecoverable: set[int]
    open: set[int]


class Row(NamedTuple):
    """A trade as the lake holds it, or ought to."""

    epoch: int
    trade_id: int
    ts_event: int
    ts_recv: int
    source: str
    price: float
    quantity: float
    side: str | None


def judge(
    data_dir: Path,
    truth: Iterable[Mapping[str, Any]],
    *,
    drained: bool = True,
    by_the_end: Iterable[Mapping[str, Any]] | None = None,
) -> list[str]:
    """Return everything that is wrong.

    Parameters
    ----------
    truth : what the venue says it issued, one mapping a trade (docs/simulator.md); of one epoch.
    by_the_end : what it had issued before the last probe, if its market went on.
    drained : whether everything decoded was published, so that the lake must equal the log.
    """
    truth = list(truth)
    ended = truth if by_the_end is None else list(by_the_end)
    issued: dict[str, dict[int, Mapping[str, Any]]] = {}
    for line in truth:
        issued.setdefault(line["symbol"], {})[line["trade_id"]] = line
    told = naive_log.read(data_dir / "log")
    copies: dict[str, list[naive_log.Copy]] = {}
    for copy in told.copies:
        copies.setdefault(copy.symbol, []).append(copy)
    books = accounts(data_dir)
    wrong = [f"{symbol}: in the log, unknown to the ledger" for symbol in copies.keys() - books.keys()]
    for symbol, book in books.items():
        mine = copies.get(symbol, [])
        known = [line["trade_id"] for line in ended if line["symbol"] == symbol]
        # What a page serves for an id that its own record calls void is no trade.
        trades = [copy for copy in mine if (symbol, copy.trade_id) not in told.voids]
        found = [*_identity(book), *_beyond(book, known), *_stored(book, trades)]
        found += _invented(mine, issued.get(symbol, {}))
        if drained:
            found += _published(data_dir, symbol, trades)
        found += _bars(data_dir, symbol, issued.get(symbol, {}), book)
        wrong += [f"{symbol}: {text}" for text in found]
    return wrong


def accounts(data_dir: Path) -> dict[str, Account]:
    """Read the account of every symbol."""
    with closing(sqlite3.connect(f"file:{data_dir / 'ledger.sqlite'}?mode=ro", uri=True)) as db:
        books = {
            symbol: Account(from_id, head, tail, set(), set(), set(), set())
            for symbol, from_id, head, tail in db.execute("SELECT symbol, from_id, head, tail FROM sequences")
        }
        for symbol, kind, first, last in db.execute("SELECT symbol, kind, first_id, last_id FROM ranges"):
            getattr(books[symbol], kind).update(range(first, last + 1))
        gaps = "SELECT symbol, first_missing, last_missing FROM gaps WHERE state IN ('open', 'leased')"
        for symbol, first, last in db.execute(gaps):
            books[symbol].open.update(range(first, last + 1))
    return books


def _identity(book: Account) -> list[str]:
    sets = {name: getattr(book, name) for name in ("stored", "void", "open", "unrecoverable")}
    counts = Counter(number for members in sets.values() for number in members)
    whole = set(range(book.from_id, book.head + 1))
    return [
        *_say("in more than one set of the account", (number for number, times in counts.items() if times > 1)),
        *_say("in no set of the account", whole - counts.keys()),
        *_say("accounted for outside [from_id, head]", counts.keys() - whole),
    ]


def _beyond(book: Account, issued: Iterable[int]) -> list[str]:
    beyond = {number for number in issued if number > book.head}
    return _say("issued beyond the head of a closed tail", beyond) if book.tail == "closed" else []


def _stored(book: Account, copies: Iterable[naive_log.Copy]) -> list[str]:
    logged = {copy.trade_id for copy in copies}
    return [
        *_say("stored and not in the log", book.stored - logged),
        *_say("in the log, not stored", logged - book.stored),
    ]


def _invented(copies: Iterable[naive_log.Copy], issued: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Of every trade one copy at least must be what the venue issued (it may contradict itself by REST)."""
    right, seen = set(), set()
    for copy in copies:
        seen.add(copy.trade_id)
        line = issued.get(copy.trade_id)
        payload = (copy.ts_event // 10**6, copy.price, copy.quantity, copy.side)
        if line and payload == (line["ts_event"] // 10**6, line["price"], line["quantity"], line["side"]):
            right.add(copy.trade_id)
    return _say("in the log, never issued so", seen - right)


def _published(data_dir: Path, symbol: str, copies: Iterable[naive_log.Copy]) -> list[str]:
    by_id: dict[int, list[Row]] = {}
    for c in copies:
        row = Row(0, c.trade_id, c.ts_event, c.ts_recv, c.source, float(c.price), float(c.quantity), c.side)
        by_id.setdefault(c.trade_id, []).append(row)
    merged = {number: naive_merge.one_row(group) for number, group in by_id.items()}
    disputed = {number for number, (_, others) in merged.items() if others}
    ours = lake_rows(data_dir, symbol)
    twice = Counter((row.epoch, row.trade_id) for row in ours)
    expected, held = {row for row, _ in merged.values()}, set(ours)
    with closing(sqlite3.connect(f"file:{data_dir / 'ledger.sqlite'}?mode=ro", uri=True)) as db:
        told = {number for (number,) in db.execute("SELECT trade_id FROM conflicts WHERE symbol = ?", (symbol,))}
    return [
        *_say("more than once in the lake", (number for (_, number), times in twice.items() if times > 1)),
        *_say("in the log, not so in the lake", {row.trade_id for row in expected - held}),
        *_say("in the lake, not so in the log", {row.trade_id for row in held - expected}),
        *_say("out of order in the lake", _falls([(row.epoch, row.trade_id) for row in ours])),
        *_say("copies differ and no conflict is told", disputed - told),
    ]


def lake_rows(data_dir: Path, symbol: str, venue: str = "binance") -> list[Row]:
    """Read what is published of a symbol, file by file in order of days, as any stranger would."""
    rows: list[Row] = []
    for path in sorted((data_dir / "lake/ticks" / f"venue={venue}" / f"symbol={symbol}").glob("date=*/ticks.parquet")):
        table = pq.ParquetFile(path).read()
        for name in ("ts_event", "ts_recv"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
        mine = [Row(*values) for values in zip(*(table[name].to_pylist() for name in Row._fields), strict=True)]
        day = path.parent.name.removeprefix("date=")
        assert all(_day(row.ts_event) == day for row in mine), f"{path} holds trades of another day"
        rows += mine
    return rows


def _day(ts_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ts_ns // 10**9, UTC).date().isoformat()


def _falls(keys: list[tuple[int, int]]) -> list[int]:
    return [after[1] for before, after in zip(keys, keys[1:], strict=False) if after <= before]


def _bars(data_dir: Path, symbol: str, issued: Mapping[int, Mapping[str, Any]], book: Account) -> list[str]:
    """Compare every complete bar of a minute with the twin's; none may be complete over an id that is missing."""
    folder = data_dir / "lake/bars/timeframe=1m/venue=binance" / f"symbol={symbol}"
    prints = [
        naive_bars.Print(line["ts_event"], line["price"], line["quantity"], line["side"] == "buy")
        for number, line in sorted(issued.items())
        if number >= book.from_id
    ]
    twins = naive_bars.fold(prints, 60 * 10**9)
    missing = {line["ts_event"] // (60 * 10**9) for n, line in issued.items() if n in book.open | book.unrecoverable}
    wrong = []
    for path in sorted(folder.glob("date=*/bars.parquet")):
        table = pq.ParquetFile(path).read()
        opens = table["ts_open"].cast(pa.int64()).to_pylist()
        for ts_open, bar in zip(opens, table.to_pylist(), strict=True):
            doubtful = ts_open // (60 * 10**9) in missing
            if bar["complete"] and (doubtful or any(bar[name] != twins[ts_open][name] for name in _SUMS)):
                wrong.append(ts_open)
    return _say("bars that are not the twin's, or complete over a missing id", wrong)


def _say(what: str, numbers: Iterable[int]) -> list[str]:
    found = sorted(numbers)
    if not found:
        return []
    shown = ", ".join(map(str, found[:MOST_SHOWN])) + (", …" if len(found) > MOST_SHOWN else "")
    return [f"{len(found)} {what}: {shown}"]
