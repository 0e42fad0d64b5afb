"""The simulated venue over loopback: a real WebSocket client and a real HTTP client see what the truth file says."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect

from tests.support.builders.venue_thread import Simulator, recorded, simulator, synthetic  # noqa: F401
from tests.support.waiting import wait_until
from trading_platform.domain.errors import UsageError
from trading_platform.simulate.faults import Event, FaultPlan
from trading_platform.simulate.synthetic_market import DEMO_START_NS, GENESIS_NS, SyntheticMarket
from trading_platform.simulate.venue_server import VenueServer
from trading_platform.venues.binance import Binance

VENUE = Binance()
NAMES = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT", "SOLUSDT": "SOL-USDT"}


def subscribe(venue: Simulator, *names: str, target: str | None = None) -> ClientConnection:
    address = VENUE.connect(venue.ws_url, names or list(NAMES)).url if target is None else venue.ws_url + target
    return connect(address, compression=None, open_timeout=5, close_timeout=1)


def take_all(venue: Simulator, client: ClientConnection) -> list[dict[str, Any]]:
    """Return the trade events until the market has ended and silence follows."""
    events: list[dict[str, Any]] = []
    while True:
        ended = venue.wait_ended(0)
        try:
            events.append(json.loads(client.recv(timeout=0.2))["data"])
        except TimeoutError:
            if ended:
                return events


def take_until(client: ClientConnection, error: type[Exception], *, timeout_s: float = 5.0) -> tuple[list[Any], Any]:
    """Return the messages until receiving raises `error`, and that."""
    messages: list[Any] = []
    while True:
        try:
            messages.append(json.loads(client.recv(timeout=timeout_s)))
        except error as end:
            return messages, end


def get(venue: Simulator, path: str, **params: object) -> httpx.Response:
    return httpx.get(venue.rest_url + path, params=params, trust_env=False)


def ids(events: list[dict[str, Any]], name: str = "BTCUSDT") -> list[int]:
    return [event["t"] for event in events if event["s"] == name]


def test_a_recording_is_served_as_it_was_recorded(simulator, shared_data):  # noqa: F811
    """All 19,904 recorded trades arrive in order at full speed, the truth names each, and REST has them afterwards."""
    venue = simulator(recorded(shared_data))
    with subscribe(venue, "BTCUSDT") as client:
        events = take_all(venue, client)
        assert ids(events) == list(range(3735683259, 3735703163))
        truth = venue.truth()
        assert [(t["trade_id"], t["price"], t["quantity"], t["sent"]) for t in truth] == [
            (e["t"], e["p"], e["q"], True) for e in events
        ]
        assert truth[0] == {
            "venue": "binance", "symbol": "BTC-USDT", "epoch": 0, "trade_id": 3735683259,
            "ts_event": 1723161255342000000, "price": "61837.63000000", "quantity": "0.02000000",
            "side": "sell", "sent": True,
        }  # fmt: skip
        assert get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1).json()[0]["id"] == 3735703162
        page = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1000, fromId=3735690000)
        assert [row["id"] for row in page.json()] == list(range(3735690000, 3735691000))
        assert client.ping().wait(5)


def test_nothing_is_issued_before_the_first_trade_subscription(simulator):  # noqa: F811
    """Until someone subscribes to trades REST has none and the clock stands; other streams do not start it."""
    venue = simulator(synthetic(5))
    with subscribe(venue, target="/ws") as client:
        client.send('{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}')
        assert client.recv(timeout=5) == '{"result":null,"id":1}'
        assert get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT").json() == []
        assert get(venue, "/api/v3/time").json() == {"serverTime": DEMO_START_NS // 10**6}
        client.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":2}')
        assert client.recv(timeout=5) == '{"result":null,"id":2}'
        assert json.loads(client.recv(timeout=5))["t"] == 5_000_000_001
    venue.wait_ended(10)


def test_the_same_seed_gives_the_same_bytes(simulator):  # noqa: F811
    """Two venues of one seed and plan send the same messages and write the same truth."""
    taken = []
    for _ in range(2):
        venue = simulator(synthetic(20), plan=FaultPlan(drop=0.05, duplicate=0.05, reorder=0.05), seed=3)
        with subscribe(venue) as client:
            taken.append((take_all(venue, client), venue.truth_path.read_bytes()))
    assert taken[0] == taken[1]


def test_the_truth_tells_what_was_sent(simulator):  # noqa: F811
    """With drops, duplicates and disorder a client gets exactly what is marked as sent, first and last included."""
    venue = simulator(synthetic(60), plan=FaultPlan(drop=0.1, duplicate=0.1, reorder=0.1), seed=11)
    with subscribe(venue) as client:
        events = take_all(venue, client)
    for name, symbol in NAMES.items():
        truth = [line for line in venue.truth() if line["symbol"] == symbol]
        got = ids(events, name)
        assert set(got) == {line["trade_id"] for line in truth if line["sent"]}
        assert len(got) > len(set(got))
        assert got != sorted(got)
        assert truth[0]["sent"]
        assert truth[-1]["sent"]
        assert [line["trade_id"] for line in truth] == list(
            range(truth[0]["trade_id"], truth[0]["trade_id"] + len(truth))
        )


def test_every_client_gets_its_symbols_and_forms(simulator):  # noqa: F811
    """Raw and combined clients on one venue each get every trade of what they subscribed to, from then on."""
    venue = simulator(synthetic(20), speed=20.0)
    with (
        subscribe(venue, target="/stream?streams=btcusdt@trade/solusdt@trade&timeUnit=MICROSECOND") as combined,
        subscribe(venue, target="/ws/ethusdt@trade") as raw,
    ):
        assert venue.wait_ended(20)
        wrapped, _ = take_until(combined, TimeoutError, timeout_s=0.3)
        bare, _ = take_until(raw, TimeoutError, timeout_s=0.3)
    assert {message["stream"] for message in wrapped} == {"btcusdt@trade", "solusdt@trade"}
    assert all(message["data"]["T"] > 10**15 for message in wrapped)
    truth = venue.truth()
    assert [m["data"]["t"] for m in wrapped if m["data"]["s"] == "BTCUSDT"] == [
        line["trade_id"] for line in truth if line["symbol"] == "BTC-USDT"
    ]
    eth = [line["trade_id"] for line in truth if line["symbol"] == "ETH-USDT"]
    assert [message["t"] for message in bare] == eth[-len(bare) :]
    assert len(bare) > len(eth) // 2
    assert all(line["sent"] for line in truth if line["symbol"] != "ETH-USDT")


def test_cuts_lose_trades_that_rest_has(simulator):  # noqa: F811
    """A client that reconnects after each cut holds every trade marked as sent, and REST serves the rest."""
    plan = FaultPlan(cut=0.002, events=[Event(kind="cut", at_id=5_000_000_050)])
    venue = simulator(synthetic(300, symbols=["BTC-USDT"]), plan=plan, seed=2)
    got: set[int] = set()
    cuts = 0
    while not (venue.wait_ended(0) and cuts):
        with subscribe(venue, "BTCUSDT") as client:
            try:
                while True:
                    got.add(json.loads(client.recv(timeout=0.5))["data"]["t"])
            except TimeoutError:
                break
            except ConnectionClosed as closed:
                assert closed.rcvd is None
                cuts += 1
    truth = venue.truth()
    assert cuts >= 2
    assert got == {line["trade_id"] for line in truth if line["sent"]}
    lost = [line["trade_id"] for line in truth if not line["sent"]]
    assert lost
    page = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=lost[0], limit=1000)
    assert page.json()[0]["id"] == lost[0]


def test_the_clock_runs_when_nobody_listens(simulator):  # noqa: F811
    """After the only client has left, trades go on being issued, unsent, and REST serves them."""
    venue = simulator(synthetic(30, symbols=["BTC-USDT"]), speed=60.0)
    with subscribe(venue, "BTCUSDT") as client:
        client.recv(timeout=5)
    assert venue.wait_ended(20)
    truth = venue.truth()
    assert not truth[-1]["sent"]
    assert get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1).json()[0]["id"] == truth[-1]["trade_id"]


def test_rest_serves_only_what_has_been_issued(simulator):  # noqa: F811
    """While the market runs no page reaches beyond the truth."""
    venue = simulator(synthetic(3000, symbols=["BTC-USDT"]), speed=20.0)
    with subscribe(venue, "BTCUSDT") as client:
        for _ in range(20):
            client.recv(timeout=5)
            newest = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1).json()[0]["id"]
            assert newest <= venue.truth()[-1]["trade_id"]
            assert get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=newest + 5000).json() == []


def test_real_time_is_kept(simulator):  # noqa: F811
    """At a given speed the simulated time passes that many times as fast as the real one."""
    venue = simulator(synthetic(3000), speed=50.0)
    with subscribe(venue) as client:
        client.recv(timeout=5)
        begin = get(venue, "/api/v3/time").json()["serverTime"]
        began = time.monotonic()
        wait_until(
            lambda: get(venue, "/api/v3/time").json()["serverTime"] - begin > 50_000, what="50 simulated seconds"
        )
        assert 0.7 < time.monotonic() - began < 3


def test_a_market_whose_time_is_now_continues_after_a_restart(simulator):  # noqa: F811
    """A second venue goes on with the next id, and REST has what was traded in between and long before."""
    now_ns = [GENESIS_NS + 90_000 * 10**9]
    last = 0
    for _ in range(2):
        venue = simulator(SyntheticMarket(seed=1, start_ns=GENESIS_NS), speed=1.0, begins_at_ns=lambda: now_ns[0])
        head = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1).json()[0]["id"]
        with subscribe(venue, "BTCUSDT") as client:
            first = json.loads(client.recv(timeout=10))["data"]
            assert first["t"] == head + 1
            assert first["T"] * 10**6 >= now_ns[0]
            between = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=last + 1, limit=1000).json()
            assert between[0]["id"] == (last + 1 if last else 5_000_000_001)
            assert len(between) == 1000
            last = first["t"]
        venue.stop()
        now_ns[0] += 3600 * 10**9


def test_too_many_messages_end_the_connection(simulator):  # noqa: F811
    """More than five inbound messages a second, pings among them, are answered with a close."""
    venue = simulator(synthetic(600), speed=1.0)
    with subscribe(venue, target="/ws") as client:
        for _ in range(3):
            client.ping()
            client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        _, closed = take_until(client, ConnectionClosed)
    assert closed.rcvd.code == 1008
    wait_until(lambda: "flooded" in [record.what for record in venue.server.connections])


def test_a_shutdown_is_announced(simulator):  # noqa: F811
    """serverShutdown arrives before the connection is closed with 1001."""
    plan = FaultPlan(events=[Event(kind="server_shutdown", at_s=1, seconds=0.2)])
    venue = simulator(synthetic(600), plan=plan, speed=20.0)
    with subscribe(venue) as client:
        seen, closed = take_until(client, ConnectionClosed)
    assert "!serverShutdown" in [message["stream"] for message in seen]
    assert closed.rcvd.code == 1001


def test_a_hole_is_silent_and_ends_without_a_close_frame(simulator):  # noqa: F811
    """In a hole nothing comes and no ping is answered; a new connection works meanwhile."""
    venue = simulator(synthetic(600), plan=FaultPlan(events=[Event(kind="hole", at_s=1, seconds=0.8)]), speed=20.0)
    with subscribe(venue) as client:
        take_until(client, TimeoutError, timeout_s=0.3)
        assert not client.ping().wait(0.1)
        with subscribe(venue) as other:
            other.recv(timeout=5)
        _, closed = take_until(client, ConnectionClosed)
        assert closed.rcvd is None


def test_connections_can_be_refused(simulator):  # noqa: F811
    """While connects are refused the handshake fails with 503, later it works; unknown paths are 404."""
    plan = FaultPlan(events=[Event(kind="refuse_connect", at_s=0, seconds=0.5), Event(kind="cut", at_s=1)])
    venue = simulator(synthetic(600), plan=plan, speed=20.0)
    with subscribe(venue) as client:
        take_until(client, ConnectionClosed)
    with pytest.raises(InvalidStatus) as refused:
        subscribe(venue)
    assert refused.value.response.status_code == 503

    def connected() -> bool:
        try:
            with subscribe(venue) as client:
                return bool(client.recv(timeout=5))
        except InvalidStatus:
            return False

    wait_until(connected, every_s=0.1)
    with pytest.raises(InvalidStatus) as missing:
        subscribe(venue, target="/nowhere")
    assert missing.value.response.status_code == 404


def test_the_venues_limits_are_kept(simulator):  # noqa: F811
    """An address that is too long is 414, too many streams are 400; what a test or a plan refuses is refused so."""
    refuse = {"xrpusdt@trade": 451}
    venue = simulator(
        synthetic(600),
        address_bytes=4000,
        refuse=lambda streams: next((refuse[name] for name in streams if name in refuse), None),
        plan=FaultPlan(events=[Event(kind="refuse_connect", at_s=1, seconds=500, status=403)]),
        speed=20.0,
    )

    def answer(target: str) -> int:
        with pytest.raises(InvalidStatus) as refused:
            subscribe(venue, target=target)
        return refused.value.response.status_code

    streams = "/".join(f"s{number}@trade" for number in range(1025))
    assert answer(f"/stream?streams={streams}") == 414
    assert answer("/stream?streams=" + "/".join("a" for _ in range(1025))) == 400
    assert answer("/stream?streams=btcusdt@trade/xrpusdt@trade") == 451
    with subscribe(venue) as client:
        wait_until(lambda: venue.server._door._refused_until_s > 0, what="the plan's refusal")
        assert answer("/stream?streams=btcusdt@trade") == 403
        assert client.recv(timeout=5)


def test_a_close_carries_the_planned_code(simulator):  # noqa: F811
    """1013 is what the client is told."""
    plan = FaultPlan(events=[Event(kind="close", at_s=1, code=1013)])
    venue = simulator(synthetic(600), plan=plan, speed=20.0)
    with subscribe(venue) as client:
        _, closed = take_until(client, ConnectionClosed)
    assert closed.rcvd.code == 1013
    assert [seen.what for seen in venue.server.connections] == ["open", "closed"]


def test_a_ping_flood_carries_whole_payloads(simulator):  # noqa: F811
    """Pings of 125 bytes arrive, and a client that answers them all is cut off for too many messages."""
    venue = simulator(synthetic(600), plan=FaultPlan(events=[Event(kind="ping_flood", at_s=1, count=12)]), speed=20.0)
    with subscribe(venue) as client:
        pings = []
        process = client.protocol.recv_frame
        client.protocol.recv_frame = lambda frame: (pings.append(frame), process(frame))[1]
        _, closed = take_until(client, ConnectionClosed)
    assert [len(frame.data) for frame in pings if frame.opcode is Opcode.PING] == [125] * 12
    assert closed.rcvd.code == 1008


def test_a_connection_has_a_lifetime(simulator):  # noqa: F811
    """A healthy connection is closed with 1001 when its time is over, as the venue does after 24 hours."""
    venue = simulator(synthetic(600), speed=1.0, lifetime_s=0.3)
    with subscribe(venue) as client:
        _, closed = take_until(client, ConnectionClosed)
    assert closed.rcvd.code == 1001


def test_the_request_log_tells_times_and_weights(simulator, tmp_path):  # noqa: F811
    """Every request is logged with its weight, status and the minute's total, in memory and in a file."""
    venue = simulator(synthetic(5), requests_path=tmp_path / "requests.jsonl")
    get(venue, "/api/v3/time")
    get(venue, "/api/v3/historicalTrades", symbol="NOPE")
    first, second = venue.server.api.requests
    assert (first.path, first.weight, first.status, first.used_weight) == ("/api/v3/time", 1, 200, 1)
    assert (second.params, second.weight, second.status, second.used_weight) == ({"symbol": "NOPE"}, 25, 400, 26)
    assert first.mono_s <= second.mono_s
    lines = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/api/v3/time", "/api/v3/historicalTrades"]


def test_a_slow_reader_holds_a_fast_market_back(simulator):  # noqa: F811
    """At speed max the venue waits for its listener instead of piling frames up."""
    venue = simulator(synthetic(3000))
    with subscribe(venue) as client:
        client.recv(timeout=5)
        pause = threading.Event()
        issued = -1
        while issued != venue.server.issued:
            issued = venue.server.issued
            pause.wait(0.2)
        assert not venue.wait_ended(0)
        assert issued < 60_000


def test_a_port_in_use_is_one_line(simulator):  # noqa: F811
    """A second venue on the same port is refused with a line that says so."""
    venue = simulator(synthetic(5))
    port = int(venue.ws_url.rpartition(":")[2])
    with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use"):
        simulator(synthetic(5), port=port)


def test_a_truth_file_that_cannot_be_written_is_one_line(tmp_path):
    """A truth file in a folder that does not exist keeps the venue from starting."""

    async def start() -> None:
        await VenueServer(synthetic(5), truth_path=tmp_path / "no" / "truth.jsonl").start()

    with pytest.raises(UsageError, match="truth file"):
        asyncio.run(start())


def test_ids_start_again(simulator):  # noqa: F811
    """From the planned trade on, stream, REST and truth bear new ids, the truth the next epoch; a stray id is shown."""
    first = 5_000_000_001
    plan = FaultPlan(
        events=[
            Event(at_id=first + 10, kind="renumber", symbol="BTC-USDT", first_id=1),
            Event(at_id=first + 20, kind="stray_id", symbol="BTC-USDT", shown_id=777),
            Event(at_id=first + 30, kind="renumber", symbol="BTC-USDT", first_id=5),
        ]
    )
    venue = simulator(synthetic(5, symbols=["BTC-USDT"]), plan=plan)
    with subscribe(venue, "BTCUSDT") as client:
        seen = ids(take_all(venue, client))
    truth = [(row["epoch"], row["trade_id"]) for row in venue.truth()]
    last = len(truth) - 30
    wanted = [(0, first + n) for n in range(10)] + [(1, 1 + n) for n in range(20)] + [(2, 5 + n) for n in range(last)]
    assert truth == wanted
    assert seen == [number for _, number in wanted[:20]] + [777] + [number for _, number in wanted[20:]]
    page = get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1000, fromId=1).json()
    assert [row["id"] for row in page] == [number for epoch, number in wanted if epoch == 2]


def test_a_symbol_that_is_halted_or_delisted_trades_no_more(simulator):  # noqa: F811
    """Others go on; a halted one is listed as BREAK and still served, a delisted one is not known any more."""
    events = [Event(kind="halt", at_s=10, symbol="BTC-USDT"), Event(kind="delist", at_s=20, symbol="ETH-USDT")]
    venue = simulator(synthetic(60), plan=FaultPlan(events=events))
    with subscribe(venue) as client:
        seen = take_all(venue, client)
    last = {name: max(e["T"] for e in seen if e["s"] == name) - DEMO_START_NS // 10**6 for name in NAMES}
    assert last["BTCUSDT"] <= 10_500
    assert 10_500 < last["ETHUSDT"] <= 25_000
    assert last["SOLUSDT"] > 30_000
    listed = {row["symbol"]: row["status"] for row in get(venue, "/api/v3/exchangeInfo").json()["symbols"]}
    assert listed == {"BTCUSDT": "BREAK", "SOLUSDT": "TRADING"}
    assert get(venue, "/api/v3/historicalTrades", symbol="BTCUSDT", limit=1).json()[0]["id"] == max(ids(seen))
    assert get(venue, "/api/v3/historicalTrades", symbol="ETHUSDT").json()["code"] == -1121
    assert len(venue.truth()) == len(seen)
