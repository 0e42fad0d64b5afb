"""The ledger on a real PostgreSQL: recording does not care whether the server lives, the account comes out equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.builders.ingest_process import Ingest, expected, held, rows, run
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.database import Server, running
from tests.support.waiting import wait_until
from trading_platform.cli import main
from trading_platform.commands.support import runtime
from trading_platform.domain.errors import LedgerUnavailable
from trading_platform.ingest.rate_limits.stream_bans import stream_ban_until
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import DayStatus, Ledger
from trading_platform.store.log.writer import durable_position

SYMBOL = "BTC-USDT"


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server of this test's own, to be killed."""
    with running() as found:
        yield found


def decoded_id(data: DataDir, url: str) -> int:
    """Return the newest id that the ledger knows, 0 while it knows none."""
    ledger = Ledger.open(data, url)
    try:
        return max((row.head for row in ledger.sequences()), default=0)
    finally:
        ledger.close()


def account(data: DataDir, url: str) -> list[DayStatus]:
    """Return the days of the ledger."""
    ledger = Ledger.open(data, url)
    try:
        return ledger.day_report(2**62)
    finally:
        ledger.close()


def test_a_killed_server_delays_status_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Callable[..., Simulator],  # noqa: F811
    server: Server,
) -> None:
    """While it is dead frames go on becoming durable; afterwards the account is that of a server that lived."""
    url = server.database()
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", url)
    data = DataDir(tmp_path / "data")
    venue = simulator(synthetic(3600, symbols=[SYMBOL]), speed=10)
    ingest = Ingest(venue, data.root, [SYMBOL])
    try:
        wait_until(lambda: decoded_id(data, url), every_s=0.2, what="a trade is in the ledger")
        server.kill()
        dead_from = durable_position(data.lane("live-binance"))
        issued = len(venue.truth())
        wait_until(lambda: len(venue.truth()) > issued + 400, what="the market goes on")
        wait_until(lambda: durable_position(data.lane("live-binance")) > dead_from, what="the log goes on")
        asked = run("status", data_dir=data.root)
        assert (asked.returncode, asked.stderr.count("\n")) == (1, 1)
        assert "the ledger's database does not answer" in asked.stderr
        recorder = ingest.worker("recorder")
        server.start()
        newest = venue.truth()[-1]["trade_id"]
        wait_until(lambda: decoded_id(data, url) >= newest, every_s=0.2, timeout_s=40, what="the ledger catches up")
        assert ingest.worker("recorder") == recorder
        assert ingest.stop() == 0
    finally:
        ingest.end()
    recovered = run("recover", "--once", data_dir=data.root)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    ours = rows(held(data.root)[SYMBOL])
    assert ours == [row for row in expected(venue.truth(), SYMBOL) if ours[0][1] <= row[1] <= ours[-1][1]]
    before = account(data, url)
    assert [day.open for day in before] == [0] * len(before)  # a slow machine records across midnight
    assert sum(day.stored for day in before) == len(ours)
    assert run("replay", "--ledger", data_dir=data.root).returncode == 0
    assert account(data, url) == before


def test_recovery_waits_for_a_dead_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --once `recover` says what is wrong and goes on until it is stopped."""
    url = server.database()
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", url)
    DataDir(tmp_path).create()
    stops = Stops(server.kill, server.start, lambda: None)
    monkeypatch.setattr(runtime, "stop_event", lambda: stops)
    assert main(["recover", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count("nothing recovered") == 1


class Stops:
    """A stop event that does something in each pause, and is set when nothing is left to do."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)

    def wait(self, seconds: float) -> bool:
        """Do the next thing instead of waiting; a wait for no time only looks."""
        if not seconds or not self._acts:
            return not self._acts
        self._acts.pop(0)()
        return not self._acts


def test_a_dead_server_is_named_in_one_line_and_forgets_no_ban(tmp_path: Path, server: Server) -> None:
    """What is asked of the ledger says that it does not answer; whether to connect is told by the log alone."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data, server.database())
    server.kill()
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        ledger.sequences()
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        ledger.remember("name", "value")
    assert stream_ban_until(data, ledger, "binance", "live-binance") == 0
    server.start()
    assert ledger.sequences() == []
    ledger.close()
