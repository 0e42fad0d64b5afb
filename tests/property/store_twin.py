"""What a data directory has come to, and the same records again in another one, undisturbed and in another order.

The disturbed one is store_world.py.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow as pa

from tests.property import store_model as model
from tests.property.store_model import Copy, Told
from tests.support.builders.platform_in_process import BOUNDS, SYMBOLS
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.processor import Processor
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import DayRow, Ledger
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.venues import VENUES

MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own below it; what is durable is told by the disk


def memory_folder() -> Path:
    """Return a new folder, in memory where there is one."""
    return Path(tempfile.mkdtemp(prefix="store-", dir=MEMORY if MEMORY.is_dir() else None))


def empty_ledger() -> Path:
    """Return a migrated ledger's file, made once: migrating takes longer than many acts."""
    global _empty  # noqa: PLW0603
    if _empty is None:
        folder = DataDir(memory_folder()).create()
        Ledger.open(folder).close()
        _empty = folder.ledger_path.read_bytes()
        shutil.rmtree(folder.root)
    return _empty


_empty: bytes | None = None


class Result(NamedTuple):
    """All that must not depend on the order of lanes."""

    files: dict[str, bytes]
    accounts: dict[str, model.Account | None]
    days: dict[str, list[DayRow]]
    quarantined: dict[tuple[str, str | None, str], int]


def result(data: DataDir, ledger: Ledger) -> Result:
    """Return what a drained data directory has come to."""
    names = SYMBOLS.values()
    return Result(
        {str(path.relative_to(data.lake)): path.read_bytes() for path in data.lake.rglob("*.parquet")},
        {name: ledger_account(ledger, name) for name in names},
        {name: ledger.days("binance", name) for name in names},
        ledger.quarantined(),
    )


@contextmanager
def another_world(log: Mapping[str, Sequence[Told]], seed: int) -> Iterator[tuple[DataDir, Ledger]]:
    """Record the same again, undisturbed, in other segments, and decode the lanes by turns in another order."""
    random = Random(seed)
    data = DataDir(memory_folder()).create()
    data.ledger_path.write_bytes(empty_ledger())
    ledger = Ledger.open(data)
    try:
        lanes = [lane for lane, told in log.items() if told]
        random.shuffle(lanes)
        for lane in lanes:
            write_lane(data, lane, log[lane])
        processors = [Processor(data, lane, ledger, VENUES, BOUNDS) for lane in lanes]
        for processor in random.choices(processors, k=8) if processors else []:
            processor.step()
            if random.random() < 0.3:
                processor.stage()
                publish_staged(data, ledger, pass_all)
        for processor in processors:
            processor.drain()
            processor.close()
        publish_staged(data, ledger, pass_all)
        yield data, ledger
    finally:
        ledger.close()
        shutil.rmtree(data.root)


def write_lane(data: DataDir, lane: str, log: Sequence[Told]) -> None:
    """Write a lane's records anew."""
    entropy = Random(lane).randbytes
    with LaneWriter.open(data.lane(lane), clock=lambda: 0, entropy=entropy, segment_bytes=4096) as writer:
        for told in log:
            kind, connection, frames = told.raw
            writer.append(Kind(kind), frames, ts_recv=told.ts_recv, mono_ns=told.ts_recv, connection=connection)


def ledger_account(ledger: Ledger, symbol: str) -> model.Account | None:
    """Return what the ledger holds of a symbol; what is open, by its rows of gaps."""
    found = [row for row in ledger.sequences("binance", symbol) if row.epoch == 0]
    if not found:
        return None
    state = ledger.state("binance", symbol)
    open_ids = [
        n for gap in ledger.gaps() if gap.symbol == symbol for n in range(gap.first_missing, gap.last_missing + 1)
    ]
    assert len(open_ids) == len(set(open_ids)), "gaps overlap"
    stored, void, unrecoverable = (
        frozenset(n for first, last in ranges for n in range(first, last + 1))
        for ranges in (state.stored, state.void, state.unrecoverable)
    )
    ends = found[0].from_id, found[0].head, found[0].tail
    return model.Account(*ends, stored, void, unrecoverable, frozenset(open_ids))


def differences(held: model.Account | None, expected: model.Account | None) -> str:
    """Say where two accounts differ."""
    if held is None or expected is None:
        return f"the ledger has {held}, the model {expected}"
    pairs = zip(held._fields, held, expected, strict=True)
    return "; ".join(f"{name} {have} for {want}" for name, have, want in pairs if have != want)


def to_copies(table: pa.Table | None) -> list[Copy]:
    """Return a file's rows as copies, in its order."""
    assert table is not None
    for name in ("ts_event", "ts_recv"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(pa.int64()))
    return [Copy(**row) for row in table.drop_columns(["trade_uid"]).to_pylist()]
