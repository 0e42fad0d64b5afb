"""Copies of a trade by stream, REST and daily file end as one row, whatever came when, as the contract's order says."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings, strategies as st

from tests.support.builders.fakes import Copy
from tests.support.builders.log_lanes import open_lane
from tests.support.judges.naive import merge as naive
from trading_platform.domain.days import day_start
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.archive.pieces import pack
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.recovery.fetch_lane import FetchLane, LaneEnvironment
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind
from trading_platform.venues import VENUES

DAY = "2025-01-02"
NOON_MS = day_start(DAY) // 10**6 + 43_200_000
RECEIVED = day_start("2025-01-04")
BOUNDS = Bounds.of("2016-01-01")
KEY = ("binance", "BTC-USDT")


class Arrival(NamedTuple):
    """A copy that comes, or a moment at which what is staged is published."""

    channel: str
    number: int
    price: str
    micros: int

    @property
    def ms(self) -> int:
        return NOON_MS + 10 * self.number


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.sampled_from(["ws", "rest", "archive", "archive", "publish"]),
        st.integers(1, 4),
        st.sampled_from(["1.5", "1.5", "2.25"]),
        st.sampled_from([0, 123]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=12)
@given(ARRIVALS)
def test_copies_end_as_one_row(arrivals: list[Arrival]) -> None:
    """The least receive time, then stream before REST before file; the finer time is kept; others are conflicts."""
    with tempfile.TemporaryDirectory() as folder:
        data = DataDir(Path(folder)).create()
        ledger = Ledger.open(data)
        came = play(data, ledger, arrivals)
        rows = published(data)
        expected, disputes = naive.publish(came)
        assert rows == [(row.trade_id, row.ts_event, row.ts_recv, row.source, row.price) for row in expected]
        assert {conflict.trade_id for conflict in ledger.conflicts()} == {number for _, number, *_ in disputes}
        ledger.close()


def play(data: DataDir, ledger: Ledger, arrivals: list[Arrival]) -> list[Copy]:
    """Let everything arrive, two at a time in one instant; return the copies as they ought to be understood."""
    now = RECEIVED
    writer, came = open_lane(data.lane("live-binance")), []
    for fact in (
        control.Started("binance", {"BTCUSDT": "BTC-USDT"}),
        control.Connected("binance", 1, {"BTCUSDT": "BTC-USDT"}),
    ):
        writer.append(Kind.CONTROL, [control.encode_control(fact)], ts_recv=now, mono_ns=0)
    with FetchLane(data, ledger, VENUES, BOUNDS, environment=LaneEnvironment(wall_ns=lambda: now)) as lane:
        for turn, arrival in enumerate(arrivals):
            now = RECEIVED + turn // 2
            if arrival.channel == "publish":
                lane.drain()
                publish_staged(data, ledger, pass_all)
                continue
            if arrival.channel == "ws":
                writer.append(Kind.FRAMES, [frame(arrival)], ts_recv=now, mono_ns=0, connection=1)
            elif arrival.channel == "rest":
                lane.page(control.PageHeader("binance", "trades", "BTC-USDT"), page(arrival))
            else:
                told = row(arrival)
                about = control.PageHeader("binance", "archive", "BTC-USDT", 1, 9, "archive", day=DAY, size=len(told))
                lane.page(about, pack(told))
            micros = arrival.micros if arrival.channel == "archive" else 0
            time = (arrival.ms * 1000 + micros) * 1000
            came.append(Copy(arrival.number, time, now, arrival.channel, float(arrival.price), 0.25, "sell", 0))
    writer.close()
    processor = Processor(data, "live-binance", ledger, VENUES, BOUNDS)
    processor.drain()
    processor.close()
    publish_staged(data, ledger, pass_all)
    return came


def frame(arrival: Arrival) -> bytes:
    event = {"e": "trade", "E": arrival.ms, "s": "BTCUSDT", "t": arrival.number, "p": arrival.price, "q": "0.25"}
    event |= {"T": arrival.ms, "m": True, "M": True}
    return json.dumps({"stream": "btcusdt@trade", "data": event}, separators=(",", ":")).encode()


def page(arrival: Arrival) -> bytes:
    told = {"id": arrival.number, "price": arrival.price, "qty": "0.25", "time": arrival.ms, "isBuyerMaker": True}
    return json.dumps([told]).encode()


def row(arrival: Arrival) -> bytes:
    return f"{arrival.number},{arrival.price},0.25,0.375,{arrival.ms * 1000 + arrival.micros},True,True\n".encode()


def published(data: DataDir) -> list[tuple[int, int, int, str, float]]:
    """Return id, times, source and price of every row, in the order of the files."""
    columns = ["trade_id", "ts_event", "ts_recv", "source", "price"]
    tables = [lake.read_leaf(data, leaf, columns) for leaf in sorted(lake.leaves(data, "ticks"))]
    rows = [row for table in tables if table is not None for row in table.to_pylist()]
    return [(row["trade_id"], row["ts_event"].value, row["ts_recv"].value, row["source"], row["price"]) for row in rows]
