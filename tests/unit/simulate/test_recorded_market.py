"""Recordings play what was captured, in order of trade time, and bad files are one clear line."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest

from tests.support.builders.venue_thread import RECORDINGS, recorded
from trading_platform.domain.errors import RecordingError
from trading_platform.simulate.exchanges.binance_stream import trade_payload
from trading_platform.simulate.recorded_market import LONGEST_LINE, RecordedMarket
from trading_platform.simulate.tape import Print


def message(trade_id: int, time: int, *, symbol: str = "BTCUSDT", price: str = "61837.63000000", **more) -> str:
    event = {"e": "trade", "E": time + 1, "s": symbol, "t": trade_id, "p": price, "q": "0.02000000", "T": time}
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": event | more | {"m": True, "M": True}})


def hft(*messages: str) -> bytes:
    return b"".join(b"1723161254087896568 " + text.encode() + b"\n" for text in messages)


def cryptofeed(*messages: str) -> bytes:
    head = "wss://stream.binance.com:9443/stream?streams=btcusdt@trade <-> 1633998511.159679\n"
    sent = (
        'wss://stream.binance.com:9443/ws <- 1633998511.2: {"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}\n'
    )
    return (head + sent + "".join(f"1633998512.0633569: {text}\n" for text in messages)).encode()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def all_prints(market: RecordedMarket) -> list[Print]:
    return list(itertools.chain.from_iterable(market.blocks(market.start_ns)))


T0 = 1723161255342
FUTURES_TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,'
    '"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
FUTURES_DEPTH = (
    '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[]}}'
)


def test_the_recordings_hold_exactly_their_trades(shared_data):
    """Both files given in the wrong order play 19,904 trades with contiguous ids, as recorded byte for byte."""
    market = RecordedMarket.load([shared_data(name) for name in reversed(RECORDINGS)])
    rows = all_prints(market)
    assert [row.trade_id for row in rows] == list(range(3735683259, 3735703163))
    payloads = iter(rows)
    for name in RECORDINGS:
        with gzip.open(shared_data(name)) as lines:
            for line in lines:
                if b"@trade" in line:
                    assert trade_payload(next(payloads), combined=True, micros=False) == line.split(b" ", 1)[1].rstrip()
    assert next(payloads, None) is None
    assert [(x.symbol, x.price_step, x.quantity_step) for x in market.listings] == [
        ("BTC-USDT", "0.01000000", "0.00001000")
    ]


@pytest.mark.parametrize("form", [hft, cryptofeed])
@pytest.mark.parametrize("compressed", [True, False])
def test_both_forms_play_alike(tmp_path, form, compressed):
    """The hftbacktest form and the cryptofeed form, compressed or plain, give the same prints."""
    data = form(message(1, T0), '{"stream":"btcusdt@bookTicker","data":{"u":1}}', message(2, T0 + 5))
    path = write(tmp_path / ("a.gz" if compressed else "a.txt"), gzip.compress(data) if compressed else data)
    assert [(row.trade_id, row.time) for row in all_prints(RecordedMarket.load([path]))] == [(1, T0), (2, T0 + 5)]


def test_symbols_are_played_together_by_time_and_double_trades_once(tmp_path):
    """Several files give one tape in order of trade time; what two files hold is played once."""
    first = write(tmp_path / "a", hft(message(1, T0), message(2, T0 + 9), message(7, T0 + 4, symbol="ETHUSDT")))
    second = write(tmp_path / "b", hft(message(2, T0 + 9), message(3, T0 + 9)))
    rows = all_prints(RecordedMarket.load([second, first]))
    assert [(row.venue_symbol, row.trade_id) for row in rows] == [
        ("BTCUSDT", 1),
        ("ETHUSDT", 7),
        ("BTCUSDT", 2),
        ("BTCUSDT", 3),
    ]


def test_a_lower_id_is_never_issued_after_a_higher_one(tmp_path):
    """Where times fall while ids rise, ids win, and the trade keeps its own time."""
    rows = all_prints(RecordedMarket.load([write(tmp_path / "a", hft(message(1, T0 + 9), message(2, T0)))]))
    assert [(row.trade_id, row.time) for row in rows] == [(1, T0 + 9), (2, T0)]


def test_void_records_and_types_are_kept(tmp_path):
    """A price of zero and a type are served as they were recorded."""
    rows = all_prints(RecordedMarket.load([write(tmp_path / "a", hft(message(1, T0, price="0", X="NA")))]))
    assert (rows[0].price, rows[0].kind) == ("0", "NA")
    assert b'"p":"0"' in trade_payload(rows[0], combined=False, micros=False)
    assert b'"X":"NA"' in trade_payload(rows[0], combined=False, micros=False)


def test_a_loop_goes_on_with_ids_and_times(shared_data):
    """Repeating continues ids without a hole and times without a step back, by stream and by id."""
    market = recorded(shared_data, loop=True)
    once = len(market)
    rows = list(itertools.islice(itertools.chain.from_iterable(market.blocks(market.start_ns)), 2 * once + 10))
    assert [row.trade_id for row in rows] == list(range(rows[0].trade_id, rows[0].trade_id + len(rows)))
    assert all(a.due_ns <= b.due_ns for a, b in itertools.pairwise(rows))
    assert (rows[once].price, rows[once].quantity) == (rows[0].price, rows[0].quantity)
    span = rows[once].time - rows[0].time
    assert rows[once].event_time - rows[0].event_time == span
    name, edge = "BTCUSDT", rows[once].trade_id
    assert market.page(name, edge - 5, edge + 100, 10) == rows[once - 5 : once + 5]
    assert market.newest(name, edge + 3, 10) == rows[once - 6 : once + 4]
    assert market.head_at(name, rows[once].due_ns - 1) == edge - 1
    assert next(market.blocks(rows[once].due_ns))[0].trade_id == edge
    assert market.last_id(name) is None


def test_pages_stop_at_the_ends(shared_data):
    """Before the first and after the last trade there is nothing, and a head is never passed."""
    market = recorded(shared_data)
    first, last = 3735683259, 3735703162
    assert market.page("BTCUSDT", 0, last, 2)[0].trade_id == first
    assert market.page("BTCUSDT", last + 1, last + 5, 10) == []
    assert market.page("BTCUSDT", first, first + 1, 1000)[-1].trade_id == first + 1
    assert [row.trade_id for row in market.newest("BTCUSDT", first + 1, 10)] == [first, first + 1]
    assert market.head_at("BTCUSDT", market.start_ns - 1) is None


def squeeze(data: bytes) -> bytes:
    """Compressed without a clock in its header."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("cut.gz", squeeze(hft(message(1, T0)) * 50)[:-20], "truncated"),
        ("cut.gz", squeeze(hft(message(1, T0)))[:5], "truncated"),
        ("bad.gz", squeeze(hft(message(1, T0)))[:12] + b"\xff" * 40, "damaged gzip"),
        ("plain.gz", hft(message(1, T0)), "not gzip"),
        ("empty", b"", "no trades"),
        ("other.csv", b"id,price\n1,2\n", "no known form"),
        ("noise", bytes(range(256)), "no known form"),
        ("quotes", hft('{"stream":"btcusdt@bookTicker","data":{"u":1}}'), "no trades"),
        (
            "agg",
            hft('{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"1","q":"1","f":1,"l":1,"T":1}'),
            "1 aggregate trades",
        ),
        ("cut", hft(message(1, T0), message(2, T0))[:-30], "no whole trade"),
        ("cut", hft(message(1, T0), '{"stream":"btcusdt@bookTicker","data":{"u":1}}')[:-10], "truncated"),
        ("price", hft(message(1, T0, price="nan")), "no whole trade"),
        ("seconds", hft(message(1, T0 // 1000)), "no whole trade"),
        ("unknown", hft(message(1, T0, symbol="ABCDEF")), "quote asset"),
        ("futures", hft(FUTURES_TRADE), "line 1 is of a futures market"),
        ("futures", hft(FUTURES_DEPTH, FUTURES_TRADE), "line 1 is of a futures market"),
        (
            "futures",
            b"wss://dstream.binance.com/stream <-> 1633998511.159679\n" + hft(message(1, T0)),
            "futures market",
        ),
        ("line", b"1723161254087896568 " + b" " * LONGEST_LINE + b"\n", "a line of more than 32 MB"),
        ("bomb.gz", squeeze(hft(message(1, T0)) * 190_000), "more than 100 times its size"),
        ("epochs", hft(message(1, T0), message(2, T0 - 3_600_000)), "different numberings"),
    ],
)
def test_a_bad_recording_is_one_clear_line(tmp_path, name, data, says):
    """Truncated, not gzip, of no known form, without trades: refused in one line."""
    with pytest.raises(RecordingError) as caught:
        RecordedMarket.load([write(tmp_path / name, data)])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recording_is_named(tmp_path):
    """A file that is not there is named in the message."""
    with pytest.raises(RecordingError, match=r"nowhere\.gz"):
        RecordedMarket.load([tmp_path / "nowhere.gz"])


def test_real_recordings_without_trades_say_so(shared_data):
    """The cryptofeed capture of Binance holds aggregate trades only, and another venue's holds none."""
    with pytest.raises(RecordingError, match="aggregate trades"):
        RecordedMarket.load([shared_data("ws/cryptofeed/BINANCE.ws.1.0")])
    with pytest.raises(RecordingError, match="no trades"):
        RecordedMarket.load([shared_data("ws/cryptofeed/OKX.ws.1.0")])


def test_a_real_capture_of_futures_is_refused(shared_data):
    """Its symbols are spelt like spot symbols; stored as such they would be another market's trades."""
    with pytest.raises(RecordingError, match="futures market"):
        RecordedMarket.load([shared_data("trades/hftbacktest/usdm/btcusdt_20240808.gz")])
    with pytest.raises(RecordingError, match="futures market"):
        RecordedMarket.load([shared_data("ws/cryptofeed/BINANCE_DELIVERY.ws.1.0")])
