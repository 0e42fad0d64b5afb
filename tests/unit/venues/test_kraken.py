"""Kraken spot: the cases its documents and captures name, one by one."""

from __future__ import annotations

import json

import pytest

from trading_platform.domain.errors import FrameError, SymbolError
from trading_platform.venues.answers import Answer
from trading_platform.venues.history import Asked, Cursor, Missing
from trading_platform.venues.kraken import Kraken
from trading_platform.venues.kraken.wire import rest_ns

SYMBOLS = {"BTC/USD": "BTC-USD", "ETH/USD": "ETH-USD"}
ROW = '"symbol":"{}","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":{},"timestamp":"{}"'
AT = "2026-09-25T17:48:26.844359Z"
venue = Kraken()


def frame(*rows: str, kind: str = "update") -> bytes:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(f"{{{row}}}" for row in rows)}]}}'.encode()


def row(symbol: str = "BTC/USD", number: int = 7, at: str = AT) -> str:
    return ROW.format(symbol, number, at)


def page(*rows: tuple[object, ...], last: int = 1) -> bytes:
    return json.dumps({"error": [], "result": {"XXBTZUSD": rows, "last": str(last)}}).encode()


def trade(number: int, at: float = 1_762_795_433.9717445) -> tuple[object, ...]:
    return ("105433.60000", "0.00027625", at, "b", "l", "", number)


def test_a_frame_may_hold_trades_of_several_moments_and_a_snapshot_is_one_too():
    """Each row is a trade; those of symbols that were not asked for are left out."""
    rows = frame(row(number=7), row("SOL/USD", 8), row("ETH/USD", 9), kind="snapshot")
    assert [(found.symbol, found.trade_id) for found in venue.decode_frame(rows, SYMBOLS)] == [
        ("BTC-USD", 7),
        ("ETH-USD", 9),
    ]


@pytest.mark.parametrize("text", ["83744.30", "83744.123456789012345678", "0.00000001", "1e-8", "5"])
def test_numbers_keep_the_digits_that_were_sent(text):
    """They are JSON numbers, and never pass through a float."""
    (found,) = venue.decode_frame(frame(row().replace("83744.3", text)), SYMBOLS)
    assert found.price == text


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("83744.3", '"83744.3"', "number"),
        ("83744.3", "-1", "number"),
        ("83744.3", "null", "number"),
        ("83744.3", "NaN", "json"),
        ('"buy"', '"Buy"', "shape"),
        ("7,", "7.0,", "shape"),
        ("7,", "-7,", "shape"),
        ("7,", '7,"trade_id":8,', "shape"),
        (AT, "2026-09-25T17:48:26.844359", "time"),
        (AT, "2026-09-31T17:48:26.844359Z", "time"),
        (AT, "1970-01-01T00:00:00Z", "time"),
        ("BTC/USD", "btc/usd", "stream"),
        ('"side":"buy",', "", "shape"),
    ],
)
def test_a_trade_that_is_not_sound_is_refused(old, new, kind):
    """Nothing is guessed: neither another type, nor another case, nor which of two ids is meant."""
    with pytest.raises(FrameError) as refused:
        venue.decode_frame(frame(row()).replace(old.encode(), new.encode(), 1), SYMBOLS)
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("text", "kind", "passing"),
    [
        ('{"channel":"heartbeat"}', "heartbeat", False),
        ('{"method":"pong","time_in":"x"}', "heartbeat", False),
        ('{"channel":"status","type":"update","data":[{"system":"online"}]}', "other", False),
        ('{"channel":"status","type":"update","data":[{"system":"maintenance"}]}', "farewell", False),
        ('{"method":"subscribe","error":"Already subscribed","symbol":"X/Y","success":false}', "ack", False),
        ('{"method":"subscribe","error":"EGeneral:Too many requests","success":false}', "nack", True),
        ('{"method":"subscribe","error":"Currency pair not supported X/Y","success":false}', "nack", False),
        ('{"method":"subscribe","result":{"channel":"book","symbol":"X/Y"},"success":true}', "other", False),
        ('{"method":"unsubscribe","success":true}', "other", False),
        ("[]", "other", False),
    ],
)
def test_what_the_venue_says_beside_trades(text, kind, passing):
    """Only what concerns subscriptions and the connection's end is anything."""
    found = venue.classify(text.encode())
    assert (found.kind, found.passing) == (kind, passing)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("EGeneral:Too many requests", "rate_limited"),
        ("EAPI:Rate limit exceeded", "rate_limited"),
        ("EGeneral:Temporary lockout", "banned"),
        ("EService:Unavailable", "retry"),
        ("EService:Busy", "retry"),
        ("EGeneral:Internal error", "retry"),
        ("EQuery:Unknown asset pair", "refused"),
        ("EGeneral:Invalid arguments:count", "refused"),
        ("ESomething:New", "retry"),
    ],
)
def test_an_error_inside_a_200_is_no_answer(error, kind):
    """What may pass is asked again; only what is about the request ends it."""
    verdict = venue.judge(Answer(200, body=json.dumps({"error": [error]}).encode(), retry_after_s=7.0))
    assert (verdict.kind, verdict.reason, verdict.retry_after_s) == (kind, error, 7.0)


def test_a_page_of_html_and_a_warning():
    """Maintenance comes as a page and passes; a warning stands beside an answer."""
    assert venue.judge(Answer(200, body=b"<html>")).kind == "retry"
    assert venue.judge(Answer(200, body=b'{"error":["WGeneral:Deprecated"],"result":{}}')).kind == "ok"
    assert venue.judge(Answer(429, body=b"error code: 1015")).kind == "rate_limited"


def test_listed_pairs_get_canonical_names(shared_data):
    """XBT and XDG are BTC and DOGE, in the venue's other spelling too; what has no v2 name is left out."""
    body = shared_data("ws/nautilus-adapters/kraken/http_asset_pairs.json").read_bytes()
    (found,) = venue.decode_instruments(body)
    assert found == ("kraken", "BTC-USDT", "BTC/USDT", "spot", "BTC", "USDT", "0.1", "0.00000001", "online")
    told = {"result": {"XDGUSD": {"wsname": "XDG/USD", "status": "online"}, "ETHEUR.d": {"altname": "ETHEUR.d"}}}
    (found,) = venue.decode_instruments(json.dumps(told).encode())
    assert (found.symbol, found.venue_symbol, found.price_step) == ("DOGE-USD", "DOGE/USD", None)


def test_a_perpetual_is_no_symbol_of_the_spot_market():
    """It would be another exchange of theirs."""
    with pytest.raises(SymbolError):
        venue.venue_symbol("BTC-USD-PERP")


def test_a_page_covers_what_lies_between_its_rows_and_what_was_asked():
    """Ids rise with time: a page that began before the missing ids lists all that there are."""
    history = venue.history
    asked = history.from_ids(Missing(6, 9, held_before=True, after_ns=1_762_795_433_000_000_000))
    assert (asked.from_id, asked.to_id, asked.cursor) == (5, 9, "1762795432997000000")
    found = history.read(page(trade(4), trade(5), trade(8)), "BTC-USD", asked)
    assert (found.covers, found.ends, found.then) == ((4, 9), True, None)
    assert history.from_ids(Missing(6, 9)) is None


def test_a_full_page_goes_on_with_the_instant_in_which_it_ended():
    """The next page has the rest of that instant, and again what was there of it."""
    history, end_ns = venue.history, 1_762_795_434_000_000_123
    rows = [trade(number) for number in range(history.page_limit)]
    asked = Asked(Cursor("1762795432997000000"), 1, 5000)
    found = history.read(page(*rows, last=end_ns), "BTC-USD", asked)
    assert (found.covers, found.ends) == ((0, 999), False)
    assert found.then == Asked(Cursor(str(end_ns - 1)), 999, 5000)
    again = history.read(page(*rows, last=end_ns), "BTC-USD", found.then)
    assert again.then == Asked(Cursor(str(end_ns)), 999, 5000)  # more than a page in one instant: past it
    assert history.read(page(*rows, last=end_ns), "BTC-USD", again.then).then is None


def test_a_page_that_goes_on_says_nothing_of_the_pages_before_it():
    """It begins later than what was missing, because a page before it had that: nothing was forgotten."""
    history = venue.history
    on = history.read(
        page(*map(trade, range(1000)), last=1_762_795_434_000_000_123), "BTC-USD", Asked(Cursor("1"), 1, 5000)
    ).then
    assert history.read(page(trade(999), trade(1002)), "BTC-USD", on).covers == (999, 5000)


def test_an_empty_page_proves_nothing():
    """A pair that is said to have had no trade since ids were told: that is never so."""
    asked = venue.history.from_ids(Missing(6, 9, after_ns=1_762_795_433_000_000_000))
    assert venue.history.read(page(), "BTC-USD", asked).covers is None


def test_a_row_that_is_no_trade_leaves_the_others_readable(shared_data):
    """Rows of before 2022 have no id, and a broken one is named by its own."""
    broken = ("x", "1", 1_762_795_433.5, "b", "l", "", 8)
    found = venue.history.read(page(trade(7), broken, trade(9)), "BTC-USD")
    assert [kept.trade_id for kept in found.trades] == [7, 9]
    assert [(row.trade_id, row.error.kind) for row in found.refused] == [(8, "number")]
    old = shared_data("rest/xchange/xchange-kraken/marketdata/example-trades-data.json").read_bytes()
    found = venue.history.read(old, "BTC-USD")
    assert found.trades == []
    assert {(row.trade_id, row.error.kind) for row in found.refused} == {(None, "shape")}


def test_a_recorded_page_of_a_thousand(shared_data):
    """Its ids are contiguous, its times never whole microseconds, and `last` is the time of its last row."""
    body = shared_data("ws/nautilus-adapters/kraken/http_trades.json").read_bytes()
    asked = Asked(Cursor("0"), 1, 10**9)
    found = venue.history.read(body, "BTC-USDT", asked)
    ids = [kept.trade_id for kept in found.trades]
    assert ids == list(range(10218208, 10218208 + 1000))
    assert all(kept.ts_event % 1000 for kept in found.trades)
    last_ns = int(json.loads(body)["result"]["last"])
    assert abs(found.trades[-1].ts_event - last_ns) <= 300
    assert found.then == Asked(Cursor(str(last_ns - 1)), ids[-1], 10**9)


@pytest.mark.parametrize("text", [b"1762795433.", b'"1762795433.5"', b"1.7627954335e9", b"-1", b"0", b"99999999999"])
def test_a_time_that_is_none_is_refused(text):
    """Seconds between 2016 and 2100, as the venue prints them."""
    with pytest.raises(FrameError, match="time"):
        rest_ns(text)
