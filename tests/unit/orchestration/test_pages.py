"""Our own pages only read: each address gives its page, none leads outside its folder, and the feed tells changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.support.builders.lakes import SYMBOL, VENUE, Market, made_up
from trading_platform.completeness.open_ends import Concern
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import WorkError
from trading_platform.orchestration.guard import Guard
from trading_platform.orchestration.pages.application import Pages, beside
from trading_platform.orchestration.pages.feed import Feed, Row
from trading_platform.orchestration.pages.navigation import LINKS
from trading_platform.pipeline.live_market import LastTrade, LiveMarket, SymbolMarket
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger

NOW = day_start("2024-08-10") + 3600 * 10**9


async def _dagster(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"dagster {scope['path']}".encode()})


class Site:
    """The pages of a data directory, asked the way a browser does, behind the guard and beside a Dagster."""

    def __init__(self, data: DataDir) -> None:
        self.data = data
        pages = Pages(data, clock=(lambda: NOW, lambda: 0.0))
        self._application = Guard(beside(pages.application, _dagster))

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(answer())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    market = Market.open(tmp_path / "data")
    market.ledger.mark_kind("simulated")
    market.hold(made_up("2024-08-08", 2, 200).without(1100, 1101), tail="open", tail_ns=NOW - 3600 * 10**9)
    market.ledger.close()
    return Site(market.data)


def test_every_address_of_the_bar_gives_a_page_with_the_bar(site):
    """Each link of the bar leads to a page, ours with the same bar, Dagster's untouched."""
    for _, address in LINKS:
        answer = site.ask(address)
        assert answer.status_code == 200
        if address == "/":
            assert answer.text == "dagster /"
        else:
            assert all(f'href="{other}"' in answer.text for _, other in LINKS)
            assert 'aria-current="page"' in answer.text
    assert site.ask("/platform").text == site.ask("/platform/").text
    assert site.ask("/platforms").text == "dagster /platforms"


def test_the_status_tells_what_the_ledger_tells(site):
    """Held, open and lost trades, the newest day and since when nothing is known stand on the page."""
    text = site.ask("/platform/").text
    assert "<span>BTC-USDT</span> binance" in text and ">398<" in text
    assert '<td class="low">2</td>' in text
    assert "not known since 2024-08-10 00:00:00 UTC (60 min)" in text


def test_an_unused_data_directory_has_pages_and_gets_no_ledger(tmp_path):
    """Looking at what was never recorded creates nothing."""
    site = Site(DataDir(tmp_path / "never"))
    for address in ("/platform/", "/platform/live", "/platform/report", "/platform/dbt/", "/platform/data-docs/"):
        assert site.ask(address).status_code == 200
    assert "Nothing is recorded yet" in site.ask("/platform/").text
    assert not (tmp_path / "never").exists()


def test_reports_are_found_by_day(site):
    """The newest report, one of a day, their list; no page for a day without one, or for what is no day."""
    site.data.reports.mkdir()
    for day in ("2024-08-08", "2024-08-09"):
        (site.data.reports / f"{day}.html").write_text(f"report of {day}")
    (site.data.reports / "notes.html").write_text("not a report")
    assert site.ask("/platform/report").text == "report of 2024-08-09"
    assert site.ask("/platform/report/2024-08-08").text == "report of 2024-08-08"
    listed = site.ask("/platform/report/all").text
    assert listed.index("/report/2024-08-09") < listed.index("/report/2024-08-08") and "/report/notes" not in listed
    for wrong in ("2024-08-07", "notes", "2024-13-01", "..%2F..%2Fledger.sqlite", "2024-08-08.html"):
        assert site.ask(f"/platform/report/{wrong}").status_code == 404


@pytest.mark.parametrize("name", ["dbt", "data-docs"])
def test_generated_sites_are_served_from_their_folder_alone(site, tmp_path, name):
    """Files of the folder are given, pages with our bar; nothing outside is, by dots or by a link."""
    folder = site.data.root / {"dbt": "dbt-docs"}.get(name, name)
    assert "not" in site.ask(f"/platform/{name}/").text  # says that it is not made yet
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("<html><BODY class='x'>the site</body></html>")
    (folder / "sub" / "data.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert site.ask(f"/platform/{name}").headers["location"] == f"/platform/{name}/"
    page = site.ask(f"/platform/{name}/").text
    assert page.index("<BODY") < page.index("Live market") < page.index("the site")
    assert site.ask(f"/platform/{name}/sub/data.json").text == "{}"
    for path in (
        "../ledger.sqlite",
        "%2e%2e/ledger.sqlite",
        "..%2fledger.sqlite",
        "link",
        "sub",
        "none",
        "%00",
        "/etc/passwd",
    ):
        answer = site.ask(f"/platform/{name}/{path}")
        assert answer.status_code in {307, 404} and "secret" not in answer.text, path
        assert "SQLite" not in answer.text and "root:" not in answer.text


def test_the_pages_cannot_be_asked_to_change_anything(site):
    """Only GET and HEAD are answered; a foreign host or page gets nothing, as of Dagster."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = site.ask("/platform/", method, **{"Content-Type": "application/json"})
        assert answer.status_code == 405
    assert site.ask("/platform/", "HEAD").status_code == 200
    assert site.ask("/platform/", Host="evil.example").status_code == 403
    assert site.ask("/platform/feed", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_pages_may_load_only_what_is_theirs(site):
    """Our pages run no script but the one of the live market, and generated sites none that asks Dagster."""
    own = site.ask("/platform/live").headers["content-security-policy"]
    assert "script-src 'self'" in own and "default-src 'none'" in own and "frame-ancestors 'none'" in own
    (site.data.root / "data-docs").mkdir()
    (site.data.root / "data-docs" / "index.html").write_text("<body>")
    policy = site.ask("/platform/data-docs/").headers["content-security-policy"]
    assert "connect-src 127.0.0.1:3000/platform/data-docs/" in policy and "http:" not in policy


# ---- the live market


def test_the_market_shows_the_newest_trade_rate_and_gaps(tmp_path):
    """Staged trades count before published ones; the rate is that of about ten seconds; nothing is written."""
    trades = made_up("2024-08-08", 1, 300)
    market = Market.open(tmp_path)
    market.hold(trades.between(1000, 1099), tail="live")
    live = LiveMarket(market.data, Ledger.open)
    (first,) = live.read(NOW, 100.0)
    assert (first.stored, first.per_second, first.gaps) == (100, None, 0)
    assert first.last == LastTrade(int(trades.ts[99]), float(trades.price[99]), "buy" if trades.buy[99] else "sell")
    market.hold(trades.between(1105, 1199), publish=False)
    (second,) = live.read(NOW, 105.0)
    assert second.last is not None and second.last.price == float(trades.price[199])
    assert (second.stored, second.per_second, second.gaps, second.missing) == (195, 19.0, 1, 5)
    lake.publish(market.data, Leaf("ticks", VENUE, SYMBOL, "2024-08-08"), ledger=market.ledger, gate=market.gate)
    (third,) = live.read(NOW, 130.0)
    assert third.last == second.last and third.per_second == 0.0  # the parts are gone, the trade is not
    live.close()
    market.ledger.close()


def row(symbol: str, stored: int) -> SymbolMarket:
    return SymbolMarket("binance", symbol, None, stored, None, 0, 0, "", Concern.NONE)


class _Script:
    """A market that is read as a script says; the last entry goes on."""

    def __init__(self, *readings: Sequence[SymbolMarket] | Exception) -> None:
        self.readings = list(readings)
        self.times = 0

    def __call__(self) -> Sequence[SymbolMarket]:
        self.times += 1
        found = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        if isinstance(found, Exception):
            raise found
        return found


def told(events: Sequence[bytes]) -> list[tuple[str, list[tuple[str, str]], str]]:
    """Return each event's name, its rows (symbol, stored) and its error."""
    found = []
    for event in events:
        name, data = event.decode().rstrip("\n").split("\n")
        payload = json.loads(data.removeprefix("data: "))
        rows: list[Row] = payload.get("rows", [])
        found.append((name.removeprefix("event: "), [(r["symbol"], r["stored"]) for r in rows], payload["error"]))
    return found


def hear(feed: Feed, count: int) -> list[bytes]:
    async def first() -> list[bytes]:
        found = []
        events = feed.events()
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
        await events.aclose()
        return found

    return asyncio.run(asyncio.wait_for(first(), 20))


def test_the_feed_tells_the_market_once_and_then_what_changed():
    """A snapshot, the rows that differ, a new snapshot when a symbol is gone, heartbeats while nothing changes."""
    script = _Script([row("A", 1), row("B", 1)], [row("A", 2), row("B", 1)], [row("A", 2)])
    assert told(hear(Feed(script, every_s=0.01, rest_factor=0, heartbeat_s=0.05), 4)) == [
        ("snapshot", [("A", "1"), ("B", "1")], ""),
        ("change", [("A", "2")], ""),
        ("snapshot", [("A", "2")], ""),
        ("heartbeat", [], ""),
    ]


def test_a_market_that_cannot_be_read_is_told_and_comes_back():
    """An error of the store reaches the page in words, the rows stay, and the next reading is shown."""
    script = _Script([row("A", 1)], WorkError("the disk\nis away"), [row("A", 3)])
    assert told(hear(Feed(script, every_s=0.01, rest_factor=0, heartbeat_s=5), 3)) == [
        ("snapshot", [("A", "1")], ""),
        ("change", [], "the disk is away"),
        ("change", [("A", "3")], ""),
    ]


def test_nothing_is_read_while_no_page_is_open():
    """The last page that closes ends the reading, and a page that opens later begins with a snapshot of its own."""
    script = _Script([row("A", 1)])
    feed = Feed(script, every_s=0.01, rest_factor=0, heartbeat_s=5)
    for _ in range(2):
        assert told(hear(feed, 1)) == [("snapshot", [("A", "1")], "")]
        assert (feed.pages, feed._reading) == (0, None)


def test_one_reading_serves_all_pages():
    """Pages share the readings; beyond what is served a page is told to come back."""

    async def both() -> tuple[list[bytes], int]:
        script = _Script([row("A", 1)], [row("A", 2)])
        feed = Feed(script, every_s=0.05, rest_factor=0, heartbeat_s=5)
        pages = [feed.events() for _ in range(5)]
        found = [await anext(page) for page in pages]
        readings = script.times
        for page in pages:
            await page.aclose()
        return found, readings

    found, readings = asyncio.run(both())
    assert {name for name, *_ in told(found)} == {"snapshot"} and readings <= 2
