"""Every exchange of the simulator over loopback: a plain client sees what the truth says, and every fault shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from tests.support.builders.plain_clients import PLAIN, Seen, subscribe, take, truth
from tests.support.builders.venue_thread import Simulator, simulator, synthetic  # noqa: F401  the fixture
from tests.support.waiting import wait_until
from trading_platform.simulate.exchange import Exchange
from trading_platform.simulate.exchanges import EXCHANGES
from trading_platform.simulate.faults import KINDS, Event, FaultPlan

Start = Callable[..., Simulator]
EACH = pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
FIRST = 5_000_000_001
AT = FIRST + 20
BTC = "BTC-USDT"
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


def able(*events: dict[str, Any]) -> pytest.MarkDecorator:
    """Return every event with every exchange that can show it."""
    chosen = [
        pytest.param(exchange, event, id=f"{name}-{event['kind']}")
        for event in events
        for name, exchange in EXCHANGES.items()
        if event["kind"] not in exchange.cannot
    ]
    return pytest.mark.parametrize(("exchange", "event"), chosen)


def test_every_exchange_has_a_plain_client():
    """No exchange is left out here."""
    assert PLAIN.keys() == EXCHANGES.keys()


@EACH
def test_a_client_sees_exactly_what_was_sent(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """With drops, duplicates and disorder a client sees all that the truth marks as sent, field by field, no more."""
    plan = FaultPlan(drop=0.1, duplicate=0.1, reorder=0.1)
    venue = simulator(synthetic(60), exchange=exchange, plan=plan, seed=5)
    with subscribe(venue, *SYMBOLS) as client:
        seen, _ = take(venue, client)
    issued = truth(venue)
    assert {row.symbol for row, _ in issued} == set(SYMBOLS)
    assert set(seen) == {row for row, sent in issued if sent}
    assert len(seen) > len(set(seen)) > 500
    assert len({(row.symbol, row.key) for row, _ in issued}) == len(issued)
    assert {line["venue"] for line in venue.truth()} == {exchange.name}


@EACH
def test_the_same_seed_gives_the_same_bytes(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """Two venues of one seed write the same truth and send the same trades in the same order."""
    # Where each symbol is subscribed by a message of its own, the market begins after the first one.
    symbols = SYMBOLS if len(PLAIN[exchange.name].say(SYMBOLS)) < 2 else (BTC,)
    taken = []
    for _ in range(2):
        venue = simulator(synthetic(10), exchange=exchange, plan=FaultPlan(drop=0.05, reorder=0.05), seed=3)
        with subscribe(venue, *symbols) as client:
            taken.append((take(venue, client)[0], venue.truth_path.read_bytes()))
    assert taken[0] == taken[1]


def _play(
    start: Start, exchange: type[Exchange], *, until_closed: bool = False, **event: Any
) -> tuple[Simulator, list[Seen], list[Seen], Any]:
    """Play ten seconds of one symbol with an event; return the venue, what a client saw, what was issued, the end."""
    plan = FaultPlan(events=[Event(**{"at_id": AT, **event})])
    venue = start(synthetic(10, symbols=[BTC]), exchange=exchange, plan=plan)
    with subscribe(venue, BTC) as client:
        seen, closed = take(venue, client, until_closed=until_closed)
        assert closed is not None or venue.wait_ended(10)
    return venue, seen, [row for row, _ in truth(venue)], closed


SHOWN: dict[str, Callable[[list[Seen]], list[Seen]]] = {
    "drop": lambda issued: issued[:20] + issued[22:],
    "duplicate": lambda issued: issued[:21] + issued[20:],
    "reorder": lambda issued: [*issued[:20], *issued[21:23], issued[20], *issued[23:]],
    "replay": lambda issued: issued[:20] + issued[17:],
    "silence": lambda issued: issued[:20],
    "deaf": lambda issued: issued[:20],
}
"""What a client sees of what was issued, by the kind of a fault at the 21st trade."""


@able(
    {"kind": "drop", "count": 2},
    {"kind": "duplicate"},
    {"kind": "reorder", "depth": 2},
    {"kind": "replay", "count": 3},
    {"kind": "silence", "seconds": 1e6},
    {"kind": "deaf"},
)
def test_a_fault_of_frames_shows(simulator: Start, exchange: type[Exchange], event: dict[str, Any]):  # noqa: F811
    """Each planned fault of frames changes exactly what it says in what a client sees."""
    _, seen, issued, _ = _play(simulator, exchange, **event)
    assert seen == SHOWN[event["kind"]](issued)


@EACH
def test_the_market_ends_for_a_halted_symbol(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """From the halt on nothing is issued or seen."""
    _, seen, issued, _ = _play(simulator, exchange, kind="halt")
    assert seen == issued
    assert len(seen) in {20, 21}


@able({"kind": "renumber", "first_id": 7})
def test_ids_that_start_again_show(simulator: Start, exchange: type[Exchange], event: dict[str, Any]):  # noqa: F811
    """A new numbering is what stream and truth tell from then on."""
    _, seen, issued, _ = _play(simulator, exchange, **event)
    assert [row.key for row in seen[19:22]] == [str(FIRST + 19), "7", "8"]
    assert seen == issued


@able({"kind": "stray_id", "shown_id": 777})
def test_a_stray_id_shows(simulator: Start, exchange: type[Exchange], event: dict[str, Any]):  # noqa: F811
    """It is told once more than it was issued."""
    _, seen, issued, _ = _play(simulator, exchange, **event)
    assert seen[20] == issued[20]._replace(key="777")
    assert seen[:20] + seen[21:] == issued


@EACH
def test_an_odd_time_shows(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """Two frames tell another time than the truth does."""
    _, seen, issued, _ = _play(simulator, exchange, kind="odd_time", count=2, shown_time=1_500_000_000_000)
    odd = [row for row, true in zip(seen, issued, strict=True) if row != true]
    assert len(odd) == 2
    assert {row.ts_event // 10**9 for row in odd} == {1_500_000_000}


CODES = {"cut": None, "close": 1013, "hole": None, "server_shutdown": 1001, "ban_connect": None}


@able(
    {"kind": "cut"},
    {"kind": "close", "code": 1013},
    {"kind": "hole", "seconds": 0.1},
    {"kind": "server_shutdown", "seconds": 0.0},
    {"kind": "ban_connect", "seconds": 60},
)
def test_a_fault_of_connections_shows(simulator: Start, exchange: type[Exchange], event: dict[str, Any]):  # noqa: F811
    """A connection ends as planned, what was sent before arrives, and a ban is answered in the exchange's way."""
    venue, seen, issued, closed = _play(simulator, exchange, until_closed=True, **event)
    assert closed is not None
    assert (closed.rcvd.code if closed.rcvd else None) == CODES[event["kind"]]
    assert seen[:20] == issued[:20]
    if event["kind"] == "ban_connect":
        with pytest.raises(InvalidStatus) as banned, subscribe(venue, BTC):
            pass
        assert banned.value.response.status_code == exchange.limits.ban_status


@EACH
def test_connects_are_refused_and_pings_come(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """A refusal has the planned status; a flood of pings reaches the client while its connection stays."""
    events = [
        Event(kind="refuse_connect", at_id=AT, seconds=60, status=502),
        Event(kind="ping_flood", at_id=AT, count=4),
    ]
    venue = simulator(synthetic(3000, symbols=[BTC]), exchange=exchange, plan=FaultPlan(events=events), speed=20.0)
    with subscribe(venue, BTC) as client:
        pings = []
        process = client.protocol.recv_frame
        client.protocol.recv_frame = lambda frame: (pings.append(frame.opcode), process(frame))[1]
        take(venue, client, enough=lambda seen: pings.count(Opcode.PING) == 4)
        with pytest.raises(InvalidStatus) as refused, subscribe(venue, BTC):
            pass
        assert refused.value.response.status_code == 502


@EACH
def test_a_subscription_can_be_accepted_and_stay_silent(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """The first client hears the other symbol only, the next one both."""
    plan = FaultPlan(events=[Event(kind="empty_ack", at_s=0, symbol=BTC)])
    venue = simulator(synthetic(3000), exchange=exchange, plan=plan, speed=20.0)
    with subscribe(venue, BTC, "ETH-USDT") as first:
        seen, _ = take(venue, first, enough=lambda seen: len(seen) > 40)
        assert {row.symbol for row in seen} == {"ETH-USDT"}
        with subscribe(venue, BTC, "ETH-USDT") as second:
            take(venue, second, enough=lambda seen: {row.symbol for row in seen} == {BTC, "ETH-USDT"})


@pytest.mark.parametrize("exchange", [one for one in EXCHANGES.values() if one.heartbeat])
def test_a_heartbeat_comes_where_there_is_one(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """In silence a subscribed client gets the exchange's heartbeat."""
    plan = FaultPlan(events=[Event(kind="silence", at_s=0, seconds=1e6)])
    venue = simulator(synthetic(10, symbols=[BTC]), exchange=exchange, plan=plan)
    with subscribe(venue, BTC) as client:
        messages = [json.loads(client.recv(timeout=5)) for _ in range(4)]
    assert messages[-1] == json.loads(exchange.heartbeat)


@EACH
def test_who_connects_too_often_is_refused(simulator: Start, exchange: type[Exchange]):  # noqa: F811
    """One attempt more than the exchange allows is refused in its way."""
    venue = simulator(synthetic(10), exchange=exchange)
    door = venue.server._door
    for _ in range(exchange.limits.connects):
        door.answer("/nowhere", venue.server._clock())
    with pytest.raises(InvalidStatus) as refused, subscribe(venue, BTC):
        pass
    assert refused.value.response.status_code == exchange.limits.too_many_status


def test_every_kind_of_fault_is_met_by_some_test():
    """The kinds tried here and, for requests and files, by the exchanges' own tests are all there are."""
    here = "drop duplicate reorder replay silence deaf halt renumber stray_id odd_time cut close hole server_shutdown"
    here += " ban_connect refuse_connect ping_flood empty_ack"
    assert {kind for kind in KINDS if not kind.startswith(("rest_", "archive_"))} - {"delist"} == set(here.split())


def test_a_venue_ends_within_reason(simulator: Start):  # noqa: F811
    """The helper's own check: a market that ends is noticed."""
    venue = simulator(synthetic(1))
    with subscribe(venue, *SYMBOLS):
        wait_until(lambda: venue.wait_ended(0))
