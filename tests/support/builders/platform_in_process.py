"""The whole pipeline of a trade in one process: log, decode, ledger, staging, lake, sealing, retention.

Frames are those of the venue; the clock stands where it is put; every write goes through the disk handed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pyarrow as pa

from trading_platform.domain.days import day_start
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.log_maintenance import LogMaintenance, MaintenanceReport
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.venues import VENUES

DAY = "2024-08-08"
MIDNIGHT = day_start("2024-08-09")
LANE = "live-binance"
BOUNDS = Bounds.of("2020-01-01")
SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}
S = 10**9


def ts_event(number: int) -> int:
    """Return when the trade of that id happened, ns: ids from 100 on are of the next day."""
    return MIDNIGHT + (number - 100) * S


def frame(number: int, venue_symbol: str = "BTCUSDT") -> bytes:
    """Return a trade as the venue sends it; everything in it follows from the id."""
    ms = ts_event(number) // 10**6
    data = {"e": "trade", "E": ms, "s": venue_symbol, "t": number, "p": f"{60000 + number}.5", "q": "0.25"}
    data |= {"T": ms, "m": number % 2 == 0, "M": True}
    return json.dumps({"stream": f"{venue_symbol.lower()}@trade", "data": data}, separators=(",", ":")).encode()


class SmallPlatform:
    """A data directory and what works on it, one step a call.

    Parameters
    ----------
    segment_bytes : small, so that a few trades fill a segment.
    now_ns : wall time of the recorder, advanced by a second a record.
    """

    def __init__(self, root: Path, *, disk: Disk = REAL_DISK, segment_bytes: int = 2048, seed: int = 0) -> None:
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self.disk, self.segment_bytes = disk, segment_bytes
        self.now_ns = MIDNIGHT
        self.writer: LaneWriter | None = None
        self.appended: list[tuple[str, int]] = []
        self.acknowledged: list[tuple[str, int]] = []
        self._random = Random(seed)

    def start(self) -> LaneWriter:
        """Open the live lane as a recorder does."""
        self.writer = LaneWriter.open(
            self.data.lane(LANE),
            clock=lambda: self.now_ns,
            entropy=self._random.randbytes,
            disk=self.disk,
            segment_bytes=self.segment_bytes,
        )
        for fact in (control.Started("binance", SYMBOLS), control.Connected("binance", 1, SYMBOLS)):
            self._append(Kind.CONTROL, [control.encode_control(fact)], 0)
        self.writer.commit()
        return self.writer

    def record(self, ids: Iterable[int], *, together: int = 2, venue_symbol: str = "BTCUSDT") -> None:
        """Receive these trades and make them durable, a record for each few of them."""
        assert self.writer is not None
        ids = list(ids)
        for at in range(0, len(ids), together):
            some = ids[at : at + together]
            self._append(Kind.FRAMES, [frame(number, venue_symbol) for number in some], 1)
            self.appended += [(SYMBOLS[venue_symbol], number) for number in some]
        self.writer.commit()
        self.acknowledged = list(self.appended)

    def _append(self, kind: Kind, frames: list[bytes], connection: int) -> None:
        assert self.writer is not None
        self.now_ns += S
        self.writer.append(kind, frames, ts_recv=self.now_ns, mono_ns=self.now_ns, connection=connection)

    def stop(self) -> None:
        """Close the lane in order."""
        assert self.writer is not None
        self.writer.close()

    def process(self) -> None:
        """Decode and stage what is durable."""
        processor = Processor(self.data, LANE, self.ledger, VENUES, BOUNDS, disk=self.disk)
        try:
            processor.drain()
        finally:
            processor.close()

    def publish(self) -> None:
        """Publish what is staged."""
        publish_staged(self.data, self.ledger, pass_all, disk=self.disk)

    def keep(self, retention_ns: int | None = None) -> MaintenanceReport:
        """Seal what can be sealed; retire what is older than `retention_ns`."""
        keeper = LogMaintenance(
            self.data,
            self.ledger,
            VENUES,
            BOUNDS,
            retention_ns=retention_ns,
            now_ns=lambda: self.now_ns,
            disk=self.disk,
        )
        return keeper.keep()

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def held(self) -> list[tuple[str, int]]:
        """Return (symbol, id) of every published row, in the order of the files."""
        return [
            (leaf.symbol, number) for leaf, table in self.tables().items() for number in table["trade_id"].to_pylist()
        ]

    def tables(self) -> dict[Leaf, pa.Table]:
        """Return every published table."""
        found = {leaf: lake.read_leaf(self.data, leaf) for leaf in lake.leaves(self.data, "ticks")}
        return {leaf: table for leaf, table in found.items() if table is not None}

    def lake_bytes(self) -> dict[str, bytes]:
        """Return every file of the lake."""
        root = self.data.lake
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
