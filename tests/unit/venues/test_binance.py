"""Binance spot: the cases its documents and captures name, one by one."""

from __future__ import annotations

import json

import pytest

from tests.support.builders import frame_excerpts
from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.domain.trades.trade import Trade
from trading_platform.simulate.recorded_market import canonical_symbol
from trading_platform.venues.adapter import StreamPlan
from trading_platform.venues.answers import Answer, Request
from trading_platform.venues.binance import Binance, timestamp_ns
from trading_platform.venues.history import Missing

SYMBOLS = {"BTCUSDT": "BTC-USDT"}
EVENT = {
    "e": "trade", "E": 1723161255343, "s": "BTCUSDT", "t": 7, "p": "61837.63000000", "q": "0.02000000",
    "T": 1723161255342, "m": True, "M": True,
}  # fmt: skip

venue = Binance()


def frame(*, combined: bool = True, stream: str = "btcusdt@trade", **changes) -> bytes:
    event = {key: value for key, value in (EVENT | changes).items() if value is not ...}
    return json.dumps({"stream": stream, "data": event} if combined else event).encode()


EVENT_ROW = json.dumps(EVENT, separators=(",", ":")).encode()


@pytest.mark.parametrize("combined", [True, False])
@pytest.mark.parametrize(("maker", "side"), [(True, "sell"), (False, "buy")])
def test_the_side_is_the_takers(combined, maker, side):
    """A buyer that was the maker means that the taker sold."""
    assert venue.decode_frame(frame(combined=combined, m=maker), SYMBOLS)[0].side == side


def test_literals_stay_as_they_were_printed():
    """Price and quantity keep every digit of the venue's text."""
    (trade,) = venue.decode_frame(frame(p="0.00001000", q="12345678901.123456789"), SYMBOLS)
    assert (trade.price, trade.quantity) == ("0.00001000", "12345678901.123456789")


@pytest.mark.parametrize(
    ("time", "ns"), [(1723161255342, 1723161255342 * 10**6), (1723161255342123, 1723161255342123000)]
)
def test_ms_and_us_are_told_apart(time, ns):
    """A time in ms and one in µs both become ns."""
    assert venue.decode_frame(frame(T=time), SYMBOLS)[0].ts_event == ns


@pytest.mark.parametrize("time", [1723161255, 1723161255342123456, 0, -1723161255342, 1451606399999, 4102444800000])
def test_a_time_of_another_unit_is_refused(time):
    """Seconds, ns and anything before 2016 or from 2100 on are no trade times."""
    with pytest.raises(FrameError, match="time"):
        venue.decode_frame(frame(T=time), SYMBOLS)
    with pytest.raises(FrameError):
        timestamp_ns(time)


@pytest.mark.parametrize(
    ("changes", "void"),
    [
        ({"p": "0"}, "price 0"),
        ({"p": "0.00000000"}, "price 0"),
        ({"p": "0e5"}, "price 0"),
        ({"p": "0.00000001"}, None),
        ({"X": "MARKET"}, None),
        ({"X": "INSURANCE_FUND"}, "type INSURANCE_FUND"),
        ({"X": "NA", "p": "0"}, "type NA"),
    ],
)
def test_an_id_without_a_trade_is_void(changes, void):
    """A price of zero or a type that is not MARKET uses the id up and says why."""
    (trade,) = venue.decode_frame(frame(**changes), SYMBOLS)
    assert (trade.trade_id, trade.void) == (7, void)


@pytest.mark.parametrize(
    "message",
    [
        b'{"result":null,"id":1}',
        b'{"result":["btcusdt@aggTrade"],"id":3}',
        b'{"code":2,"msg":"Invalid request: too many parameters","id":1}',
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}',
        b'{"lastUpdateId":1,"bids":[],"asks":[]}',
        b'{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1}}',
        b'{"e":"trade_all","E":1,"s":"BTCUSDT_C","t":[{"t":"315"}]}',
        b'{"e":"blockTrade","E":1772506983582,"s":"BTCUSDT","t":582,"p":"0.052","q":"58","T":1772506983321,"m":true}',
        b'{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker"}]}',
        b'[{"e":"24hrMiniTicker"}]',
        b'{"stream":"ethusdt@trade","data":{"e":"trade","E":1,"s":"ETHUSDT","t":1,"p":"x","q":"1","T":1,"m":true}}',
        frame(stream="btcusdt@aggTrade", e="aggTrade", a=1, f=7, l=7),
    ],
)
def test_what_is_no_trade_is_ignored(message):
    """Acknowledgements, announcements and events of other kinds hold no trade and are no error."""
    assert venue.decode_frame(message, SYMBOLS) == []


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", "json"),
        (b"not json", "json"),
        (frame() + b"x", "json"),
        (b'{"a":' + b"[" * 100_000, "json"),
        (b"7", "shape"),
        (b"null", "shape"),
        (frame(t=...), "shape"),
        (frame(t="7"), "shape"),
        (frame(t=7.0), "shape"),
        (frame(t=-1), "shape"),
        (frame(t=1 << 63), "shape"),
        (frame(p=61837.63), "shape"),
        (frame(m="true"), "shape"),
        (frame(p="NaN"), "number"),
        (frame(p="-1"), "number"),
        (frame(p="1_000"), "number"),
        (frame(q="1e99"), "number"),
        (frame(q=""), "number"),
        (frame(q="٣"), "number"),
        (frame(stream="ethusdt@trade"), "stream"),
        (frame(e="aggTrade", t=...), "shape"),
        (frame(combined=False, T=None), "shape"),
        (b'{"stream":"btcusdt@trade"}', "shape"),
        (frame(e="aggTrade"), "shape"),
        (frame(stream="btcusdt@trade", s="BTCUsDT"), "stream"),
        (EVENT_ROW[:-1] + b',"note":"\\ud800"}', "json"),
        (b"[" + EVENT_ROW + b"]", "shape"),
        (b'{"name":"btcusdt@trade","payload":' + EVENT_ROW + b"}", "shape"),
        (b'{"stream":"btcusdt@trade","data":null}', "shape"),
    ],
)
def test_a_broken_trade_is_a_frame_error(message, kind):
    """Whatever claims to be a trade and is none is refused with a kind."""
    with pytest.raises(FrameError) as caught:
        venue.decode_frame(message, SYMBOLS)
    assert caught.value.kind == kind


def test_new_fields_are_ignored():
    """A field that the venue adds tomorrow changes nothing."""
    assert venue.decode_frame(frame(nq="1", st=1, b=2, a=3), SYMBOLS) == venue.decode_frame(frame(), SYMBOLS)


def test_recorded_pages_decode(shared_data):
    """Pages of historicalTrades, trades and aggTrades, recorded from the venue, decode row by row."""
    routes = json.loads(shared_data("rest/gocryptotrader/binance/http_public.json").read_text())["routes"]
    for path in ("/api/v3/historicalTrades", "/api/v3/trades"):
        for page in routes[path]["GET"]:
            trades = venue.history.read(json.dumps(page["data"]).encode(), "BTC-USDT").trades
            rows = page["data"]
            assert [t.trade_id for t in trades] == sorted(row["id"] for row in rows)
            by_id = {row["id"]: row for row in rows}
            for trade in trades:
                row = by_id[trade.trade_id]
                assert trade.side == ("sell" if row["isBuyerMaker"] else "buy")
                assert (trade.price, trade.quantity) == (row["price"], row["qty"])
                assert trade.ts_event == row["time"] * 10**6
    (full,) = [p["data"] for p in routes["/api/v3/aggTrades"]["GET"] if len(p["data"]) == 1000]
    single = [row for row in full if row["f"] == row["l"]]
    trades = venue.history.read(json.dumps(single).encode(), "BTC-USDT").trades
    assert [t.trade_id for t in trades] == [row["f"] for row in single]
    assert len(single) > 500


def test_an_aggregate_of_several_trades_is_refused():
    """What stands for several trades does not tell their sizes, so it gives none."""
    body = b'[{"a":1,"p":"1","q":"1","f":10,"l":12,"T":1498793709153,"m":true,"M":true}]'
    with pytest.raises(FrameError, match="aggregate: record 1 stands for trades 10 to 12"):
        venue.history.read(body, "BTC-USDT")


def test_a_page_is_given_in_order_of_ids():
    """Rows come ascending by id, however the venue sorted them; an empty page is empty."""
    rows = [{"id": n, "price": "1", "qty": "1", "time": 1499865549590, "isBuyerMaker": False} for n in (3, 1, 2)]
    assert [t.trade_id for t in venue.history.read(json.dumps(rows).encode(), "BTC-USDT").trades] == [1, 2, 3]
    assert venue.history.read(b"[]", "BTC-USDT").trades == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"code":-1121,"msg":"Invalid symbol."}', "venue"),
        (b"<html><body>Service Temporarily Unavailable</body></html>", "json"),
        (b"{}", "shape"),
        (b"null", "shape"),
        (b'[{"id":1},7]', "shape"),
        (b"[[]]", "shape"),
        (b'[{"id":1}', "json"),
    ],
)
def test_a_page_that_is_none_is_a_frame_error(body, kind):
    """An error, a web page or an array of anything but objects in place of trades is never an empty page."""
    with pytest.raises(FrameError) as caught:
        venue.history.read(body, "BTC-USDT")
    assert caught.value.kind == kind


def row(number, **changes):
    """Return a row of a page as the venue writes it."""
    told = {"id": number, "price": "1.5", "qty": "2", "time": 1499865549590, "isBuyerMaker": False} | changes
    return json.dumps({key: value for key, value in told.items() if value is not ...}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("bad", "kind", "trade_id"),
    [
        (row(2, price="NaN"), "number", 2),
        (row(2, price=1.5), "shape", 2),
        (row(2, price=..., px="1.5"), "shape", 2),
        (row(2, time=1499865549), "time", 2),
        (row(2, isBuyerMaker="no"), "shape", 2),
        (row("2"), "shape", 2),
        (row(2.0), "shape", None),
        (row(True), "shape", None),
        (row(None), "shape", None),
        (row(1 << 63), "shape", None),
        (row(-2), "shape", None),
        (row(..., ID=2), "shape", None),
        (b'{"id":2,' + row(2)[1:], "shape", None),
        (b'{"\\u0069d":2,' + row(2)[1:], "shape", None),
        (b'{"note":"\xff",' + row(2)[1:], "json", None),
    ],
)
def test_a_bad_row_leaves_the_others_alone(bad, kind, trade_id):
    """A row that is no trade is told with its bytes and its id, if that can be read; its neighbours are kept."""
    page = venue.history.read(b"[" + b",".join([row(1), bad, row(3)]) + b"]", "BTC-USDT")
    assert [trade.trade_id for trade in page.trades] == [1, 3]
    (refused,) = page.refused
    assert (refused.raw, refused.error.kind, refused.trade_id) == (bad, kind, trade_id)
    assert page.placed(1).refused[0].trade_id == 2
    assert page.newest() == 3


def test_rows_without_an_id_are_told_by_their_place_only_if_it_is_certain():
    """At either end of a page the row before or the id asked for tells; between rows only a hole of the same size."""
    nameless = row(..., price="1")

    def ids(*rows, asked):
        page = venue.history.read(b"[" + b",".join(rows) + b"]", "BTC-USDT").placed(asked)
        return [refused.trade_id for refused in page.refused]

    assert ids(nameless, row(6), asked=5) == [5]
    assert ids(nameless, row(7), asked=5) == [None]
    assert ids(row(5), nameless, nameless, row(8), nameless, asked=5) == [6, 7, 9]
    assert ids(row(5), nameless, row(8), asked=5) == [None]
    assert ids(nameless, nameless, asked=5) == [5, 6]


def test_a_frame_that_says_a_thing_twice_is_refused():
    """Two ids in one trade, however the names are spelt, and bytes that are no text: nobody knows what was meant."""
    for cut in (b'"t":7', b'"\\u0074":7', b'"s" :"BTCUSDT"', b'"note":"\xff"'):
        for combined in (True, False):
            whole = frame(combined=combined)
            broken = whole.replace(b'"e": "trade"', b'"e": "trade",' + cut)
            assert broken != whole
            with pytest.raises(FrameError):
                venue.decode_frame(broken, SYMBOLS)
    nested = frame().replace(b'"e": "trade"', b'"e": "trade","note":{"t":1,"p":[{"t":2}]}')
    assert venue.decode_frame(nested, SYMBOLS) == venue.decode_frame(frame(), SYMBOLS)


def test_recorded_exchange_info_decodes(shared_data):
    """Each recorded listing has its canonical name and its steps."""
    routes = json.loads(shared_data("rest/gocryptotrader/binance/http_public.json").read_text())["routes"]
    info = routes["/api/v3/exchangeInfo"]["GET"][0]["data"]
    found = venue.decode_instruments(json.dumps(info).encode())
    assert len(found) == len(info["symbols"])
    (one,) = [i for i in found if i.venue_symbol == "ETHBTC"]
    assert one == ("binance", "ETH-BTC", "ETHBTC", "spot", "ETH", "BTC", "0.00001000", "0.00010000", "TRADING")


def test_a_listing_without_a_canonical_name_is_left_out():
    """Assets that are no letters and digits, and spellings that could change an address, are not listed."""

    def row(name, base, quote, status="TRADING"):
        return {"symbol": name, "status": status, "baseAsset": base, "quoteAsset": quote}

    rows = [
        row("币安 人生USDT", "币安 人生", "USDT"),
        row("币安\u200bUSDT", "币安\u200b", "USDT"),
        row("A&B", "A", "B"),
        row("XBTEUR", "XBT", "EUR"),
        row("BTCEUR", "BTC", "EUR", "BREAK"),
    ]
    found = venue.decode_instruments(json.dumps({"symbols": rows}).encode())
    assert [(i.symbol, i.venue_symbol, i.price_step) for i in found] == [("BTC-EUR", "XBTEUR", None)]


def test_listings_of_any_script_have_their_canonical_name():
    """Letters and digits of any script are names; the stream is asked for in small letters, percent-encoded."""
    rows = [
        {"symbol": name + "USDT", "status": "TRADING", "baseAsset": name, "quoteAsset": "USDT"}
        for name in ("币安人生", "E\u0301", "ǆ", "ß", "ı")
    ]
    for body in (json.dumps({"symbols": rows}), json.dumps({"symbols": rows}, ensure_ascii=False)):
        found = venue.decode_instruments(body.encode())
        assert [i.symbol for i in found] == ["币安人生-USDT", "É-USDT", "Ǆ-USDT", "ß-USDT", "ı-USDT"]
        assert [i.venue_symbol for i in found] == [row["symbol"] for row in rows]
    assert venue.venue_symbol("币安人生-USDT") == "币安人生USDT"
    assert (
        venue.connect("ws://h:1", ["币安USDT", "BTCUSDT"]).url
        == "ws://h:1/stream?streams=%E5%B8%81%E5%AE%89usdt@trade/btcusdt@trade"
    )
    assert canonical_symbol("币安人生USDT") == "币安人生-USDT"


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "UTF-8"])
def test_a_frame_of_any_script_is_a_trade(ascii_only):
    """Written in UTF-8 or with \\u escapes, combined or bare, it is the same trade, and peeked at alike."""
    data = {"e": "trade", "E": 1, "s": "币安人生USDT", "t": 9, "p": "1.5", "q": "2", "T": 1672515782136, "m": True}
    combined = {"stream": "币安人生usdt@trade", "data": data}
    for message in (data, combined):
        written = json.dumps(message, ensure_ascii=ascii_only, separators=(",", ":")).encode()
        (trade,) = venue.decode_frame(written, {"币安人生USDT": "币安人生-USDT"})
        assert (trade.symbol, trade.trade_id, trade.side) == ("币安人生-USDT", 9, "sell")
        assert venue.peek(written) == [("币安人生USDT", 9)]
    other = json.dumps(combined | {"stream": "币安usdt@trade"}, ensure_ascii=ascii_only).encode()
    with pytest.raises(FrameError, match="stream"):
        venue.decode_frame(other, {"币安人生USDT": "币安人生-USDT"})


def test_requests_are_those_of_the_documents():
    """Paths, parameters and weights are the documented ones, and no request needs a key."""
    assert venue.history.request("BTCUSDT", venue.history.from_ids(Missing(17, 5016))) == Request(
        "/api/v3/historicalTrades", (("symbol", "BTCUSDT"), ("fromId", "17"), ("limit", "1000")), {"weight": 25}
    )
    assert venue.history.newest("BTCUSDT") == Request(
        "/api/v3/historicalTrades", (("symbol", "BTCUSDT"), ("limit", "1")), {"weight": 25}
    )
    assert venue.instruments_request() == Request("/api/v3/exchangeInfo", (), {"weight": 20})
    assert venue.connect("ws://h:1/", ["BTCUSDT"]) == StreamPlan("ws://h:1/stream?streams=btcusdt@trade")


@pytest.mark.parametrize(
    ("headers", "weight"), [({"x-mbx-used-weight-1m": "25"}, 25), ({}, None), ({"x-mbx-used-weight-1m": "x"}, None)]
)
def test_the_used_weight_is_read_from_the_header(headers, weight):
    """The weight that everyone at this address used is what the header says, if it says anything."""
    assert venue.judge(Answer(200, headers)).used.get("weight") == weight


def test_symbols_are_spelt_both_ways():
    """A canonical spot symbol becomes the venue's spelling and, with a known quote, comes back."""
    for symbol in ("BTC-USDT", "ETH-BTC", "SOL-FDUSD", "1000SATS-USDC"):
        assert canonical_symbol(venue.venue_symbol(symbol)) == symbol
    with pytest.raises(SymbolError):
        venue.venue_symbol("BTC-USDT-PERP")
    with pytest.raises(SymbolError):
        canonical_symbol("USDT")


@pytest.mark.parametrize(
    "path",
    [
        "trades/hftbacktest/spot/btcusdt_20240808.gz",
        "trades/hftbacktest/spot/btcusdt_20240809.gz",
        "trades/hftbacktest/usdm/btcusdt_20240808.gz",
    ],
)
def test_whole_recordings_decode_as_a_twin_reads_them(path, shared_data):
    """Each recorded frame gives exactly the trade that plain json finds in it, and none where it finds none."""
    shared_data(path)
    found = 0
    for text in frame_excerpts.binance_lines(path):
        expected = [Trade(*row) for row in frame_excerpts.binance_frame(text, {"BTCUSDT": "BTC-USDT"})]
        assert Binance().decode_frame(text.encode(), {"BTCUSDT": "BTC-USDT"}) == expected
        found += len(expected)
    assert found > 9_000
