"""`backfill` brings a range of days up to date, says what it did, and fails when it could not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.builders.lakes import SYMBOL, Market, made_up
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from trading_platform.cli import main
from trading_platform.domain.days import day_start
from trading_platform.simulate.faults import Event, FaultPlan

FIRST, LAST = "2024-08-01", "2024-08-04"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data directory with four days of one symbol and of another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADING_PLATFORM_TIMEFRAMES", "1h,1d")
    market = Market.open(tmp_path / "data")
    market.hold(made_up(FIRST, 4, 200))
    market.hold(made_up(FIRST, 2, 50), "ETH-USDT")
    market.ledger.close()
    return tmp_path / "data"


def backfill(
    capsys: pytest.CaptureFixture[str], *words: str, assets: str = "bars,indicators,regimes"
) -> tuple[int, dict]:
    code = main(["backfill", "--assets", assets, "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_a_range_is_computed_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run computes every symbol-day of the range, both ends included; the second finds nothing to do."""
    code, first = backfill(capsys, "--from", FIRST, "--to", LAST)
    assert code == 0
    assert first["ok"] is True
    assert first["datasets"]["bars"]["computed"] == 2 * (4 + 2)
    code, second = backfill(capsys, "--from", FIRST, "--to", "2024-08-09")
    assert code == 0
    assert "computed" not in second["datasets"]["bars"]
    assert len(list((root / "lake/bars/timeframe=1h").rglob("*.parquet"))) == 6


def test_what_a_day_starts_from_is_computed_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A range whose earlier days are not computed begins with those."""
    code, done = backfill(capsys, "--from", LAST, "--to", LAST, "--symbols", SYMBOL)
    assert code == 0
    assert done["datasets"]["indicators"]["computed"] == 2 * 4


def test_other_symbols_are_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the symbols named are computed."""
    code, _ = backfill(capsys, "--from", FIRST, "--to", LAST, "--symbols", "ETH-USDT", "--venue", "binance")
    assert code == 0
    assert not list((root / "lake").rglob(f"bars/**/symbol={SYMBOL}"))


def test_days_after_the_range_follow_a_repair(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change within the range is carried on to the computed days after it."""
    backfill(capsys, "--from", FIRST, "--to", LAST)
    before = {p: p.read_bytes() for p in sorted((root / "lake").rglob("indicators.parquet"))}
    for state in (root / "state").rglob(f"indicators/timeframe=1h/**/date={FIRST}/*.state"):
        state.unlink()
    market = Market.open(root)
    market.hold(made_up("2024-07-31", 1, 100, first_id=900), lane="fetch-0")
    market.ledger.close()
    code, done = backfill(capsys, "--from", "2024-07-31", "--to", FIRST)
    assert code == 0
    assert done["datasets"]["indicators"]["computed"] > 2 * 2
    after = {p: p.read_bytes() for p in before}
    assert {p.parent.name for p in before if before[p] != after[p]} >= {f"date={LAST}"}


def test_what_has_to_wait_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its input nothing is computed: exit 1, and the reason."""
    code, done = backfill(capsys, "--from", FIRST, "--to", LAST, assets="indicators")
    assert code == 1
    assert done["ok"] is False
    assert done["failed"][0]["reason"] == f"bars of {FIRST} are not computed yet"
    assert main(["backfill", "--assets", "indicators", "--from", FIRST, "--to", LAST]) == 1
    assert "waiting: bars of 2024-08-01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--assets", "bars,candles", "--from", FIRST, "--to", LAST], "'candles' is not a dataset"),
        (["--assets", "bars", "--from", "2024-8-1", "--to", LAST], "is not a day"),
        (["--assets", "bars", "--from", LAST, "--to", FIRST], "lies after"),
        (["--assets", "bars", "--from", "2015-01-01", "--to", FIRST], "lies before HISTORY_START"),
        (["--assets", "bars", "--from", FIRST, "--to", LAST, "--symbols", "SOL-USDT"], "SOL-USDT was never recorded"),
        (["--assets", "bars", "--from", FIRST, "--to", LAST, "--symbols", "../../x"], "is not a symbol"),
        (["--assets", "bars", "--from", FIRST, "--to", LAST, "--venue", "nowhere"], "is not a supported venue"),
        (["--assets", "bars", "--from", FIRST, "--to", LAST, "--rest-url", "http://h"], "--rest-url"),
        (["--assets", "bars", "--from", FIRST, "--to", LAST, "--data-dir", "none"], "nothing is recorded in none"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    root: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments: exit 2, one line that says what is wrong, nothing written."""
    assert main(["backfill", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (root / "lake/bars").exists()


def test_a_day_never_recorded_is_fetched_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Callable[..., Simulator],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --fetch the venue is asked for the day, and everything is computed from it."""
    monkeypatch.chdir(tmp_path)
    venue = simulator(synthetic(1200, symbols=[SYMBOL]))
    play_to_the_end(venue)
    day = "2024-03-15"
    words = ["--fetch", "--rest-url", venue.rest_url, "--venue", "binance", "--symbols", SYMBOL]
    code, done = backfill(capsys, *words, "--from", day, "--to", day)
    assert code == 0
    assert done["fetched"]["pages"] > 0
    issued = [line["trade_id"] for line in venue.truth() if line["ts_event"] >= 1_710_460_800 * 10**9]
    market = Market.open(tmp_path / "data")
    (row,) = [row for row in market.ledger.days("binance", SYMBOL) if row.day == day]
    assert (row.stored, row.first_id, row.last_id) == (len(issued), min(issued), max(issued))
    market.ledger.close()
    assert len(list((tmp_path / "data/lake/regimes").rglob(f"date={day}/*.parquet"))) == 6
    code, again = backfill(capsys, *words, "--from", day, "--to", day)
    assert code == 0
    assert "computed" not in again["datasets"]["bars"]


def test_a_day_that_does_not_come_whole_is_a_failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Callable[..., Simulator],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ids that the venue does not serve stay open: exit 1, and they are named; what came is kept and computed."""
    monkeypatch.chdir(tmp_path)
    day = "2024-03-15"
    market = synthetic(1000, symbols=[SYMBOL])
    before = market.head_at("BTCUSDT", day_start(day))
    assert before is not None
    inside = before + 40
    plan = FaultPlan(events=[Event(at_id=inside, kind="rest_forget", count=3)])
    venue = simulator(market, plan=plan)
    play_to_the_end(venue)
    words = ["--fetch", "--rest-url", venue.rest_url, "--venue", "binance", "--symbols", SYMBOL]
    code, done = backfill(capsys, *words, "--from", day, "--to", day, assets="ticks")
    assert code == 1
    assert done["ok"] is False
    assert [(gap["first_missing"], gap["last_missing"]) for gap in done["fetched"]["open"]] == [(inside, inside + 2)]
    assert main(["backfill", "--assets", "ticks", *words, "--from", day, "--to", day]) == 1
    assert f"still missing: gap 1: binance {SYMBOL} {inside}..{inside + 2} (3 ids)" in capsys.readouterr().out


def play_to_the_end(venue: Simulator) -> None:
    """Listen until the market has ended: REST serves only what has been issued."""
    import websockets.sync.client

    with websockets.sync.client.connect(f"{venue.ws_url}/ws/btcusdt@trade", close_timeout=0.1) as stream:
        while not venue.wait_ended(0):
            with suppress(TimeoutError):
                stream.recv(0.1)
