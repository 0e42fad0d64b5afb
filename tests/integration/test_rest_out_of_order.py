"""The real commands while a venue's REST hangs, drips or lies: recording goes on, a stop is a stop."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.builders.ingest_process import COMMAND, Ingest
from tests.support.builders.log_lanes import read_all
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.faults.hostile_rest import HostileRest, answer, by_path, drip_headers, hang
from tests.support.waiting import wait_until
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind
from trading_platform.venues import VENUES

LISTING = b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT"}]}'
NO_SUCH = answer("400 Bad Request", b'{"code":-1121,"msg":"Invalid symbol."}')


def at(venue: Simulator, rest: HostileRest) -> Simulator:
    """Return where the streams are the venue's and REST is not."""
    return cast("Simulator", SimpleNamespace(ws_url=venue.ws_url, rest_url=rest.url))


def frames(data_dir: Path) -> int:
    """Return how many frames are in the live lane."""
    lane = DataDir(data_dir).lane("live-binance")
    return sum(len(record.frames) for record in read_all(lane) if record.kind == Kind.FRAMES) if lane.exists() else 0


@contextmanager
def ingesting(venue: Simulator, rest: HostileRest, data_dir: Path, symbols: list[str]) -> Iterator[Any]:
    """Run the command; kill what is left of it."""
    ingest = Ingest(at(venue, rest), data_dir, symbols)
    try:
        yield ingest
    finally:
        ingest.end()


def test_recording_begins_and_stops_while_rest_drips(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
) -> None:
    """Headers that drip for ever keep nobody from a first start, nor from stopping in order with all that came."""
    venue = simulator(synthetic(600, symbols=["BTC-USDT"]), speed=20.0)
    with HostileRest(drip_headers) as rest, ingesting(venue, rest, tmp_path / "data", ["BTC-USDT"]) as ingest:
        wait_until(lambda: frames(tmp_path / "data"), what="a frame is durable")
        assert len(rest.asked) <= 2  # within one request of its listing, that is: nothing was waited for
        assert ingest.stop(30.0) == 0
    log = (tmp_path / "ingest.log").read_text()
    assert "Traceback" not in log
    assert '"stored": ' in log


def test_a_symbol_that_is_not_listed_ends_a_recording_that_has_begun(
    tmp_path: Path,
    simulator: Callable[..., Simulator],  # noqa: F811
) -> None:
    """The listing comes late and says that there is none: stopped in order, exit 2, in the words of an early one."""
    venue = simulator(synthetic(600, symbols=["BTC-USDT"]), speed=20.0)
    asked_late = threading.Event()

    def late(server: HostileRest, peer: socket.socket, request: bytes) -> None:
        asked_late.wait(14)
        answer("200 OK", LISTING)(server, peer, request)

    with (
        HostileRest(by_path(NO_SUCH, exchangeInfo=late)) as rest,
        ingesting(venue, rest, tmp_path / "data", ["BTC-USDT", "FOO-USDT"]) as ingest,
    ):
        wait_until(lambda: frames(tmp_path / "data"), what="a frame is durable")
        asked_late.set()
        assert ingest.process.wait(60) == 2
    assert "binance does not list FOO-USDT" in (tmp_path / "ingest.log").read_text().splitlines()[-1]
    assert frames(tmp_path / "data") > 0


@pytest.mark.parametrize("once", [[], ["--once"]], ids=["forever", "once"])
def test_a_recovery_stops_while_rest_hangs(tmp_path: Path, once: list[str]) -> None:
    """SIGTERM within an answer that never comes: exit 0, soon, and not a word of Python."""
    data = DataDir(tmp_path / "data").create()
    ledger = Ledger.open(data)
    with FetchLane(data, ledger, VENUES, Bounds.of("2016-01-01")) as lane:
        lane.fact(control.Undertaken("binance", "BTC-USDT", 7))
    ledger.close()
    with HostileRest(hang) as rest:
        words = ["recover", "--venue", "binance", "--rest-url", rest.url, "--data-dir", str(data.root)]
        process = subprocess.Popen([*COMMAND, *words, *once], stderr=subprocess.PIPE, text=True)
        wait_until(lambda: rest.asked, what="it asks")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err
