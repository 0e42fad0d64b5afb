"""A run that recorded nothing, or nothing of a symbol, says so: by symbol, with the reason, in its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fault.test_connect_budget import refusing
from tests.support.builders.ingest_process import Ingest, run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.workers import messages
from trading_platform.ingest.workers.run_account import FirstTrades, RunAccount
from trading_platform.processes.worker_process import Outbox
from trading_platform.simulate.faults import Event, FaultPlan

S = 10**9
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Give the address of a venue that does not serve this location."""
    with refusing(b"451 Unavailable For Legal Reasons", retry_after_s=0) as url:
        yield url


def words(ws_url: str, rest_url: str, *, symbols: str, seconds: float) -> list[str]:
    urls = ["--ws-url", ws_url, "--rest-url", rest_url]
    return ["ingest", "--venue", "binance", "--symbols", symbols, *urls, "--seconds", str(seconds), "--json"]


def test_a_run_without_a_stream_fails_with_the_reason(tmp_path: Path, elsewhere: str) -> None:
    """451 at each attempt: one last line names the symbols and what the venue said, exit 1, the result is printed."""
    done = run(*words(elsewhere, NOWHERE, symbols="BTC-USDT,ETH-USDT", seconds=8), data_dir=tmp_path / "data")
    assert done.returncode == 1
    *logged, last = done.stderr.splitlines()
    assert last.startswith("trading-platform: binance: no stream of BTC-USDT, ETH-USDT was opened: HTTP 451: ")
    assert last.endswith("the venue does not serve this location")
    assert any('"no stream"' in line and '"error"' in line and "451" in line for line in logged)
    assert json.loads(done.stdout) == {"venue": "binance", "symbols": {}}


def test_stopped_by_a_signal_it_says_so_and_ends_well(tmp_path: Path, elsewhere: str) -> None:
    """Whoever stops a recorder that was refused gets exit 0, and the same words in the log."""
    ingest = Ingest(SimpleNamespace(ws_url=elsewhere, rest_url=NOWHERE), tmp_path / "data", ["BTC-USDT"])  # type: ignore[arg-type]
    log = tmp_path / "ingest.log"
    wait_until(lambda: "HTTP 451" in log.read_text(), what="it was refused")
    assert ingest.stop() == 0
    assert "no stream of BTC-USDT was opened: HTTP 451" in log.read_text().splitlines()[-2]


def test_a_symbol_that_traded_and_never_came_is_named(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
) -> None:
    """Subscribed and not delivered, and REST shows new trades: exit 1, and the ids are open, to be fetched."""
    plan = FaultPlan(events=[Event(kind="deaf", at_s=0, symbol="ETH-USDT")])
    venue = simulator(synthetic(3600.0, symbols=["BTC-USDT", "ETH-USDT"]), speed=5.0, plan=plan)
    arguments = words(venue.ws_url, venue.rest_url, symbols="BTC-USDT,ETH-USDT", seconds=9)
    done = run(*arguments, data_dir=tmp_path / "data")
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("trading-platform: binance: nothing of ETH-USDT was recorded, and REST shows trades")
    assert json.loads(done.stdout)["symbols"]["BTC-USDT"]["stored"] > 0
    assert json.loads(done.stdout)["symbols"]["ETH-USDT"]["open"] > 0


# ---- the account by itself


def test_what_came_is_never_called_missing() -> None:
    """A quiet symbol, one that REST says the same of twice, one that has a trade of its own: nothing to say."""
    account = RunAccount(["QUIET", "SAME", "HEARD", "NEVER"])
    account.opened(["QUIET", "SAME", "HEARD", "NEVER"], 100 * S)
    for head in (7, 7):
        account.head("SAME", head, 90 * S)
    for head in (7, 9):
        account.head("HEARD", head, 200 * S)
        account.head("NEVER", None, None)
    account.heard(["HEARD"])
    assert account.missing("binance") == []
    assert account.silent() == ["QUIET", "SAME", "NEVER"]


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ([(7, None), (8, None)], True),
        ([(None, None), (1, None)], True),
        ([(7, 103 * S)], True),
        ([(7, 101 * S)], False),  # the clocks may differ by so much
        ([(7, 99 * S)], False),
        ([(9, None), (7, None)], False),  # an answer that lags
    ],
)
def test_rest_proves_a_trade_by_its_id_or_by_its_time(heads: list[tuple[int | None, int | None]], said: bool) -> None:
    """A later id than at first, or a time after our opening."""
    account = RunAccount(["A"])
    account.opened(["A"], 100 * S)
    for head, ts_event in heads:
        account.head("A", head, ts_event)
    assert bool(account.missing("binance")) == said


def test_each_reason_names_its_symbols_and_counts_the_rest() -> None:
    """One line a reason; the last reason of a symbol counts; a stream that opened once is not missed."""
    symbols = [f"S{number}" for number in range(30)]
    account = RunAccount(symbols)
    account.refused(symbols, "HTTP 414: too long")
    account.refused(["S0", "S1", "not ours"], "HTTP 400: no")
    account.opened(["S1"], S)
    first, second = account.missing("binance")
    assert first == "binance: no stream of S0 was opened: HTTP 400: no"
    assert second.startswith("binance: no stream of S2, S3, ")
    assert "S21 and 8 more was opened: HTTP 414" in second


def test_the_processor_tells_first_trades_of_this_run_once_and_none_is_dropped() -> None:
    """What an earlier run left undecoded is not this one's; a full pipe is tried again."""
    sent: list[bytes] = []
    room: list[bool] = []
    outbox = Outbox(lambda line: bool(room) and (sent.append(line) or True))
    first = FirstTrades(100, outbox.put)

    def columns(ts_recv: int) -> TradeColumns:
        one = np.array([ts_recv])
        some, none = one.astype(float), one.astype(np.int8)
        return TradeColumns(one, one, one, some, some, none, none)

    first.observe({"OLD": columns(99), "A": columns(100)})
    first.observe({"A": columns(101)})
    assert sent == []
    room.append(True)
    first.observe({"OLD": columns(102)})
    assert [messages.decode_message(line) for line in sent] == [messages.Heard(["A"]), messages.Heard(["OLD"])]
