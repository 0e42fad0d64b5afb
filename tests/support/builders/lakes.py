"""Small lakes for tests: trades put into the ledger, staged and published the way the processor does it.

The trades are made up and deterministic; real ones come through the fixture `shared_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Gate, pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema, staging
from trading_platform.store.lake.publish_computed import LeafRows, write_leaves
from trading_platform.store.ledger import Batch, Claim, Ledger, Seen, SequenceKey, TailEvent

Int64 = npt.NDArray[np.int64]
VENUE, SYMBOL = "binance", "BTC-USDT"


@dataclass(frozen=True)
class Trades:
    """Trades as columns, in the order of their ids; `buy` may hold None, a side that nobody knows."""

    ids: Int64
    ts: Int64
    price: npt.NDArray[np.float64]
    quantity: npt.NDArray[np.float64]
    buy: npt.NDArray[np.bool_] | npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Trades:
        return Trades(self.ids[chosen], self.ts[chosen], self.price[chosen], self.quantity[chosen], self.buy[chosen])

    def without(self, *ids: int) -> Trades:
        return self.where(~np.isin(self.ids, ids))

    def between(self, first: int, last: int) -> Trades:
        return self.where((self.ids >= first) & (self.ids <= last))


def made_up(
    first_day: str, days: int, per_day: int, *, first_id: int = 1000, seed: int = 1, quiet: Sequence[str] = ()
) -> Trades:
    """Make a random walk of about `per_day` trades a day with decimals a venue would print; none on `quiet` days."""
    rng = np.random.default_rng(seed)
    start = day_start(first_day)
    ts = start + np.sort(rng.integers(0, days * DAY_NS // 1_000_000, days * per_day)) * 1_000_000
    for day in quiet:
        ts = ts[(ts < day_start(day)) | (ts >= day_start(day) + DAY_NS)]
    price = 6_000_000 + np.cumsum(rng.integers(-300, 301, len(ts)))
    return Trades(
        np.arange(first_id, first_id + len(ts), dtype=np.int64),
        ts,
        price / 100,
        rng.integers(1, 500_000, len(ts)) / 100_000,
        rng.random(len(ts)) < 0.5,
    )


def at(*pairs: tuple[int, int], price: float = 100.0) -> Trades:
    """Make one trade for each (id, ts)."""
    ids, ts = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    n = len(ids)
    return Trades(ids, ts, np.full(n, price), np.ones(n), np.ones(n, np.bool_))


@dataclass
class Market:
    """A data directory with a ledger, filled by hand."""

    data: DataDir
    ledger: Ledger
    gate: Gate = pass_all
    _offset: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path, gate: Gate = pass_all) -> Market:
        data = DataDir(root).create()
        return cls(data, Ledger.open(data), gate)

    def hold(  # noqa: PLR0913  a trade's columns by name
        self,
        trades: Trades,
        symbol: str = SYMBOL,
        *,
        epoch: int = 0,
        lane: str = "live",
        voids: Sequence[tuple[int, int]] = (),
        lost: Sequence[tuple[int, int]] = (),
        tail: str | None = None,
        tail_ns: int = 1,
        publish: bool = True,
        stage: bool = True,
    ) -> list[str]:
        """Tell the ledger, stage and publish; return the days."""
        key = SequenceKey(VENUE, symbol, epoch)
        order = np.argsort(trades.ids)
        seen = Seen(
            ids=trades.ids[order],
            ts=trades.ts[order],
            voids=[Claim(a, b, "test", 0) for a, b in voids],
            lost=[Claim(a, b, "test", 0) for a, b in lost],
            tails=[TailEvent(tail, tail_ns)] if tail is not None else [],  # type: ignore[arg-type]
        )
        start, end = self._next(lane)
        self.ledger.apply(Batch(lane, start, end, {key: seen}), advance)
        days = sorted({day_of(int(ts)) for ts in np.unique(trades.ts // DAY_NS) * DAY_NS})
        for day in days if stage else []:
            inside = (trades.ts >= day_start(day)) & (trades.ts < day_start(day) + DAY_NS)
            table = ticks_table(trades.where(inside), epoch)
            staging.write_part(self.data, VENUE, symbol, day, lane, start, end, table)
            if publish:
                lake.publish(self.data, Leaf("ticks", VENUE, symbol, day), ledger=self.ledger, gate=self.gate)
        return days

    def declare_void(self, *ranges: tuple[int, int], symbol: str = SYMBOL) -> None:
        """Say that ids were used up without a trade."""
        start, end = self._next("fetch-0")
        seen = Seen(voids=[Claim(a, b, "test", 0) for a, b in ranges])
        self.ledger.apply(Batch("fetch-0", start, end, {SequenceKey(VENUE, symbol): seen}), advance)

    def undertake(self, from_id: int, symbol: str = SYMBOL, *, seen_ns: int = 0) -> None:
        """Promise to hold all from an id on."""
        start, end = self._next("fetch-0")
        seen = Seen(undertaken=from_id, promises=[Claim(from_id, from_id, "", seen_ns)])
        self.ledger.apply(Batch("fetch-0", start, end, {SequenceKey(VENUE, symbol): seen}), advance)

    def _next(self, lane: str) -> tuple[Position, Position]:
        at = self._offset.get(lane, 0)
        self._offset[lane] = at + 100
        return Position(0, at), Position(0, at + 100)

    def files(self, *datasets: str) -> dict[str, bytes]:
        """Return every file of some datasets by its path in the lake."""
        return {
            path.relative_to(self.data.lake).as_posix(): path.read_bytes()
            for dataset in datasets
            for path in sorted((self.data.lake / dataset).rglob("*.parquet"))
        }


def ticks_table(trades: Trades, epoch: int = 0) -> pa.Table:
    """Return trades as the lake keeps them."""
    n = len(trades)
    columns = [
        pa.array(trades.ids),
        pa.nulls(n, pa.string()),
        pa.array(np.full(n, epoch, np.int16)),
        pa.array(trades.ts).cast(schema.TIME),
        pa.array(trades.ts + 5_000_000).cast(schema.TIME),
        pa.array(trades.price),
        pa.array(trades.quantity),
        pa.array([None if buy is None else "buy" if buy else "sell" for buy in trades.buy.tolist()], pa.string()),
        pa.array(["ws"] * n, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema.TICKS)


def publish_instead(market: Market, leaf: Leaf, change: Callable[[pa.Table], pa.Table]) -> None:
    """Publish a computed leaf with other rows than were computed, as a mistake in the computation would."""
    record, table = market.ledger.leaf(leaf), lake.read_leaf(market.data, leaf)
    assert record is not None and table is not None
    rows = LeafRows(leaf, change(table), record.input_hash, record.end_state)
    write_leaves(market.data, [rows], ledger=market.ledger, gate=pass_all)
