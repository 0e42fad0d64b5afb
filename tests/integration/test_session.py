"""The session on sockets: handovers, pauses and bans against a simulated venue, judged by its own log."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders.ingest_process import Ingest, expected as issued, held, rows, run
from tests.support.builders.silence_watcher import SilenceWatcher
from tests.support.builders.venue_limits import with_limit
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.judges import evidence
from tests.support.waiting import wait_until
from trading_platform.domain.position import START
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.decoder.decoder import Decoder
from trading_platform.ingest.recorder.recorder import Clocks, Recorder
from trading_platform.ingest.workers import messages
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneReader, LaneWriter
from trading_platform.venues import VENUES
from trading_platform.venues.binance import Binance

Start = Callable[..., Simulator]
SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}


class ShortLived(Binance):
    """The venue's adapter, believing that connections are cut after four seconds."""

    connection_lifetime_s = 4.0


def record(venue: Simulator, lane: Path, until: Callable[[], bool], adapter: Binance | None = None) -> None:
    """Record in this process until `until` says so."""

    async def main() -> None:
        stop = asyncio.Event()
        with LaneWriter.open(lane, clock=time.time_ns, entropy=os.urandom) as writer:
            clocks = Clocks(time.time_ns, time.monotonic_ns)
            recorder = Recorder(adapter or Binance(), SYMBOLS, venue.ws_url, writer, clocks, random.Random(1))
            running = asyncio.create_task(recorder.run(stop))
            await asyncio.to_thread(wait_until, until, timeout_s=60, what="recorded enough")
            stop.set()
            await running

    asyncio.run(main())


def controls(lane: Path) -> list[control.Control]:
    """Return the control records of a lane, none while there is no lane."""
    if not lane.is_dir():
        return []
    with LaneReader(lane) as reader:
        return [
            control.decode_control(record.frames[0]) for record in everything(reader) if record.kind == Kind.CONTROL
        ]


def steps(lane: Path) -> list[str]:
    """Return the steps of all handovers."""
    return [fact.step for fact in controls(lane) if isinstance(fact, control.HandoverRecord)]


def ends(lane: Path) -> list[str]:
    """Return why connections ended, in order."""
    return [fact.reason for fact in controls(lane) if isinstance(fact, control.Disconnected)]


def everything(reader: LaneReader) -> list[Any]:
    found: list[Any] = []
    while more := reader.read():
        found += more
    return found


def ids(lane: Path) -> dict[str, Counter[int]]:
    """Return how often each id was received, by symbol."""
    with LaneReader(lane) as reader:
        records = everything(reader)
        decoded = Decoder("live-binance", VENUES, Bounds.of("2016-01-01")).decode(records, START, reader.position)
    assert not decoded.batch.quarantine
    return {key.symbol: Counter(columns.trade_id.tolist()) for key, columns in decoded.trades.items()}


def assert_no_gap(venue: Simulator, lane: Path) -> int:
    """Every id between the first and the last received is there; return how many came twice."""
    twice = 0
    for counts in ids(lane).values():
        assert set(counts) == set(range(min(counts), max(counts) + 1))
        twice += sum(count > 1 for count in counts.values())
    assert set(ids(lane)) == set(SYMBOLS.values())
    return twice


def test_connections_are_replaced_before_the_venues_cut(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """Every connection is replaced while it lives: no id is missing, overlaps are duplicates."""
    venue = simulator(synthetic(60.0, symbols=list(SYMBOLS.values())), speed=5.0, lifetime_s=4.0)
    lane = tmp_path / "live-binance"
    record(venue, lane, lambda: steps(lane).count("taken over") >= 2, ShortLived())
    assert assert_no_gap(venue, lane) > 0
    assert steps(lane)[:6] == ["begins", "opened", "taken over"] * 2
    assert ends(lane)[:2] == ["handed over to connection 2", "handed over to connection 3"]
    assert Counter(seen.what for seen in venue.server.connections) == {"open": 3}


class ShortLivedAndFew(ShortLived):
    """The same, and believing that a connection carries one stream."""

    limits = with_limit(Binance.limits, "streams", 1)


def test_each_of_several_connections_is_replaced_by_itself(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """A symbol a connection: a handover concerns its own symbol, no id is missing over all connections of the lane."""
    venue = simulator(synthetic(60.0, symbols=list(SYMBOLS.values())), speed=5.0, lifetime_s=4.0)
    lane = tmp_path / "live-binance"
    record(venue, lane, lambda: steps(lane).count("taken over") >= 4, ShortLivedAndFew())
    assert assert_no_gap(venue, lane) > 0
    carried = [set(fact.symbols.values()) for fact in controls(lane) if isinstance(fact, control.Connected)]
    assert all(len(symbols) == 1 for symbols in carried)
    assert min(sum(symbol in symbols for symbols in carried) for symbol in SYMBOLS.values()) >= 3
    assert not [fact for fact in controls(lane) if isinstance(fact, control.LostRecord)]


def test_a_shutdown_that_is_announced_costs_nothing(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """serverShutdown: another connection has taken over before the venue closes this one."""
    plan = FaultPlan(events=[Event(kind="server_shutdown", at_s=5, seconds=3)])
    venue = simulator(synthetic(60.0, symbols=list(SYMBOLS.values())), speed=5.0, plan=plan)
    lane = tmp_path / "live-binance"
    record(venue, lane, lambda: bool(ends(lane)))
    assert_no_gap(venue, lane)
    assert ends(lane)[0] == "handed over to connection 2"


def test_a_ping_flood_is_answered_within_the_allowance(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """Forty pings at once: the venue, which counts what we send, has no reason to cut us."""
    plan = FaultPlan(events=[Event(kind="ping_flood", at_s=2, count=40)])
    venue = simulator(synthetic(15.0, symbols=list(SYMBOLS.values())), speed=5.0, plan=plan)
    record(venue, tmp_path / "live-binance", venue.server.ended.is_set)
    assert [seen.what for seen in venue.server.connections] == ["open"]
    assert_no_gap(venue, tmp_path / "live-binance")


def test_a_deaf_subscription_is_renewed_and_nobody_else_loses_a_trade(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """Subscribed and not delivered: a probe shows it, another connection brings it, the other symbol misses nothing."""
    plan = FaultPlan(events=[Event(kind="deaf", at_s=8, symbol="ETH-USDT")])
    venue = simulator(synthetic(3600.0, symbols=list(SYMBOLS.values())), speed=5.0, plan=plan)
    lane = tmp_path / "live-binance"
    watcher, over = SilenceWatcher(venue, lane, Binance(), SYMBOLS), threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        with LaneWriter.open(lane, clock=time.time_ns, entropy=os.urandom) as writer:
            clocks = Clocks(time.time_ns, time.monotonic_ns)

            recorder = Recorder(Binance(), SYMBOLS, venue.ws_url, writer, clocks, random.Random(1), probe=watcher.probe)
            watcher.recorder, watcher.loop = recorder, asyncio.get_running_loop()
            watching = asyncio.create_task(asyncio.to_thread(watcher.run, over))
            running = asyncio.create_task(recorder.run(stop))
            await asyncio.to_thread(wait_until, lambda: "taken over" in steps(lane), timeout_s=60, what="renewed")
            before = venue.server.sent
            await asyncio.to_thread(wait_until, lambda: venue.server.sent > before + 100, what="it trades on")
            stop.set()
            await running
            over.set()
            await watching

    asyncio.run(main())
    assert [message for message in watcher.said if isinstance(message, messages.Renew)] == [
        messages.Renew(["ETH-USDT"])
    ]
    assert ends(lane)[0] == "handed over to connection 2"
    counts = ids(lane)
    assert set(counts["BTC-USDT"]) == set(range(min(counts["BTC-USDT"]), max(counts["BTC-USDT"]) + 1))
    missed = sorted(set(range(min(counts["ETH-USDT"]), max(counts["ETH-USDT"]))) - set(counts["ETH-USDT"]))
    # One hole, from the moment it fell deaf to the new connection.
    assert missed == list(range(missed[0], missed[-1] + 1))


# ---- the whole command


def judge(venue: Simulator, data_dir: Path, ingest: Ingest, symbols: list[str]) -> None:
    """Stop in order; after recovery the lake holds what was issued, and nothing is open."""
    assert ingest.stop() == 0
    done = run("recover", "--once", "--rest-url", venue.rest_url, data_dir=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    for symbol in symbols:
        assert rows(held(data_dir)[symbol]) == issued(venue.truth(), symbol)


def lane_of(data_dir: Path) -> Path:
    """Return the live lane."""
    return data_dir / "log" / "live-binance"


def test_a_stopped_recorder_sees_that_it_stood_still(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """SIGSTOP for seven seconds: the feed counts as lost, is opened anew, and everything is there in the end."""
    venue = simulator(synthetic(3600.0, symbols=["BTC-USDT"]), speed=5.0)
    ingest = Ingest(venue, tmp_path / "data", ["BTC-USDT"])
    lane = lane_of(tmp_path / "data")
    recorder = ingest.wait_for("recorder")
    wait_until(lambda: any(isinstance(fact, control.Connected) for fact in controls(lane)), what="connected")
    recorder.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 7, what="seven seconds")
    recorder.send_signal(signal.SIGCONT)
    lost = wait_until(
        lambda: [fact for fact in controls(lane) if isinstance(fact, control.LostRecord)], what="it notices"
    )
    assert "was paused" in lost[0].reason
    wait_until(lambda: sum(isinstance(fact, control.Connected) for fact in controls(lane)) == 2, what="connected anew")
    assert ingest.worker("recorder") == recorder
    assert ingest.stop() == 0
    counts = ids(lane)["BTC-USDT"]
    assert min(counts) == venue.truth()[0]["trade_id"]


def test_a_ban_is_honoured_by_the_next_process_too(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """418, and everything killed: the venue saw one attempt, and sees none of the next process while the ban lasts."""
    plan = FaultPlan(events=[Event(kind="ban_connect", at_s=5, seconds=600)])
    venue = simulator(synthetic(3600.0, symbols=["BTC-USDT"]), speed=5.0, plan=plan)
    lane = lane_of(tmp_path / "data")
    ingest = Ingest(venue, tmp_path / "data", ["BTC-USDT"])
    seen = venue.server.connections
    wait_until(lambda: any(isinstance(fact, control.BanSeen) for fact in controls(lane)), what="banned")
    workers = ingest.process.children()
    ingest.kill("ingest")
    for worker in workers:
        worker.wait(5)
    ingest = Ingest(venue, tmp_path / "data", ["BTC-USDT"])
    wait_until(lambda: sum(isinstance(fact, control.Started) for fact in controls(lane)) == 2, what="another recorder")
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 3, what="time in which an unaware one would connect")
    assert ingest.stop() == 0
    assert [record.what for record in seen] == ["open", "cut", "banned"]
    (ban,) = [fact for fact in controls(lane) if isinstance(fact, control.BanSeen)]
    assert ban.channel == "stream"
    assert ban.until_ns > time.time_ns() + 500 * 10**9


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_deaf_subscription_is_found_and_renewed(simulator: Start, tmp_path: Path) -> None:  # noqa: F811
    """Subscribed and not delivered: REST knows better, a new connection brings it, the other symbol loses nothing."""
    plan = FaultPlan(events=[Event(kind="deaf", at_s=20, symbol="ETH-USDT")])
    venue = simulator(synthetic(3600.0, symbols=["BTC-USDT", "ETH-USDT"]), speed=5.0, plan=plan)
    lane = lane_of(tmp_path / "data")
    ingest = Ingest(venue, tmp_path / "data", ["BTC-USDT", "ETH-USDT"])
    began = time.monotonic()
    wait_until(lambda: steps(lane).count("taken over") == 1, timeout_s=120, what="renewed")
    renewed_s = time.monotonic() - began
    taken = next(iter(ends(lane)), "")
    before = max(ids(lane)["ETH-USDT"])
    wait_until(lambda: max(ids(lane)["ETH-USDT"]) > before, what="it is delivered again")
    judge(venue, tmp_path / "data", ingest, [])
    assert taken in {"", "handed over to connection 2"}
    counts = ids(lane)
    assert set(counts["BTC-USDT"]) == set(range(min(counts["BTC-USDT"]), max(counts["BTC-USDT"]) + 1))
    # The one that was deaf misses ids in the stream, and none in the lake.
    assert len(counts["ETH-USDT"]) < max(counts["ETH-USDT"]) - min(counts["ETH-USDT"]) + 1
    ours = rows(held(tmp_path / "data")["ETH-USDT"])
    assert ours == issued(venue.truth(), "ETH-USDT")[: len(ours)]
    deaf = max(counts["ETH-USDT"]) - min(counts["ETH-USDT"]) + 1 - len(counts["ETH-USDT"])
    evidence.write(
        "deaf-subscription",
        "A subscription that is acknowledged and delivers nothing",
        {
            "from the start of ingest until renewed (s)": renewed_s,
            "ids missing in the stream": deaf,
            "ids missing in the lake": 0,
            "ids of the other symbol missing in the stream": 0,
        },
        notes="The whole command against a venue that stops delivering one of two symbols 4 s after its start (20 s of"
        " its own time, played five times as fast). Silence is judged by the symbol's own rate, REST is asked, and a"
        " second connection takes over without the other symbol losing a trade.",
    )
