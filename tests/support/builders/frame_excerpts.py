"""Make the excerpts of captures that the contract suite of venues reads.

Run as ``python -m tests.support.builders.frame_excerpts``.

A venue has a folder in tests/data/frames: what it sent (frames, pages), where each was captured, and what an obvious
reader finds in it. The readers here are plain `json`, and know nothing of venues/. A new venue adds its own to TABLE.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[3]
FRAMES = ROOT / "tests" / "data" / "frames"
SHARED = ROOT.parent / "shared" / "data"

_NUMBER = "number "
"""Before the text of a number, until it is written as one again."""
Row = Sequence[Any]
"""A trade as `domain.trade.Trade` has it."""


class Excerpt(NamedTuple):
    """What was captured, where, and the trades that are in it."""

    origin: str
    text: str
    trades: list[Row]


class Source(NamedTuple):
    """A venue's excerpts."""

    symbols: dict[str, str]
    frames: Callable[[dict[str, str]], Iterator[Excerpt]]
    pages: Callable[[dict[str, str]], Iterator[Excerpt]]


# ---- Binance


def binance_frame(text: str, symbols: dict[str, str]) -> list[Row]:
    """Read a combined or a raw frame."""
    told = json.loads(text, parse_float=str)
    event = told.get("data", told)
    if not isinstance(event, dict) or event.get("e") != "trade":
        return []
    void = None
    if event.get("X", "MARKET") != "MARKET":
        void = f"type {event['X']}"
    elif float(event["p"]) == 0:
        void = "price 0"
    side = "sell" if event["m"] else "buy"
    return [(symbols[event["s"]], event["t"], event["T"] * 1_000_000, event["p"], event["q"], side, void)]


def binance_lines(path: str) -> Iterator[str]:
    """Return the frames of a recording."""
    with gzip.open(SHARED / path, "rt") as lines:
        for line in lines:
            yield line.partition(" ")[2].rstrip()


def _binance_frames(symbols: dict[str, str]) -> Iterator[Excerpt]:
    for path in ("trades/hftbacktest/spot/btcusdt_20240808.gz", "trades/hftbacktest/usdm/btcusdt_20240808.gz"):
        kinds: dict[str, int] = {}
        for number, text in enumerate(binance_lines(path), start=1):
            told = json.loads(text)
            told = told.get("data", told)
            kind = f"{told.get('e')} {told.get('m')} {told.get('X')}" if isinstance(told, dict) else "other"
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] <= 3 and len(text) < 1000:
                yield Excerpt(f"{path} line {number}", text, binance_frame(text, symbols))
    yield Excerpt("rest/binance-spot-api-docs/web-socket-streams.md", '{"result":null,"id":1}', [])


def _binance_pages(symbols: dict[str, str]) -> Iterator[Excerpt]:
    symbol = next(iter(symbols.values()))
    origin = "rest/binance-spot-api-docs/rest-api.md"
    trades = (
        '[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,'
        '"isBuyerMaker":true,"isBestMatch":true}]'
    )
    rows: list[Row] = [(symbol, 28457, 1_499_865_549_590_000_000, "4.00000100", "12.00000000", "sell", None)]
    yield Excerpt(origin, trades, rows)
    aggregates = '[{"a":2,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}]'
    rows = [(symbol, 27781, 1_498_793_709_153_000_000, "0.01633102", "4.70443515", "sell", None)]
    yield Excerpt(origin, aggregates, rows)


# ---- Kraken


def kraken_frame(text: str, symbols: dict[str, str]) -> list[Row]:
    """Read a frame of WebSocket v2."""
    told = json.loads(text, parse_float=str, parse_int=str)
    if told.get("channel") != "trade":
        return []
    return [
        (
            symbols[row["symbol"]],
            int(row["trade_id"]),
            _iso_ns(row["timestamp"]),
            row["price"],
            row["qty"],
            row["side"],
            None,
        )
        for row in told["data"]
    ]


def kraken_page(text: str, symbol: str) -> list[Row]:
    """Read a page of REST's `Trades`."""
    told = json.loads(text, parse_float=str)
    ((_, rows),) = [item for item in told["result"].items() if item[0] != "last"]
    return [
        (symbol, row[6], _double_ns(row[2]), row[0], row[1], "buy" if row[3] == "b" else "sell", None) for row in rows
    ]


def _iso_ns(text: str) -> int:
    second, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(second + "+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0"))


def _double_ns(text: str) -> int:
    second, _, fraction = text.partition(".")
    ns = int(second) * 10**9 + int(fraction.ljust(9, "0"))
    return ns if ns % 1000 else ns + 1


def _kraken_frames(symbols: dict[str, str]) -> Iterator[Excerpt]:
    path = "rest/error-payloads/payloads.jsonl"
    for number, line in enumerate((SHARED / path).read_text().splitlines(), start=1):
        told = json.loads(line)
        if told["exchange"] == "kraken-v2-ws":
            yield Excerpt(f"{path} line {number}", told["body"], kraken_frame(told["body"], symbols))
    for name in ("trade_update", "subscribe_response", "pong", "ticker_snapshot", "book_update", "ohlc_update"):
        path = f"ws/nautilus-adapters/kraken/ws_{name}.json"
        text = (SHARED / path).read_text().strip()
        yield Excerpt(path, text, kraken_frame(text, symbols))


def _kraken_pages(symbols: dict[str, str]) -> Iterator[Excerpt]:
    path, most = "ws/nautilus-adapters/kraken/http_trades.json", 6
    told: dict[str, Any] = json.loads((SHARED / path).read_text(), parse_float=_NUMBER.__add__)
    ((pair, rows),) = [item for item in told["result"].items() if item[0] != "last"]
    cut = {"error": [], "result": {pair: rows[:most], "last": told["result"]["last"]}}
    text = re.sub(f'"{_NUMBER}([^"]*)"', r"\1", json.dumps(cut, separators=(",", ":")))
    yield Excerpt(f"{path}, the first {most} of its rows", text, kraken_page(text, next(iter(symbols.values()))))


# ---- Bybit


def _bybit_row(symbol: str, row: dict[str, Any], names: str) -> list[Any]:
    uid, time, price, quantity, side = (row[name] for name in names.split())
    return [symbol, None, int(time) * 1_000_000, price, quantity, side.lower(), None, uid, None]


def _bybit_frames(symbols: dict[str, str]) -> Iterator[Excerpt]:
    folder, symbol = "ws/nautilus-adapters/bybit", next(iter(symbols.values()))
    told: dict[str, Any] = json.loads((SHARED / folder / "ws_public_trade.json").read_text())
    told["topic"] = f"publicTrade.{told['data'][0]['s']}"
    origin = f"{folder}/ws_public_trade.json, its topic as the v5 documents spell it"
    rows = [_bybit_row(symbol, row, "i T p v S") for row in told["data"]]
    yield Excerpt(origin, json.dumps(told, separators=(",", ":")), rows)
    second = {**told["data"][0], "i": "20f43950-d8dd-5b31-9112-a178eb6023af", "S": "Sell", "L": "MinusTick"}
    both = {**told, "data": [{**told["data"][0], "L": "PlusTick"}, second]}
    rows = [_bybit_row(symbol, row, "i T p v S") for row in both["data"]]
    yield Excerpt(f"{origin}, and a second trade", json.dumps(both, separators=(",", ":")), rows)
    for name in ("ws_subscription_ack", "ws_subscription_failure"):
        reply = json.loads((SHARED / folder / f"{name}.json").read_text())
        yield Excerpt(f"{folder}/{name}.json", json.dumps(reply, separators=(",", ":")), [])
    old = SHARED / "ws/cryptofeed/BYBIT.ws.26.0"
    for number, line in enumerate(old.read_text().splitlines(), start=1):
        text = line.partition(": ")[2]
        if text.startswith('{"topic":"trade.') and len(text) < 1000:
            yield Excerpt(f"ws/cryptofeed/BYBIT.ws.26.0 line {number}: the API of 2021, not ours", text, [])
            return


def _bybit_pages(symbols: dict[str, str]) -> Iterator[Excerpt]:
    path, symbol = "ws/nautilus-adapters/bybit/http_get_trades_recent.json", next(iter(symbols.values()))
    told: dict[str, Any] = json.loads((SHARED / path).read_text())
    rows = [_bybit_row(symbol, row, "execId time price size side") for row in reversed(told["result"]["list"])]
    yield Excerpt(path, json.dumps(told, separators=(",", ":")), rows)


# ---- Bitstamp


def bitstamp_frame(text: str, symbols: dict[str, str]) -> list[Row]:
    """Read a message of WebSocket v2."""
    told = json.loads(text)
    if told["event"] != "trade":
        return []
    row, pair = told["data"], told["channel"].removeprefix("live_trades_")
    ts_event, side = int(row["microtimestamp"]) * 1000, ("buy", "sell")[row["type"]]
    return [(symbols[pair], None, ts_event, row["price_str"], row["amount_str"], side, None, str(row["id"]), None)]


def _bitstamp_frames(symbols: dict[str, str]) -> Iterator[Excerpt]:
    path = "ws/cryptofeed/BITSTAMP.ws.1.0"
    kinds: dict[str, int] = {}
    for number, line in enumerate((SHARED / path).read_text().splitlines(), start=1):
        text = line.partition(": ")[2]
        if "wss://" in line.partition(": ")[0] or not text.startswith("{") or len(text) > 1000:
            continue
        told = json.loads(text)
        kind = f"{told['event']} {told['data'].get('type')}"
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= 3:
            yield Excerpt(f"{path} line {number}", text, bitstamp_frame(text, symbols))
    documents = "the documents of WebSocket v2"
    yield Excerpt(f"{documents}: heartbeat", '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}', [])
    yield Excerpt(f"{documents}: forced reconnection", '{"event":"bts:request_reconnect","channel":"","data":""}', [])
    error = '{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}'
    yield Excerpt(f"{documents}: errors", error, [])


def _bitstamp_pages(symbols: dict[str, str]) -> Iterator[Excerpt]:
    symbol = next(iter(symbols.values()))
    told = [
        {"date": "1641343709", "tid": "216000485", "amount": "3.23948640", "type": "1", "price": "3802.89"},
        {"date": "1641343699", "tid": "216000477", "amount": "0.07920000", "type": "0", "price": "3805.44"},
    ]
    rows: list[Row] = [
        (
            symbol,
            None,
            int(row["date"]) * 10**9,
            row["price"],
            row["amount"],
            ("buy", "sell")[int(row["type"])],
            None,
            row["tid"],
            None,
        )
        for row in reversed(told)
    ]
    yield Excerpt("the documents of the HTTP API: transactions, with captured trades", json.dumps(told), rows)


TABLE = {
    "bitstamp": Source({"ethusd": "ETH-USD"}, _bitstamp_frames, _bitstamp_pages),
    "binance": Source({"BTCUSDT": "BTC-USDT"}, _binance_frames, _binance_pages),
    "bybit": Source({"linear/BTCUSDT": "BTC-USDT-PERP"}, _bybit_frames, _bybit_pages),
    "kraken": Source({"BTC/USD": "BTC-USD"}, _kraken_frames, _kraken_pages),
}


def write(venue: str) -> None:
    """Write a venue's folder."""
    source, folder = TABLE[venue], FRAMES / venue
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "symbols.json").write_text(json.dumps(source.symbols, ensure_ascii=False) + "\n")
    for name, excerpts in (("frames", source.frames), ("pages", source.pages)):
        found = list(excerpts(source.symbols))
        given = [{"origin": each.origin, "text": each.text} for each in found]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in given))
        expected = "expected" if name == "frames" else "expected_pages"
        (folder / f"{expected}.jsonl").write_text("".join(json.dumps(each.trades) + "\n" for each in found))


if __name__ == "__main__":
    for each in TABLE:
        write(each)
