"""The daily report tells what is wrong with a day, says nothing is where nothing is, and loads nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from quality.expectations.kept import keep_verdicts
from quality.report import history, page
from quality.report.collect import collect
from quality.report.facts import SymbolFacts
from quality.report.trades import outliers, statistics
from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades, made_up
from trading_platform import cli
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import UsageError
from trading_platform.domain.position import Position
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.ledger import Batch, Conflict, Quarantined

FIRST, DAY = "2024-08-01", "2024-08-12"
NOW = day_start("2024-08-14")
PER_DAY = 400


def clean(root: Path) -> Market:
    """Return a market whose every day but the first and the last is proved."""
    market = Market.open(root)
    market.ledger.mark_kind("live")
    market.hold(made_up(FIRST, 13, PER_DAY), tail="closed", tail_ns=NOW)
    return market


def of(facts: object, symbol: str = SYMBOL) -> SymbolFacts:
    (found,) = (each for each in facts.symbols if each.symbol == symbol)  # type: ignore[attr-defined]
    return found


def spiked(trades: Trades, at: int, factor: float) -> Trades:
    price = trades.price.copy()
    price[at] = round(price[at] * factor, 2)
    return replace(trades, price=price)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Return a market with one of each fault on `DAY`, beside a symbol without any."""
    market = Market.open(tmp_path_factory.mktemp("wrong"))
    market.ledger.mark_kind("live")
    good = made_up(FIRST, 13, PER_DAY)
    market.hold(good, "GOOD-USDT", tail="closed", tail_ns=NOW)
    inside = np.flatnonzero(good.ts >= day_start(DAY))
    gone = tuple(good.ids[inside[10:15]].tolist())
    market.hold(spiked(good, inside[200], 1.25).without(*gone), tail="closed", tail_ns=NOW)
    start = day_start(DAY)
    bad = Quarantined(Position(0, 7), 0, VENUE, SYMBOL, 3, "ws", "price", "<b>0</b>", start + 9, b"raw")
    market.ledger.apply(Batch("other", Position(0, 0), Position(0, 100), quarantine=[bad]), advance)
    market.ledger.add_conflicts([Conflict(VENUE, SYMBOL, 0, int(good.ids[inside[50]]), "one", "other")])
    few = made_up(FIRST, 13, PER_DAY, seed=5)
    busy = made_up(DAY, 1, 9 * PER_DAY, seed=6)
    before, after = few.where(few.ts < start), few.where(few.ts >= start + DAY_NS)
    ids = np.arange(len(before) + len(busy) + len(after)) + 1000
    columns = (
        np.concatenate(parts)
        for parts in zip(*((t.ts, t.price, t.quantity, t.buy) for t in (before, busy, after)), strict=True)
    )
    market.hold(Trades(ids, *columns), "BUSY-USDT", tail="closed", tail_ns=NOW)
    return market


def test_a_clean_day_has_nothing_to_look_at(tmp_path):
    """A day with nothing wrong scores 100 in every known part, and the page says that there is nothing."""
    market = clean(tmp_path)
    written = history.write(market.data, market.ledger, NOW, DAY)
    assert list(page.notes(written.facts)) == []
    score = of(written.facts).score
    assert (score.value, score.grade) == (100.0, "good")
    assert {part.name: part.value for part in score.parts} == dict.fromkeys(
        ("complete", "in time", "valid", "consistent", "steady"), 1.0
    )
    assert "Nothing: no trade is missing" in written.path.read_text()


@pytest.mark.parametrize(
    ("symbol", "told"),
    [
        (SYMBOL, "5 trades missing"),
        (SYMBOL, "1 trade far from the price around"),
        (SYMBOL, "1 record in quarantine: price"),
        (SYMBOL, "1 trade with a copy that says something else"),
        ("BUSY-USDT", "times the usual number of trades"),
    ],
)
def test_each_fault_is_told_of_its_symbol(wrong, symbol, told):
    """Missing and doubted trades, outliers, quarantine and drift are each told, of the symbol that has them."""
    facts, _ = collect(wrong.data, wrong.ledger, DAY, NOW, earlier={})
    notes = list(page.notes(facts))
    assert [n.subject for n in notes if told in n.text] == [f"{symbol} {VENUE}"]
    assert "GOOD-USDT binance" not in {note.subject for note in notes}


def test_the_worst_symbol_comes_first_and_is_never_whole(wrong):
    """Scores order the symbols, and one missing trade keeps a score below 100."""
    facts, _ = collect(wrong.data, wrong.ledger, DAY, NOW, earlier={})
    values = [symbol.score.value for symbol in facts.symbols]
    assert values == sorted(values) and of(facts, "GOOD-USDT").score.value == 100.0
    assert of(facts).score.value < 100.0 and of(facts, "BUSY-USDT").score.value < 100.0


def test_an_outlier_is_the_planted_trade_alone(wrong):
    """The trade printed a quarter too high is the only outlier, with the price around it."""
    facts, _ = collect(wrong.data, wrong.ledger, DAY, NOW, earlier={})
    (found,) = of(facts).statistics.outliers
    assert found.deviation == pytest.approx(0.25, abs=0.01)


def test_a_crash_of_the_whole_market_is_no_outlier():
    """Prices that halve within a few minutes and stay there are a move, not an error."""
    ts = np.arange(1200, dtype=np.int64) * 10**9
    price = np.where(np.arange(1200) < 600, 100.0, 100.0 - np.minimum((np.arange(1200) - 600) * 0.2, 50.0))
    assert outliers(ts, price) == ()


def test_a_later_report_tells_what_was_revised(tmp_path):
    """A trade that arrives after a day's report is named by the next day's; an unchanged day is not."""
    market = Market.open(tmp_path)
    trades = made_up(FIRST, 13, 50)
    late = int(trades.ids[np.flatnonzero(trades.ts >= day_start("2024-08-05"))[3]])
    market.hold(trades.without(late), tail="closed", tail_ns=NOW)
    assert history.write(market.data, market.ledger, NOW, "2024-08-10").facts.revisions is None
    unchanged = history.write(market.data, market.ledger, NOW, "2024-08-11").facts.revisions
    assert unchanged is not None and (unchanged.since, unchanged.changed) == ("2024-08-10", ())
    market.hold(trades.between(late, late), lane="fetch-0")
    revised = history.write(market.data, market.ledger, NOW, DAY).facts.revisions
    (change,) = revised.changed
    assert (change.name, change.text) == (f"{VENUE} {SYMBOL} 2024-08-05", "1 trade added")
    assert history.days(market.data) == ["2024-08-10", "2024-08-11", DAY]


def test_a_damaged_file_is_a_finding_and_not_the_end_of_the_report(tmp_path):
    """A damaged file is reported under its symbol and lowers its score; the other symbols are reported as usual."""
    market = clean(tmp_path)
    market.hold(made_up(FIRST, 13, PER_DAY, seed=4), "ETH-USDT", tail="closed", tail_ns=NOW)
    file = market.data.lake / Leaf("ticks", VENUE, SYMBOL, DAY).path
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(bytes(content))
    facts = history.write(market.data, market.ledger, NOW, DAY).facts
    (note,) = page.notes(facts)
    assert (note.level, note.subject) == ("bad", f"{SYMBOL} {VENUE}") and note.text.startswith("ticks cannot be read: ")
    assert of(facts).score.value < 95 and of(facts, "ETH-USDT").score.value == 100.0


def test_what_great_expectations_said_is_told(tmp_path):
    """A day that was not judged says so; of one that was, the page and the list name what is unusual."""
    market = clean(tmp_path)
    facts = history.write(market.data, market.ledger, NOW, DAY).facts
    assert facts.verdicts is None
    judged = {"statistic": "trades", "family": "counts", "tier": "ticket", "value": 9.0, "low": 20.0, "high": 40.0}
    said = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "judged": [judged | {"passed": False}, judged | {"passed": True}],
        "skipped": [{"statistic": "candles"}],
    }
    keep_verdicts(market.data, DAY, [said])
    written = history.write(market.data, market.ledger, NOW, DAY)
    (told,) = written.texts
    assert told == "BTC-USDT binance: 1 statistic not as on the days before: trades is 9, usually 20 to 40"
    assert "trades is 9, usually 20 to 40" in written.path.read_text()
    keep_verdicts(market.data, DAY, [{"venue": VENUE}])  # of another version
    assert history.write(market.data, market.ledger, NOW, DAY).facts.verdicts is None


def test_the_page_is_a_function_of_data_and_clock(wrong):
    """The same data at the same time give the same bytes; a report of the same day replaces the one before."""
    first = history.write(wrong.data, wrong.ledger, NOW, DAY).path.read_bytes()
    again = history.write(wrong.data, wrong.ledger, NOW, DAY)
    assert again.path.read_bytes() == first
    assert history.days(wrong.data) == [DAY]


class _Page(HTMLParser):
    """Reads what matters to people and programs that read a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_loads_nothing(wrong):
    """No script, no style sheet, no picture and no font comes from elsewhere: links lead only within the platform."""
    text = history.write(wrong.data, wrong.ledger, NOW, DAY).path.read_text()
    tags = _Page(text).tags
    assert {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "embed", "base"} == set()
    assert [attrs for _, attrs in tags if "src" in attrs or any(name.startswith("on") for name in attrs)] == []
    hrefs = {str(attrs["href"]) for tag, attrs in tags if tag in {"a", "use"} and "href" in attrs}
    assert {href for href in hrefs if not href.startswith(("/", "#"))} == set()
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_page_can_be_read_by_everyone(wrong):
    """Headings do not skip a level, figures have words, ids are unique, every contents link has its place."""
    tags = _Page(history.write(wrong.data, wrong.ledger, NOW, DAY).path.read_text()).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    figures = [attrs for tag, attrs in tags if tag == "svg"]
    assert len(figures) == 5 and all(f.get("role") == "img" and f.get("aria-label") for f in figures)
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for tag, a in tags if tag == "a" and str(a.get("href")).startswith("#")} <= set(ids)
    assert [attrs for tag, attrs in tags if tag == "th" and "scope" not in attrs] == []


def test_what_others_wrote_is_text_on_the_page(wrong):
    """A reason or a symbol with markup in it is shown, never obeyed."""
    facts, _ = collect(wrong.data, wrong.ledger, DAY, NOW, earlier={})
    evil = "<script>alert(1)</script>"
    first = facts.symbols[0]._replace(symbol=evil, quarantined={evil: 1}, refused=[(evil, evil)])
    text = page.render(facts._replace(symbols=[first, *facts.symbols[1:]]))
    assert evil not in text and "&lt;script&gt;" in text


def test_a_thousand_symbols_make_a_page_below_two_megabytes(wrong):
    """What is long is cut, and the page says how much there is."""
    facts, _ = collect(wrong.data, wrong.ledger, DAY, NOW, earlier={})
    many = [of(facts)._replace(symbol=f"S{n}-USDT") for n in range(1000)]
    heat = [facts.heat[0]._replace(symbol=symbol.symbol) for symbol in many]
    text = page.render(facts._replace(symbols=many, heat=heat))
    assert len(text.encode()) < 2_000_000
    assert "100 of 1,000 symbols" in text and "more, in the tables below" in text


def test_a_market_of_the_past_has_no_latency():
    """Trades of the past that are played now are not late, in a simulated market; live ones that late are."""
    from quality.report.trades import DayTrades

    ts = np.arange(100, dtype=np.int64) * 10**9
    played = DayTrades(ts, ts + 900 * DAY_NS, np.full(100, 5.0), np.ones(100, bool))
    told = statistics(played, 0, simulated=True)
    assert (told.played, told.latency, told.late) == (True, None, None)
    told = statistics(played, 0, simulated=False)
    assert (told.played, told.late, told.latency.in_time) == (False, 100, 0.0)


def test_the_command_prints_the_page_of_the_newest_day_that_is_over(tmp_path, capsys):
    """`report` prints the path of the report that it wrote, as text and as JSON."""
    market = clean(tmp_path)
    market.ledger.close()
    assert cli.main(["report", "--data-dir", str(tmp_path)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "reports" / "2024-08-13.html" and path.read_text().startswith("<!doctype html>")
    assert cli.main(["report", "--day", DAY, "--json", "--data-dir", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["day"], told["lowest_score"], told["notes"]) == (DAY, 100.0, [])
    assert Path(told["path"]).name == f"{DAY}.html"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--day", "2024-09-30"], "nothing is held of 2024-09-30; days held: 2024-08-01 to 2024-08-13"),
        (["--day", "yesterday"], "'yesterday' is not a day"),
        (["--day", "2024-02-30"], "'2024-02-30' is not a day"),
    ],
)
def test_a_day_without_data_is_refused_in_one_line(tmp_path, capsys, words, told):
    """A day that nothing is held of, or that is none, ends with exit code 2 and one line."""
    clean(tmp_path).ledger.close()
    assert cli.main(["report", *words, "--data-dir", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "reports").exists()


def test_an_empty_data_directory_is_refused(tmp_path, capsys):
    """Where nothing was recorded, or no trade is held yet, there is nothing to report."""
    assert cli.main(["report", "--data-dir", str(tmp_path / "none")]) == 2
    assert "nothing is recorded" in capsys.readouterr().err
    market = Market.open(tmp_path / "empty")
    with pytest.raises(UsageError, match="no trade is held yet"):
        history.write(market.data, market.ledger, NOW)
