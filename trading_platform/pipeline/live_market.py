"""The market as it is recorded now: newest stored trade, rate, gaps, and since when nothing is known, of each symbol.

Reads the ledger, staging and the lake, and writes nothing. Who shows it is orchestration/pages/feed.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trading_platform.completeness.open_ends import Concern
from trading_platform.domain.errors import CorruptionError
from trading_platform.ingest.recovery.open_tails import open_ends
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import staging
from trading_platform.store.lake.reader import stored_days

if TYPE_CHECKING:
    from trading_platform.store.ledger import Ledger

RATE_S = 10.0
"""Trades per second are the mean of at least this long, once the market has been watched for it."""

Pair = tuple[str, str]


class LastTrade(NamedTuple):
    """The newest stored trade of a symbol."""

    ts_event: int
    price: float
    side: str | None


class SymbolMarket(NamedTuple):
    """One symbol; None and "" are unknown. `not_known` says since when nothing is, if that is so."""

    venue: str
    symbol: str
    last: LastTrade | None
    stored: int
    per_second: float | None
    gaps: int
    missing: int
    not_known: str
    concern: Concern


class LiveMarket:
    """Watches one data directory; `read` is called again and again, by one caller at a time.

    Parameters
    ----------
    open_ledger : called once there is a ledger, which reading must not create.
    """

    def __init__(self, data: DataDir, open_ledger: Callable[[DataDir], Ledger]) -> None:
        self._data = data
        self._open_ledger = open_ledger
        self._ledger: Ledger | None = None
        self._counts: deque[tuple[float, dict[Pair, int]]] = deque()
        self._last: dict[Pair, LastTrade] = {}
        self._seen: dict[Pair, tuple[Path, int]] = {}

    def read(self, now_ns: int, monotonic_s: float) -> list[SymbolMarket]:
        """Return every symbol of which a trade was recorded, ordered by venue and symbol."""
        if self._ledger is None:
            if not self._data.ledger_path.exists():
                return []
            self._ledger = self._open_ledger(self._data)
        ledger = self._ledger
        rows = ledger.sequences()
        stored = ledger.stored_by_symbol()
        for day in ledger.text_days():
            stored[day.venue, day.symbol] = stored.get((day.venue, day.symbol), 0) + day.held
        before = self._remember(monotonic_s, stored)
        ends = {(end.venue, end.symbol): end for end in open_ends(self._data, rows)}
        gaps: dict[Pair, list[int]] = {}
        for gap in ledger.gaps():
            gaps.setdefault((gap.venue, gap.symbol), []).append(gap.missing)
        found = []
        for pair in dict.fromkeys((row.venue, row.symbol) for row in rows):
            end, missing = ends.get(pair), gaps.get(pair, [])
            concern = Concern.NONE if end is None else end.concern(now_ns)
            found.append(
                SymbolMarket(
                    *pair,
                    self._newest(pair),
                    stored.get(pair, 0),
                    _rate(before, pair, monotonic_s, stored.get(pair, 0)),
                    len(missing),
                    sum(missing),
                    "" if end is None or not concern else end.text(now_ns),
                    concern,
                )
            )
        return found

    def close(self) -> None:
        """Let go of the ledger."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _remember(self, at_s: float, stored: dict[Pair, int]) -> tuple[float, dict[Pair, int]]:
        """Keep these counts; return those of about `RATE_S` ago, or the oldest there are."""
        self._counts.append((at_s, stored))
        while len(self._counts) > 1 and self._counts[1][0] <= at_s - RATE_S:
            self._counts.popleft()
        return self._counts[0]

    def _newest(self, pair: Pair) -> LastTrade | None:
        """Return the newest trade of the newest file: a staged part, else the published day."""
        file = self._newest_file(pair)
        if file is None:
            return self._last.get(pair)
        try:
            mark = (file, file.stat().st_mtime_ns)
            if self._seen.get(pair) != mark:
                found = _last_of(file)
                if found is not None and found.ts_event >= self._last.get(pair, found).ts_event:
                    self._last[pair] = found
                self._seen[pair] = mark
        except (FileNotFoundError, CorruptionError):
            pass  # published meanwhile, or damaged, which `verify` tells: the trade known so far stays
        return self._last.get(pair)

    def _newest_file(self, pair: Pair) -> Path | None:
        parts = staging.parts(self._data, *pair)
        if parts:
            files = parts[max(parts, key=lambda leaf: leaf.day)]
            return max(files, key=_written_ns)
        if pair in self._last:
            return None  # the parts that it came from were published
        leaf = Leaf("ticks", *pair, "1970-01-01")
        days = stored_days(self._data, leaf)
        return self._data.lake / leaf._replace(day=days[-1]).path if days else None


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _last_of(path: Path) -> LastTrade | None:
    """Return the trade with the latest time of a file's last row group."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from trading_platform.store.lake import parquet

    with parquet.open_file(path) as file:
        if not file.num_row_groups:
            return None
        table = parquet.read_group(file, path, file.num_row_groups - 1, ["ts_event", "price", "side"])
    if not table.num_rows:
        return None
    times = table.column("ts_event").cast(pa.int64())
    at = pc.index(times, pc.max(times)).as_py()
    side = table.column("side").cast(pa.string())[at].as_py()
    return LastTrade(times[at].as_py(), table.column("price")[at].as_py(), side)


def _rate(before: tuple[float, dict[Pair, int]], pair: Pair, now_s: float, stored: int) -> float | None:
    at_s, counts = before
    return None if now_s <= at_s else max(0, stored - counts.get(pair, 0)) / (now_s - at_s)
