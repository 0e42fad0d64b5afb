"""Fuzz the decoder with damaged frames; an independent reader gives the expected result."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bench.feed import payloads
from tests.support.fuzz.harness import Growth, Mutator, add, cpu_s, values
from tests.support.judges.naive.feed import RefusedError, Told, read_frame
from trading_platform.completeness.records import Quarantined
from trading_platform.domain.days import day_start
from trading_platform.domain.position import START, Position
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.store.log import control_records as control
from trading_platform.store.log.segment_format import TABLE_AT
from trading_platform.store.log.writer import Kind, PackedRecord
from trading_platform.venues import VENUES

NOW = day_start("2024-08-09")
SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT", "1000SATSUSDT": "1000SATS-USDT"}
BOUNDS = Bounds.of("2020-01-01")
BATCH = 4000
TOGETHER = 40
"""Frames of one record."""
ALSO_REFUSED = 3
"""What is taken is always judged; of what is refused every third frame."""
RAW = (
    b'{"e":"trade","E":1723161255343,"T":1723161255342,"s":"BTCUSDT","t":4000000100,"p":"61800.30","q":"0.006",'
    b'"X":"MARKET","m":false}'
)
OTHERS = (
    b'{"result":null,"id":1}',
    b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}',
    b'{"e":"serverShutdown","E":1770123456789}',
    b'[{"e":"24hrMiniTicker","s":"BTCUSDT"}]',
    b'{"stream":"ethusdt@trade","data":{"e":"trade","E":1,"s":"ETHUSDT","t":4000000100,"p":"2","q":"3","T":1723161255342123,'
    b'"m":true,"M":true,"note":{"t":[1,{"s":null}],"x":"\xc3\xa9\\u00e9"}}}',
)


def corpus() -> list[bytes]:
    """Return frames as they should be, most of them trades in their usual form."""
    return [*payloads(40, list(SYMBOLS)), RAW, RAW.replace(b"61800.30", b"0"), *OTHERS]


def packed(frames: list[bytes], *, at: int, kind: Kind = Kind.FRAMES) -> PackedRecord:
    """Return a record of frames; of all records of a batch it is number `at`."""
    body = bytes(TABLE_AT) + struct.pack(f"<{len(frames)}I", *map(len, frames)) + b"".join(frames)
    return PackedRecord(Position(0, at), Position(0, at + 1), kind, 1, NOW + at, at, len(frames), body)


CONNECTED = packed([control.encode_control(control.Connected("binance", 1, SYMBOLS))], at=0, kind=Kind.CONTROL)


def decoded(frames: list[bytes], *, scan_after: int) -> Decoded:
    """Decode frames as the log holds them."""
    decoder = Decoder("live-binance", VENUES, BOUNDS, scan_after=scan_after)
    starts = range(0, len(frames), TOGETHER)
    records = [packed(frames[first : first + TOGETHER], at=at) for at, first in enumerate(starts, start=1)]
    return decoder.decode([CONNECTED, *records], START, Position(0, len(frames)))


def place(item: Quarantined) -> int:
    """Return which frame of a batch was kept apart."""
    return (item.position.offset - 1) * TOGETHER + item.item


def told(result: Decoded) -> dict[str, Any]:
    """Return what was decoded as values that compare."""
    return {
        "trades": {
            key: [None if column is None else column.tobytes() for column in columns]
            for key, columns in result.trades.items()
        },
        "voids": {key: seen.voids for key, seen in result.batch.seen.items()},
        "quarantine": sorted(result.batch.quarantine, key=lambda item: (place(item), item.kind)),
    }


def judge(frames: list[bytes], result: Decoded) -> dict[str, int]:
    """Check a batch against the strict reader, frame by frame; return the counts."""
    latest = NOW + BOUNDS.ahead_ns
    items = [item for item in result.batch.quarantine if item.kind not in {"precision", "numbering"}]
    refused = {place(item): item.kind for item in items}
    trades: list[Told] = []
    ignored = 0
    for number, frame in enumerate(frames):
        if number in refused and number % ALSO_REFUSED:
            continue
        try:
            trade = read_frame(frame, SYMBOLS)
        except RefusedError as error:
            assert number in refused, f"taken, though {error}: {frame[:300]!r}"
            continue
        possible = trade is not None and (trade.void or trade.possible(BOUNDS.earliest_ns, latest))
        if number in refused:  # what is no trade of ours may be refused as well as ignored
            assert not possible or len(frame) > 4000, f"refused as {refused[number]}: {frame!r}"
        elif trade is None:
            ignored += 1
        else:
            assert possible, f"an impossible trade is taken: {frame!r}"
            trades.append(trade)
    counts = compare(result, trades)
    assert sum(counts.values()) + len(refused) + ignored == len(frames)
    return counts | {"frames": len(frames), "quarantined": len(refused), "ignored": ignored}


def compare(result: Decoded, expected: list[Told]) -> dict[str, int]:
    """Check that what was decoded is what was told, but for ids that contradict their times, which are kept apart."""
    kept: Counter[tuple[Any, ...]] = Counter()
    voids: Counter[tuple[str, int]] = Counter()
    for key, columns in result.trades.items():
        assert bool(np.isfinite(columns.price).all() and np.isfinite(columns.quantity).all())
        assert bool((columns.trade_id >= 0).all() and (columns.price > 0).all() and (columns.quantity > 0).all())
        rows = (columns.trade_id, columns.ts_event, columns.price, columns.quantity, columns.side)
        kept.update((key.symbol, *row) for row in zip(*(column.tolist() for column in rows), strict=True))
    for key, seen in result.batch.seen.items():
        voids.update((key.symbol, claim.first_id) for claim in seen.voids)
    told = Counter(trade[:6] for trade in expected if not trade.void)
    used_up = Counter((trade.symbol, trade.trade_id) for trade in expected if trade.void)
    assert not kept - told, "decoded, but never told"
    assert not voids - used_up
    apart = Counter((row[0], row[1]) for row in (told - kept).elements()) + (used_up - voids)
    numbering = [item for item in result.batch.quarantine if item.kind == "numbering"]
    readmitted = set(result.batch.readmitted)
    still = [item for item in numbering if (item.position, item.item) not in readmitted]
    assert apart == Counter((item.symbol, item.trade_id) for item in still)
    return {"kept": kept.total(), "void": voids.total(), "of no numbering": apart.total()}


def peek_is_harmless(frames: list[bytes], result: Decoded) -> None:
    """Peeking raises nothing, and of a frame that is taken it tells the decoder's own id or none."""
    adapter = VENUES["binance"]
    ids: dict[str, set[int]] = {symbol: set() for symbol in SYMBOLS.values()}
    for key, columns in result.trades.items():
        ids[key.symbol].update(columns.trade_id.tolist())
    for key, seen in result.batch.seen.items():
        ids[key.symbol].update(claim.first_id for claim in seen.voids)
    refused = {place(item) for item in result.batch.quarantine if item.kind != "precision"}
    apart = {(item.symbol, item.trade_id) for item in result.batch.quarantine}
    for number, frame in enumerate(frames):
        for name, trade_id in adapter.peek(frame):
            if number not in refused and name in SYMBOLS:
                symbol = SYMBOLS[name]
                assert trade_id in ids[symbol] or (symbol, trade_id) in apart, frame


def judged(frames: list[bytes]) -> dict[str, int]:
    """Decode a batch one by one, as the strict reader does too."""
    return judge(frames, decoded(frames, scan_after=1 << 60))


def both_ways(frames: list[bytes]) -> dict[str, int]:
    """Decode a batch one by one and many at a time: the same to the last bit."""
    result = decoded(frames, scan_after=0)
    assert told(result) == told(decoded(frames, scan_after=1 << 60))
    peek_is_harmless(frames, result)
    return {"frames": len(frames), "frames read both ways": len(frames)}


def fuzz(count: int, seed: int, read: Callable[[list[bytes]], dict[str, int]]) -> dict[str, Any]:
    """Read so many wrong frames."""
    mutator = Mutator(corpus(), values, seed)
    read(mutator.make(BATCH))
    growth, begun = Growth(), cpu_s()
    total: dict[str, Any] = {}
    for number in range(0, count, BATCH):
        add(total, read(mutator.make(min(BATCH, count - number))))
        growth.look()
    return total | {"most growth": growth.most, "cpu_s": cpu_s() - begun}
