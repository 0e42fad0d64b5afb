"""Ways in which a stored file can be wrong, each with the checks that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.builders.lakes import SYMBOL, VENUE, Market, publish_instead
from trading_platform.store.fs.layout import Leaf

DAY = "2024-08-09"
DAYS = ("2024-08-08", DAY)


def path_of(market: Market, leaf: Leaf) -> Path:
    return market.data.lake / leaf.path


TICKS, BARS = Leaf("ticks", VENUE, SYMBOL, DAY), Leaf("bars", VENUE, SYMBOL, DAY, "1m")
INDICATORS = Leaf("indicators", VENUE, SYMBOL, DAY, "1m")


def flip(leaf: Leaf) -> Callable[[Market], None]:
    def fault(market: Market) -> None:
        path = path_of(market, leaf)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(bytes(data))

    return fault


def gone(leaf: Leaf) -> Callable[[Market], None]:
    return lambda market: path_of(market, leaf).unlink()


def cut(leaf: Leaf) -> Callable[[Market], None]:
    return lambda market: path_of(market, leaf).write_bytes(path_of(market, leaf).read_bytes()[:-7])


def edited(leaf: Leaf, change: Callable[[pa.Table], pa.Table]) -> Callable[[Market], None]:
    """Somebody writes the file again, and does not tell the ledger."""
    return lambda market: pq.write_table(change(pq.read_table(path_of(market, leaf))), path_of(market, leaf))


def accepted(leaf: Leaf, change: Callable[[pa.Table], pa.Table]) -> Callable[[Market], None]:
    """What is wrong was published: a mistake of the program that computes, not of the disk."""
    return lambda market: publish_instead(market, leaf, change)


def tenfold(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        values = [None if value is None else value * 10 for value in table[name].to_pylist()]
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


STORED_FAULTS: dict[str, tuple[Callable[[Market], None], set[tuple[str, str]]]] = {
    "a bit of a file of ticks flipped": (flip(TICKS), {("ticks", "stored_files")}),
    "a file of ticks gone": (gone(TICKS), {("ticks", "stored_files"), ("bars", "conservation")}),
    "a row of ticks gone": (
        edited(TICKS, lambda table: table.slice(1)),
        {("ticks", "stored_files"), ("bars", "conservation")},
    ),
    "a price in a file of ticks changed": (edited(TICKS, tenfold("price")), {("ticks", "stored_files")}),
    "a file of bars cut short": (cut(BARS), {("bars", "stored_files")}),
    "a file of bars gone": (gone(BARS), {("bars", "stored_files")}),
    "a file of indicators gone": (gone(INDICATORS), {("indicators", "stored_files")}),
    "bars computed with ten times the volume": (
        accepted(BARS, tenfold("volume")),
        {("bars", "computed_again"), ("bars", "made_again")},
    ),
    "bars computed without a quarter of the trades": (
        accepted(BARS, lambda table: table.slice(table.num_rows // 4)),
        {("bars", "computed_again"), ("bars", "conservation")},
    ),
    "indicators computed otherwise": (accepted(INDICATORS, tenfold("sma_20")), {("indicators", "computed_again")}),
}
