"""Check venue, symbol and timeframe against a data directory; an unknown name is an error that suggests the nearest.

An empty result would mean that nothing was traded, but an unknown name is usually a typing error. Reading the data is
store/lake/reader.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import SymbolError, UsageError
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.store.fs.layout import DataDir

Pair = tuple[str, str]
"""(venue, symbol)."""

_ABOVE = {
    name: "".join(f"{key}=*/" for key in dataset.keys[: dataset.keys.index("venue")])
    for name, dataset in DATASETS.items()
}
"""The folders between a dataset and its venues."""
_BY_SYMBOL = [name for name, dataset in DATASETS.items() if dataset.by_symbol]
_BY_VENUE = [name for name in DATASETS if name not in _BY_SYMBOL]


def check_directory(data: DataDir) -> None:
    """Refuse a data directory that is not there, or is none.

    Raises
    ------
    UsageError : naming the folder beside it whose name is nearest, if one is near.
    """
    root = data.root
    try:
        there = root.is_dir()
        beside = [path.name for path in root.parent.iterdir() if path.is_dir()] if not there else []
    except FileNotFoundError:
        there, beside = False, []
    except OSError as error:
        raise UsageError(f"data directory {root.name[:60]} cannot be read: {error.strerror}") from error
    if not there:
        near = difflib.get_close_matches(root.name, beside, n=1)
        hint = f"; nearest: {root.parent / near[0]}" if near else "; give the one that was recorded into"
        raise UsageError(f"data directory {root} does not exist{hint}")
    if not data.lake.is_dir() and not data.ledger_path.is_file():
        above = DataDir(root.resolve().parent)
        hint = f"; its data directory is {above.root}" if above.lake.resolve() == root.resolve() else ""
        raise UsageError(f"{root} is no data directory, it holds no lake{hint}")


def check_pair(data: DataDir, venue: str, symbol: str, recorded: Callable[[], Iterable[Pair]]) -> None:
    """Refuse a symbol of which nothing is stored or recorded.

    Parameters
    ----------
    recorded : asks the ledger which symbols it knows; called only if the lake has no file of this one.

    Raises
    ------
    SymbolError : naming the nearest of what there is.
    """
    if _has(data, venue, symbol):
        return
    known = {*stored_pairs(data), *recorded()}
    if (venue, symbol) in known:
        return
    venues = sorted({v for v, _ in known})
    symbols = sorted(s for v, s in known if v == venue)
    if not known:
        raise SymbolError(f"nothing is stored in {data.root} yet, so there is no {symbol} of {venue}")
    if not symbols:
        raise SymbolError(f"nothing of venue {venue!r} is stored in {data.root}; nearest: {nearest(venue, venues)}")
    elsewhere = sorted(v for v, s in known if s == symbol)
    more = f" (venue {' '.join(elsewhere)} has {symbol})" if elsewhere else ""
    raise SymbolError(f"{venue} has no {symbol!r} in {data.root}; nearest: {nearest(symbol, symbols)}{more}")


def check_venue_stored(data: DataDir, venue: str) -> None:
    """Refuse a venue of which nothing is stored, instruments included."""
    known = {v for v, _ in stored_pairs(data)} | {
        path.name.removeprefix("venue=")
        for dataset in _BY_VENUE
        for path in (data.lake / dataset).glob(f"{_ABOVE[dataset]}venue=*")
    }
    if venue not in known:
        hint = f"; nearest: {nearest(venue, sorted(known))}" if known else ""
        raise SymbolError(f"nothing of venue {venue!r} is stored in {data.root}{hint}")


def check_timeframe(data: DataDir, dataset: str, venue: str, symbol: str, timeframe: str) -> None:
    """Refuse a timeframe in which nothing of a symbol is stored while there are others.

    Raises
    ------
    UsageError : naming those that there are, the nearest in width first.
    """
    pattern = f"{_ABOVE[dataset]}venue={venue}/symbol={symbol}"
    found = {
        part.removeprefix("timeframe=")
        for path in (data.lake / dataset).glob(pattern)
        for part in path.relative_to(data.lake).parts
        if part.startswith("timeframe=")
    }
    if not found or timeframe in found:
        return
    width = timeframe_ns(timeframe)

    def ratio(name: str) -> float:
        other = timeframe_ns(name)
        return max(width, other) / min(width, other)

    stored = " ".join(sorted(found, key=ratio))
    raise UsageError(f"no {dataset} of {venue} {symbol} are stored in timeframe {timeframe}; stored: {stored}")


def stored_pairs(data: DataDir) -> set[Pair]:
    """Return the (venue, symbol) pairs that the lake has a folder of."""
    pairs = set()
    for dataset in _BY_SYMBOL:
        for path in (data.lake / dataset).glob(f"{_ABOVE[dataset]}venue=*/symbol=*"):
            pairs.add((path.parent.name.removeprefix("venue="), path.name.removeprefix("symbol=")))
    return pairs


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the names nearest to one that is not known, up to three, the nearest first.

    >>> nearest("BTC-USD", ["ETH-USDT", "BTC-USDT"])
    'BTC-USDT ETH-USDT'
    """
    return " ".join(difflib.get_close_matches(name, list(known), n=3, cutoff=0.0))


def _has(data: DataDir, venue: str, symbol: str) -> bool:
    below = f"venue={venue}/symbol={symbol}"
    return any(next((data.lake / name).glob(_ABOVE[name] + below), None) for name in _BY_SYMBOL)
