"""Fuzz REST answers, listings, control records and messages between processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from tests.support.fuzz.frames import BOUNDS, NOW
from tests.support.fuzz.harness import Growth, Mutator, add, cpu_s, values
from tests.support.judges.naive.feed import RefusedError, Told, read_page
from trading_platform.domain.errors import FrameError
from trading_platform.domain.instrument import check_symbol
from trading_platform.domain.position import START, Position
from trading_platform.domain.trades.trade import Trade
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.workers import messages
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, Record
from trading_platform.venues import VENUES
from trading_platform.venues.binance.history import BinanceHistory

HISTORY = BinanceHistory()
SYMBOL = "BTC-USDT"
BATCH = 1000
THROUGH_THE_LOG = 4
"""Every fourth page also goes through the decoder of the log."""
LISTING = (
    b'{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",'
    b'"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","stepSize":"0.00001"}]},'
    b'{"symbol":"XBTEUR","status":"BREAK","baseAsset":"XBT","quoteAsset":"EUR","filters":[]}]}'
)
AGGREGATES = b'[{"a":26129,"p":"0.01633102","q":"4.7","f":27781,"l":27781,"T":1723161255342,"m":true,"M":true}]'


def pages() -> list[bytes]:
    """Return pages as they should be."""
    rows = [
        b'{"id":%d,"price":"%d.37000000","qty":"0.0%d","quoteQty":"48.1","time":1723161255%03d,"isBuyerMaker":%b,'
        b'"isBestMatch":true}' % (28457 + n, 61000 + n, n + 1, n, (b"true", b"false")[n % 2])
        for n in range(40)
    ]
    return [b"[" + b",".join(rows[first : first + size]) + b"]" for first, size in ((0, 1), (1, 2), (5, 3), (9, 6))]


def lines() -> list[bytes]:
    """Return control records, heads of pages and messages as they should be."""
    facts = [
        control.Started("binance", {"BTCUSDT": SYMBOL}),
        control.Connected("binance", 3, {"BTCUSDT": SYMBOL}),
        control.Declared("binance", SYMBOL, 5, 9, "a reason"),
        control.BanSeen("binance", NOW),
        control.HandoverRecord("binance", "begins", 1, 2, "cut soon"),
    ]
    page = control.encode_page(control.PageHeader("binance", "trades", SYMBOL, 7))
    spoken = [*messages.probe([SYMBOL]), *messages.renew([SYMBOL]), *messages.heads({SYMBOL: 7, "ETH-USDT": None})]
    return [*(control.encode_control(fact) for fact in facts), page, *spoken]


def judge(body: bytes) -> dict[str, int]:
    """Check one page against the strict reader; return how many rows were kept and refused."""
    try:
        expected = read_page(body, SYMBOL)
    except RefusedError:
        expected = None
    try:
        found = HISTORY.read(body, SYMBOL)
    except FrameError as error:
        assert error.kind
        # Half a surrogate pair, or no end of brackets: JSON for some, no page for us.
        odd = len(body) > 4000 or b"[" * 50 in body or b"\\ud" in body
        assert expected is None or odd, f"refused: {error}: {body!r}"
        return {"pages": 1, "pages refused": 1}
    assert expected is not None, f"taken: {body!r}"
    trades = sorted((row for row in expected if isinstance(row, Told)), key=lambda told: told.trade_id)
    assert [as_told(trade) for trade in found.trades] == trades, body
    assert len(found.refused) == len(expected) - len(trades), body
    assert all(row.raw in body for row in found.refused)
    return {"pages": 1, "rows kept": len(found.trades), "rows refused": len(found.refused)}


def as_told(trade: Trade) -> Told:
    """Return a trade of the adapter as the strict reader tells it."""
    side = {"buy": 1, "sell": -1}[str(trade.side)]
    price, quantity = float(trade.price), float(trade.quantity)
    assert trade.trade_id is not None
    assert math.isfinite(price)
    assert math.isfinite(quantity)
    return Told(trade.symbol, trade.trade_id, trade.ts_event, price, quantity, side, trade.void is not None)


def through_the_log(body: bytes) -> None:
    """Every row of a page that the decoder of the log meets is stored, void or kept apart, with its bytes."""
    head = control.encode_page(control.PageHeader("binance", "trades", SYMBOL, 28457))
    record = Record(Position(0, 1), Position(0, 2), Kind.PAGE, 0, NOW, 1, (head, body))
    result = Decoder("fetch-0", VENUES, BOUNDS).decode([record], START, Position(0, 2))
    kept = sum(len(columns.trade_id) for columns in result.trades.values())
    voids = sum(len(seen.voids) for seen in result.batch.seen.values())
    bad = [item for item in result.batch.quarantine if item.kind != "precision"]
    try:
        sent = len(read_page(body, SYMBOL))
    except RefusedError:
        sent = 1  # the page as a whole
    whole = len(bad) == 1 and bad[0].raw == body
    assert kept + voids + len(bad) == sent or whole, body
    assert len({item.item for item in bad}) == len(bad)


def others(data: bytes) -> dict[str, int]:
    """Read the same bytes as everything else that comes from outside or lies in the log."""
    adapter = VENUES["binance"]
    refused = 0
    readers: tuple[Callable[[], object], ...] = (
        lambda: [check_symbol(found.symbol) for found in adapter.decode_instruments(data)],
        lambda: (HISTORY.read(data, SYMBOL, HISTORY.from_time(0)).first or (0, 0))[0] < 1 << 63,
        lambda: HISTORY.raw_rows(data),
        lambda: control.decode_control(data),
        lambda: control.decode_page(data),
        lambda: messages.decode_message(data) or adapter.peek(data),
    )
    for read in readers:
        try:
            assert read() is not False
        except FrameError as error:
            assert error.kind
            refused += 1
    return {"others": 1, "others refused": refused}


def fuzz(count: int, seed: int) -> dict[str, Any]:
    """Read so many wrong inputs, two pages for each other one."""
    makers = Mutator(pages(), values, seed), Mutator([LISTING, AGGREGATES, *lines()], values, seed + 1)
    growth, begun = Growth(), cpu_s()
    total: dict[str, Any] = {}
    for number in range(0, count, BATCH):
        size = min(BATCH, count - number)
        if number // BATCH % 3 == 2:
            for data in makers[1].make(size):
                add(total, others(data))
        else:
            for place, body in enumerate(makers[0].make(size)):
                add(total, judge(body))
                if place % THROUGH_THE_LOG == 0:
                    through_the_log(body)
        growth.look()
    return total | {"most growth": growth.most, "cpu_s": cpu_s() - begun}


def sound() -> None:
    """What is not damaged is read: without this everything could be refused."""
    assert [judge(body) for body in pages()] == [{"pages": 1, "rows kept": n, "rows refused": 0} for n in (1, 2, 3, 6)]
    assert len(VENUES["binance"].decode_instruments(LISTING)) == 2
    assert (HISTORY.read(AGGREGATES, SYMBOL, HISTORY.from_time(0)).first or (0, 0))[0] == 27781
    assert msgspec.json.decode(lines()[0])
