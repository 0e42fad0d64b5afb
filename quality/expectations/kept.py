"""The numbers of each day, kept below `statistics/`: made from the lake once, and again where a file has changed.

What the numbers are is day_statistics.py. A day's file holds all its symbols.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from quality.expectations.day_statistics import Statistics, deviation, of_day
from quality.report.verdicts import judged_path
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import day_start
from trading_platform.store.fs.disk import make_directory, write_atomically
from trading_platform.store.fs.layout import DataDir, Leaf

if TYPE_CHECKING:
    import pyarrow as pa

    from trading_platform.store.ledger import Ledger

Pair = tuple[str, str]

TIMEFRAME = "1m"
VERSION = 1
"""Of how the numbers are made; another one makes those that are kept stale."""

_CANDLES = "candles"
_TICK_COLUMNS = ["ts_event", "ts_recv", "price", "source"]


class SymbolStatistics(NamedTuple):
    """A symbol-day's numbers, and the digest of the files that they were made from."""

    inputs: str
    values: Statistics


def statistics_of(data: DataDir, ledger: Ledger, day: str) -> dict[Pair, SymbolStatistics]:
    """Return the numbers of a day's symbols; what is kept of unchanged files is not made again."""
    files = _files(ledger, day)
    kept = _read(data, day)
    found = {}
    for pair in sorted(files):
        digest = _digest(files, pair)
        found[pair] = kept[pair] if pair in kept and kept[pair].inputs == digest else _made(data, files, pair, digest)
    if found != kept:
        _write(data, day, found)
    return found


Files = Mapping[Pair, Mapping[Leaf, str]]


def _files(ledger: Ledger, day: str) -> Files:
    """Return the leaves that numbers are made from, with the hashes of their content."""
    found: dict[Pair, dict[Leaf, str]] = defaultdict(dict)
    leaves = [*ledger.leaves("ticks", day=day).items(), *ledger.leaves("bars", day=day, timeframe=TIMEFRAME).items()]
    if _CANDLES in DATASETS:
        leaves += ledger.leaves(_CANDLES, day=day, timeframe=TIMEFRAME).items()
    for leaf, record in leaves:
        found[leaf.venue, leaf.symbol][leaf] = record.content_hash
    return found


def _others(files: Files, pair: Pair) -> Iterable[Pair]:
    return (other for other in sorted(files) if other[1] == pair[1] and other != pair)


def _digest(files: Files, pair: Pair) -> str:
    told = [str(VERSION)]
    for each in (pair, *_others(files, pair)):
        told += [f"{leaf.path} {digest}" for leaf, digest in sorted(files[each].items()) if each == pair or _bars(leaf)]
    return sha256("\n".join(told).encode()).hexdigest()[:32]


def _bars(leaf: Leaf) -> bool:
    return leaf.dataset == "bars"


def _made(data: DataDir, files: Files, pair: Pair, digest: str) -> SymbolStatistics:
    from trading_platform.store.lake.publish import read_leaf

    tables: dict[str, pa.Table | None] = {}
    for leaf in files[pair]:
        tables[leaf.dataset] = read_leaf(data, leaf, _TICK_COLUMNS if leaf.dataset == "ticks" else None)
    bars = tables.get("bars")
    day = next(iter(files[pair])).day
    values = of_day(bars, tables.get("ticks"), day_start(day))
    if bars is not None:
        beside = [read_leaf(data, leaf) for other in _others(files, pair) for leaf in files[other] if _bars(leaf)]
        apart = [deviation(bars, other) for other in beside if other is not None]
        known = [value for value in apart if value is not None]
        values |= {"venue_deviation": min(known)} if known else {}
        candles = tables.get(_CANDLES)
        ratio = None if candles is None else candle_volume(bars, candles)
        values |= {} if ratio is None else {"candle_volume": ratio}
    return SymbolStatistics(digest, values)


def candle_volume(bars: pa.Table, candles: pa.Table) -> float | None:
    """Return the volume of complete bars over that of the venue's candles of the same intervals, None without any."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    bars = bars.filter(pc.fill_null(bars["complete"], fill_value=False))
    keys = [table["ts_open"].cast(pa.int64()).to_numpy() for table in (bars, candles)]
    _, ours, theirs = np.intersect1d(*keys, return_indices=True)
    mine = bars["volume"].to_numpy()[ours].sum()
    printed = candles["volume"].cast(pa.float64()).to_numpy()[theirs].sum()
    return float(mine / printed) if len(ours) and printed > 0 else None


def _read(data: DataDir, day: str) -> dict[Pair, SymbolStatistics]:
    """Return what is kept of a day; nothing if that is not readable, for it can be made again."""
    try:
        kept = json.loads((data.statistics / f"{day}.json").read_bytes())["symbols"]
        rows = [(str(row["venue"]), str(row["symbol"]), str(row["inputs"]), dict(row["values"])) for row in kept]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {(venue, symbol): SymbolStatistics(inputs, values) for venue, symbol, inputs, values in rows}


def _write(data: DataDir, day: str, found: Mapping[Pair, SymbolStatistics]) -> None:
    rows = [{"venue": pair[0], "symbol": pair[1], **each._asdict()} for pair, each in found.items()]
    make_directory(data.statistics)
    text = json.dumps({"day": day, "symbols": rows}, indent=1, sort_keys=True)
    write_atomically(data.statistics / f"{day}.json", text.encode())


def is_judged(data: DataDir, day: str) -> bool:
    """Tell whether a checkpoint has judged the day."""
    return judged_path(data, day).exists()


def keep_verdicts(data: DataDir, day: str, verdicts: object) -> None:
    """Keep what a checkpoint said of a day."""
    path = judged_path(data, day)
    make_directory(path.parent)
    write_atomically(path, json.dumps({"day": day, "symbols": verdicts}, indent=1, sort_keys=True).encode())
