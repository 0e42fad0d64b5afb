"""Decode pieces of a daily file: the compressed rows of a record in, trades and refused rows out.

A piece holds whole rows as the venue printed them. It claims nothing about ids that it lacks: a hole stays open until
an endpoint is asked for it. How a file becomes pieces is ingest/recovery/archive_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pyarrow as pa

from trading_platform.completeness.epochs import Epochs, PageScope
from trading_platform.completeness.records import SequenceKey
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.ingest.decoder.archive.rows import RowScanner, TimeLimits
from trading_platform.ingest.decoder.batch_facts import BatchOutput
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.quarantine import Origin
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Record
from trading_platform.venues.archive import DailyArchive

CODEC = "zstd"
LEVEL = 1
MOST_BYTES = 8 << 20
"""Of a piece, unpacked: one that claims more is refused before anything is unpacked."""
SCAN_FROM_BYTES = 1 << 18
"""Smaller pieces are read row by row: loading the kernel takes longer."""
MOST_REFUSED = 100
"""Rows of a piece that are kept apart one by one; after these the odd rows that are left are not read."""

Take = Callable[[Origin, Trade, bytes], object]


class _Odd(NamedTuple):
    """A row that is read by itself: its number in the piece, from 1 on, and its bytes."""

    item: int
    row: bytes


def pack(rows: bytes) -> bytes:
    """Return a piece's rows as they are logged.

    >>> unpack(pack(b"1,2"), 3)
    b'1,2'
    """
    packed: bytes = pa.Codec(CODEC, compression_level=LEVEL).compress(rows, asbytes=True)
    return packed


def unpack(body: bytes, size: int) -> bytes:
    """Return the rows of a piece that says how large it is. Raises FrameError of kind ``piece``."""
    if not 0 < size <= MOST_BYTES:
        raise FrameError("piece", f"it says to hold {size:,} bytes; at most {MOST_BYTES:,}")
    try:
        rows: bytes = pa.Codec(CODEC).decompress(body, decompressed_size=size, asbytes=True)
    except (OSError, ValueError) as error:
        raise FrameError("piece", str(error)[:200]) from error
    if len(rows) != size:
        raise FrameError("piece", f"it holds {len(rows):,} bytes, and says {size:,}")
    return rows


class PieceDecoder:
    """Decodes the pieces of one batch."""

    def __init__(self, epochs: Epochs, bounds: Bounds, output: BatchOutput) -> None:
        self._epochs, self._bounds = epochs, bounds
        self._trades, self._quarantine = output.trades, output.quarantine

    def decode(
        self, record: Record, page: control.PageHeader, archive: DailyArchive | None, scope: PageScope, take: Take
    ) -> None:
        """Take one piece; `take` is given each trade that has to be read by itself.

        Raises
        ------
        FrameError : if it is no piece as a whole.
        """
        if archive is None:
            raise FrameError("piece", f"{page.venue} has no archive in this version")
        body = record.frames[1] if len(record.frames) > 1 else b""
        day, rows = _day(page.day), unpack(body, page.size)
        odd = self._scan(record, page, archive, day, rows, scope) if len(rows) >= SCAN_FROM_BYTES else None
        self._one_by_one(record, page, archive, day, _lines(rows) if odd is None else iter(odd), take)

    def _scan(
        self,
        record: Record,
        page: control.PageHeader,
        archive: DailyArchive,
        day: TimeLimits,
        rows: bytes,
        scope: PageScope,
    ) -> list[_Odd] | None:
        """Take the usual rows in bulk and return the others; None if all have to be judged one by one."""
        if archive.row_form is None:
            return None
        numbers, columns, first = self._trades.reserve(rows.count(b"\n") + 1)
        latest = min(day.latest_ns, record.ts_recv + self._bounds.ahead_ns)
        limits = TimeLimits(max(day.earliest_ns, self._bounds.earliest_ns), latest)
        scanner, odd = RowScanner(archive.row_form), list[_Odd]()
        at, end = scanner.scan(rows, 0, limits, columns, first)
        while at < len(rows):
            stop = rows.find(b"\n", at)
            stop = len(rows) if stop < 0 else stop
            odd.append(_Odd(end - first + len(odd) + 1, rows[at:stop]))
            at, end = scanner.scan(rows, stop + 1, limits, columns, end)
        if end == first:
            return odd
        taken = slice(first, end)
        epoch = self._epochs.of_rows(page.venue, page.symbol, columns.trade_id[taken], columns.ts_event[taken], scope)
        if epoch is None:
            return None
        numbers[taken] = self._trades.number(SequenceKey(page.venue, page.symbol, epoch))
        self._trades.fill(end, record.ts_recv, "archive")
        return odd

    def _one_by_one(
        self,
        record: Record,
        page: control.PageHeader,
        archive: DailyArchive,
        day: TimeLimits,
        lines: Iterator[_Odd],
        take: Take,
    ) -> None:
        kept_before = len(self._quarantine.entries())
        for item, row in lines:
            origin = Origin(record, item, page.venue, "archive")
            if len(self._quarantine.entries()) - kept_before >= MOST_REFUSED:
                left = 1 + sum(1 for _ in lines)
                error = FrameError(
                    "rows", f"{MOST_REFUSED} rows were refused; {left:,} odd ones after them are not read"
                )
                self._quarantine.refuse(origin, page.symbol, None, error, row)
                return
            try:
                trade = archive.read_row(row, page.symbol)
                if not day.earliest_ns <= trade.ts_event <= day.latest_ns:
                    raise FrameError("day", f"id {trade.trade_id} traded at {trade.ts_event}, not on {page.day}")
            except FrameError as error:
                self._quarantine.refuse(origin, page.symbol, None, error, row)
            else:
                take(origin, trade, row)


def _day(day: str) -> TimeLimits:
    try:
        begin = day_start(day)
    except ValueError:
        raise FrameError("piece", f"{day[:40]!r} is not a day") from None
    return TimeLimits(begin, begin + DAY_NS - 1)


def _lines(rows: bytes) -> Iterator[_Odd]:
    for item, row in enumerate(rows.removesuffix(b"\n").split(b"\n"), start=1):
        yield _Odd(item, row)
