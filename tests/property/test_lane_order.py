"""Lanes have no order among each other: any interleaving of decoding and publishing ends in the same data."""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings, strategies as st

from trading_platform.domain.days import day_start
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

MIDNIGHT_MS = day_start("2024-08-09") // 10**6
BOUNDS = Bounds.of("2016-01-01")
LANES = ("live-binance", "fetch-0", "fetch-1")


def frame(number: int) -> bytes:
    """Return the trade of that number on the stream: 40 of them, around midnight."""
    time = MIDNIGHT_MS + 100 * (number - 20)
    data = {"e": "trade", "E": time, "s": "BTCUSDT", "t": number, "p": f"{100 + number}.5", "q": "0.1", "T": time}
    data |= {"m": number % 2 == 0, "M": True}
    return json.dumps({"stream": "btcusdt@trade", "data": data}).encode()


def page(numbers: list[int]) -> bytes:
    """Return a REST page of those trades."""
    listed = []
    for number in numbers:
        data = json.loads(frame(number))["data"]
        listed.append(
            {"id": number, "price": data["p"], "qty": data["q"], "time": data["T"], "isBuyerMaker": data["m"]}
        )
    return json.dumps(listed).encode()


def used_up(number: int) -> bytes:
    """Return the frame of an id that the venue used without an order-book trade; a page does not tell the type."""
    told = json.loads(frame(number))
    told["data"]["X"] = "NA"
    return json.dumps(told).encode()


def write_log(
    data: DataDir, streamed: list[list[int]], fetched: list[list[int]], voids: set[int] | None = None
) -> None:
    """Write a live lane of receive runs and two fetch lanes of pages, with receive times of their own."""
    voids = voids or set()
    clock = iter(range(1, 10**6))

    def append(writer: LaneWriter, kind: Kind, frames: list[bytes]) -> None:
        now = day_start("2024-08-10") + next(clock)
        writer.append(kind, frames, ts_recv=now, mono_ns=now, connection=1)
        writer.commit()

    dice = random.Random(1)
    with LaneWriter.open(data.lane(LANES[0]), clock=lambda: 0, entropy=dice.randbytes, segment_bytes=4096) as live:
        append(live, Kind.CONTROL, [control.encode_control(control.Connected("binance", 1, {"BTCUSDT": "BTC-USDT"}))])
        for run in streamed:
            append(live, Kind.FRAMES, [used_up(number) if number in voids else frame(number) for number in run])
        append(live, Kind.CONTROL, [control.encode_control(control.Disconnected(1, "stopped"))])
    for lane, pages in zip(LANES[1:], (fetched[::2], fetched[1::2]), strict=True):
        with LaneWriter.open(data.lane(lane), clock=lambda: 0, entropy=dice.randbytes, segment_bytes=4096) as writer:
            for numbers in pages:
                head = control.encode_page(control.PageHeader("binance", "trades", "BTC-USDT", min(numbers)))
                append(writer, Kind.PAGE, [head, page(sorted(numbers))])


def settle(log: DataDir, steps: list[int]) -> tuple[object, ...]:
    """Decode the lanes in this order of steps, publishing now and then; return lake and ledger as values."""
    with tempfile.TemporaryDirectory() as folder:
        data = DataDir(Path(folder)).create()
        data.log.rmdir()
        os.symlink(log.log, data.log)
        ledger = Ledger.open(data)
        processors = [Processor(data, lane, ledger, VENUES, BOUNDS) for lane in LANES]
        for step in steps:
            if step < len(LANES):
                processors[step].step()
            else:
                processors[step % len(LANES)].stage()
                publish_staged(data, ledger, pass_all)
        for processor in processors:
            processor.drain()
            processor.close()
        publish_staged(data, ledger, pass_all)
        tables = [lake.read_leaf(data, leaf) for leaf in lake.leaves(data, "ticks")]
        account = ledger.state("binance", "BTC-USDT")
        facts = (
            [table.to_pylist() for table in tables if table is not None],
            [(gap.first_missing, gap.last_missing) for gap in ledger.gaps()],
            ledger.sequences(),
            ledger.days("binance", "BTC-USDT"),
            list(account.stored),
            list(account.void),
            ledger.withdrawn(),
            verify_store(data, ledger, {"ticks": pass_all}).violations,
            ledger.day_report(day_start("2024-09-01")),
        )
        ledger.close()
    return facts


NUMBERS = st.lists(st.integers(0, 39), min_size=1, max_size=8)


@settings(max_examples=20)
@given(
    st.lists(NUMBERS, min_size=1, max_size=6),
    st.lists(NUMBERS.map(lambda numbers: sorted(set(numbers))), max_size=5),
    st.lists(st.integers(0, 2 * len(LANES) - 1), max_size=12),
    st.sets(st.integers(0, 39), max_size=3) | st.sets(st.integers(0, 39), min_size=20),
)
def test_any_interleaving_ends_the_same(
    streamed: list[list[int]], fetched: list[list[int]], steps: list[int], voids: set[int]
) -> None:
    """Drops, repeats, disorder and refetches decoded in any order: equal ticks in every column, equal account."""
    with tempfile.TemporaryDirectory() as folder:
        log = DataDir(Path(folder)).create()
        write_log(log, streamed, fetched, voids)
        assert settle(log, steps) == settle(log, [])
