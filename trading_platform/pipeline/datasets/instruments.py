"""The dataset `instruments`: what a venue lists, a file a venue and day. It is recorded by ingest, at each start.

A listing stays in force until the next one: a day with trades on which none came takes over the nearest earlier one.
What a venue listed before the first listing that was recorded is not known, and has no file. Fetching a listing and
publishing the day on which it came are ingest/recovery/instruments.py.
"""

from __future__ import annotations

from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import Gate
from trading_platform.pipeline.datasets.table import VenueLedger
from trading_platform.pipeline.results import LeafResult, describe
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, staging


def refresh(data: DataDir, ledger: VenueLedger, venue: str, day: str, gate: Gate) -> LeafResult:  # noqa: PLR0911  one return an outcome
    """Take the nearest earlier listing over if the day has trades and no listing of its own."""
    leaf = Leaf("instruments", venue, "", day)
    known = ledger.leaves(leaf.dataset, venue)
    record = known.get(leaf)
    intact = record is not None and parquet.is_file(data.lake / leaf.path, record.file_sha256)
    if record is not None and not _taken_over(record):
        if intact:
            return LeafResult(leaf, "unchanged", record.rows, ledger.verdict(leaf))
        return LeafResult(leaf, "refused", record.rows, reason=f"{leaf.path} is damaged; rebuild it with: replay")
    listed = {other.day: other for other, each in known.items() if other.day < day and not _taken_over(each)}
    if not listed or not _has_trades(data, ledger, venue, day):
        return LeafResult(leaf, "absent")
    source = listed[max(listed)]
    input_hash = f"{DATASETS[leaf.dataset].version} {known[source].content_hash}"
    if record is not None and intact and record.input_hash == input_hash:
        return LeafResult(leaf, "unchanged", record.rows, ledger.verdict(leaf))
    try:
        table = lake.read_leaf(data, source)
    except CorruptionError as error:
        return LeafResult(leaf, "refused", reason=str(error))
    if table is None:
        return LeafResult(leaf, "refused", reason=f"{source.path} is missing; rebuild it with: replay")
    done = lake.write_leaf(
        data, leaf, table, ledger=ledger, gate=gate, input_hash=input_hash, over=lambda r: r is None or _taken_over(r)
    )
    if not done.verdict.passed:
        return LeafResult(leaf, "refused", done.rows, done.verdict, describe(done.verdict))
    return LeafResult(leaf, "computed" if done.changed else "unchanged", done.rows, done.verdict)


def _taken_over(record: LeafRecord) -> bool:
    """Tell whether a leaf was taken over from an earlier day: one of a listing names no input."""
    return record.input_hash is not None


def _has_trades(data: DataDir, ledger: VenueLedger, venue: str, day: str) -> bool:
    return bool(ledger.leaves("ticks", venue, day=day)) or any(leaf.day == day for leaf in staging.parts(data, venue))
