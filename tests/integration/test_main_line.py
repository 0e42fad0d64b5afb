"""The main line on real recordings: whatever goes wrong on the way, the same trades, bars, indicators and regimes."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.builders.ingest_process import held, rows, run
from tests.support.builders.venue_thread import RECORDINGS

CANDLES = "klines/skytree-btcusdt-5m/BTCUSDT-5m-2024-08.csv"
PLANS: dict[str, dict[str, Any]] = {
    "gentle": {},
    "rough": {"drop": 0.03, "duplicate": 0.05, "reorder": 0.1, "cut": 0.001, "rest_5xx": 0.2},
}


@pytest.fixture(scope="module")
def demos(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run the demonstration on the recordings, once without faults and once with many, at different speeds."""
    folders = {}
    for (name, plan), speed in zip(PLANS.items(), ("max", "150"), strict=True):
        folder = tmp_path_factory.mktemp(name)
        (folder / "plan.json").write_text(json.dumps(plan))
        recordings = [part for path in RECORDINGS for part in ("--recording", str(shared_data(path)))]
        options = ["--speed", speed, "--faults", str(folder / "plan.json"), "--seed", "3", "--json"]
        done = run("demo", *recordings, *options, data_dir=folder / "data")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["ok"] is True
        folders[name] = folder / "data"
    return folders


def truth(data_dir: Path) -> list[dict[str, Any]]:
    """Return what the venue says it issued."""
    return [json.loads(line) for line in (data_dir / "run" / "truth.jsonl").read_text().splitlines()]


def bars(data_dir: Path, timeframe: str) -> list[dict[str, Any]]:
    """Return the bars of both days, times as ns."""
    found: list[dict[str, Any]] = []
    for path in sorted((data_dir / "lake" / "bars" / f"timeframe={timeframe}").glob("**/bars.parquet")):
        table = pq.ParquetFile(path).read()
        for name in ("ts_open", "ts_close"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast("int64"))
        found += table.to_pylist()
    return found


@pytest.mark.parametrize("name", PLANS)
def test_the_lake_holds_exactly_the_recorded_trades(demos: dict[str, Path], name: str) -> None:
    """19,904 trades, once each, as the venue issued them, and nothing is open."""
    held_rows = rows(held(demos[name])["BTC-USDT"])
    issued = [
        (t["epoch"], t["trade_id"], t["ts_event"], float(t["price"]), float(t["quantity"]), t["side"])
        for t in truth(demos[name])
    ]
    assert len(held_rows) == 19_904
    assert held_rows == issued
    status = json.loads(run("status", "--json", data_dir=demos[name]).stdout)
    assert [(row["open"], row["open_gaps"], row["tail"]) for row in status] == [(0, 0, "closed")]


@pytest.mark.parametrize("name", PLANS)
def test_the_demonstration_ends_with_its_report(demos: dict[str, Path], name: str) -> None:
    """The page of the newest day is there, and faults that were repaired leave no trade missing on it."""
    (page,) = sorted((demos[name] / "reports").glob("*.html"))
    text = page.read_text()
    assert page.stem == "2024-08-09" and "Data quality of 2024-08-09" in text
    assert "<strong>0</strong><span>trades missing</span>" in text
    assert ("No gap touches this day" in text) == (name == "gentle")


def test_faults_really_happened(demos: dict[str, Path]) -> None:
    """The rough way lost trades on the wire, so the comparison means something."""
    assert not all(line["sent"] for line in truth(demos["rough"]))
    assert "rest" in set(held(demos["rough"])["BTC-USDT"]["source"].to_pylist())


def test_five_minute_bars_equal_the_exchanges_candles(
    demos: dict[str, Path], shared_data: Callable[[str], Path]
) -> None:
    """Around midnight, where the recording covers them whole, every shared field equals the exchange's own."""
    with shared_data(CANDLES).open() as lines:
        candles = {int(row[0]) * 10**6: row for row in csv.reader(lines)}
    complete = [bar for bar in bars(demos["rough"], "5m") if bar["complete"]]
    assert [bar["ts_open"] for bar in complete] == [1723161300 * 10**9, 1723161600 * 10**9]
    for bar in complete:
        _, *prices, volume, _, quote, count, taker, taker_quote, _ = candles[bar["ts_open"]]
        ours = [bar[name] for name in ("open", "high", "low", "close", "volume", "quote_volume")]
        assert ours == [float(text) for text in (*prices, volume, quote)]
        assert (bar["trade_count"], bar["proof"]) == (int(count), "ids")
        assert [bar["taker_buy_volume"], bar["taker_buy_quote_volume"]] == [float(taker), float(taker_quote)]


def test_every_second_equals_a_decimal_twin(demos: dict[str, Path]) -> None:
    """Sums of the decimals that the venue printed, rounded once: all fields of all 1s bars."""
    getcontext().prec = 60
    seconds: dict[int, list[dict[str, Any]]] = {}
    for trade in truth(demos["rough"]):
        seconds.setdefault(trade["ts_event"] // 10**9 * 10**9, []).append(trade)
    ours = {bar["ts_open"]: bar for bar in bars(demos["rough"], "1s") if bar["trade_count"]}
    assert ours.keys() == seconds.keys()
    for ts_open, trades in seconds.items():
        prices = [Decimal(t["price"]) for t in trades]
        sizes = [Decimal(t["quantity"]) for t in trades]
        taken = [size if t["side"] == "buy" else Decimal(0) for t, size in zip(trades, sizes, strict=True)]
        quote = sum((p * q for p, q in zip(prices, sizes, strict=True)), Decimal(0))
        twin = {
            "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
            "volume": sum(sizes), "quote_volume": quote, "taker_buy_volume": sum(taken),
            "taker_buy_quote_volume": sum(p * q for p, q in zip(prices, taken, strict=True)),
            "vwap": quote / sum(sizes),
        }  # fmt: skip
        assert {name: ours[ts_open][name] for name in twin} == {name: float(value) for name, value in twin.items()}
        assert ours[ts_open]["trade_count"] == len(trades)


def test_both_ends_are_incomplete(demos: dict[str, Path]) -> None:
    """Nobody held a trade before the first bar's opening nor after the last one's close."""
    for timeframe in ("1s", "5m", "1d"):
        with_trades = [bar for bar in bars(demos["rough"], timeframe) if bar["trade_count"]]
        assert not with_trades[0]["complete"]
        assert not with_trades[-1]["complete"]
    seconds = [bar for bar in bars(demos["rough"], "1s") if bar["trade_count"]]
    assert all(bar["complete"] for bar in seconds[1:-1])


def test_the_way_here_leaves_no_trace(demos: dict[str, Path]) -> None:
    """Faults and speed change nothing: equal ticks but for receive time and source, byte-equal files downstream."""
    gentle, rough = (rows(held(folder)["BTC-USDT"]) for folder in demos.values())
    assert gentle == rough
    compared = 0
    for dataset in ("bars", "indicators", "regimes"):
        files = [
            {path.relative_to(folder): path.read_bytes() for path in (folder / "lake" / dataset).glob("**/*.parquet")}
            for folder in demos.values()
        ]
        assert files[0] == files[1]
        compared += len(files[0])
    assert compared == 2 * (7 + 7 + 6)


def test_replay_rebuilds_the_same_lake_and_ledger(demos: dict[str, Path]) -> None:
    """From the log alone come the same bytes and the same account."""
    folder = demos["rough"]
    files = {path: path.read_bytes() for path in (folder / "lake" / "ticks").glob("**/*.parquet")}
    before = run("status", "--days", "--json", data_dir=folder).stdout
    assert run("replay", "--ledger", data_dir=folder).returncode == 0
    assert {path: path.read_bytes() for path in files} == files
    assert run("status", "--days", "--json", data_dir=folder).stdout == before
    assert run("verify", data_dir=folder).returncode == 0


def files_of(data_dir: Path) -> dict[Path, bytes]:
    """Return every file of the lake."""
    lake = data_dir / "lake"
    return {path.relative_to(lake): path.read_bytes() for path in lake.glob("**/*.parquet")}


def test_a_lost_lake_comes_back_from_the_log(demos: dict[str, Path]) -> None:
    """A replay gives ticks and instruments back, byte for byte, and names the command that computes the rest."""
    folder = demos["rough"]
    before = files_of(folder)
    given = {path for path in before if path.parts[0] in {"ticks", "instruments"}}
    assert {path.parts[0] for path in given} == {"ticks", "instruments"} < {path.parts[0] for path in before}
    shutil.rmtree(folder / "lake")
    replayed = run("replay", data_dir=folder)
    assert replayed.returncode == 0, replayed.stderr
    assert files_of(folder) == {path: before[path] for path in given}
    _, found, command = replayed.stdout.splitlines()[-1].partition("; run: trading-platform ")
    assert found, replayed.stdout
    assert "bars of 2 days, indicators of 2 days, regimes of 2 days" in replayed.stdout
    named = shlex.split(command)
    assert named[-2:] == ["--data-dir", str(folder)]
    assert run(*named[:-2], data_dir=folder).returncode == 0
    assert files_of(folder) == before
    assert "run:" not in run("replay", data_dir=folder).stdout


def test_replay_all_computes_the_rest_too(demos: dict[str, Path]) -> None:
    """With --all everything is as it was, and nothing must follow."""
    folder = demos["gentle"]
    before = files_of(folder)
    shutil.rmtree(folder / "lake")
    replayed = run("replay", "--all", "--json", data_dir=folder)
    assert replayed.returncode == 0, replayed.stderr
    told = json.loads(replayed.stdout)
    assert (told["instruments"], told["follows"], told["failed"]) == (1, None, [])
    assert files_of(folder) == before
    assert run("verify", data_dir=folder).returncode == 0
