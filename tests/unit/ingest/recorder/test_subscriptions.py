"""Subscriptions by message, in virtual time: answers that come, come late, refuse, or never come at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given, settings, strategies as st

from trading_platform.ingest.rate_limits.connect_policy import Address, ConnectLimits
from trading_platform.ingest.recorder.actions import (
    Action,
    Close,
    Connect,
    HandoverStep,
    Ping,
    Probe,
    Say,
    Subscribed,
    SymbolsLost,
    SymbolsRefused,
)
from trading_platform.ingest.recorder.session import ConnectionTerms, Session
from trading_platform.ingest.recorder.subscriptions import Subscriptions
from trading_platform.venues.adapter import KeepAlive, Notice, Subscribe

S = 10**9
NAMES = ["A", "B", "C"]


def ask(names: Sequence[str], most: int = 2) -> list[Subscribe]:
    """Return messages of so many symbols each, named after them."""
    pieces = [tuple(names[at : at + most]) for at in range(0, len(names), most)]
    return [Subscribe("+".join(piece).encode(), piece, "+".join(piece)) for piece in pieces]


class Asked:
    """Subscriptions whose messages are all sent at once, and remembered."""

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.mine = Subscriptions(names, ask, random.Random(1), now_ns=0)
        self.sent: list[tuple[float, str]] = []

    def send(self, at_s: float) -> list[str]:
        """Send what is due then; return it."""
        messages = self.mine.due(int(at_s * S))
        for message in messages:
            self.mine.said(message, int(at_s * S))
        self.sent += [(at_s, message.request) for message in messages]
        return [message.request for message in messages]


def test_each_symbol_is_asked_for_once_while_it_is_answered() -> None:
    """Acknowledgements name symbols or the message; nothing is said again then."""
    asked = Asked()
    assert asked.send(0) == ["A+B", "C"]
    asked.mine.answered(Notice("ack", request="A+B"), S)
    assert not asked.mine.all_answered
    asked.mine.answered(Notice("ack", ("C",)), S)
    assert asked.mine.all_answered
    assert asked.mine.subscribed == NAMES
    assert asked.send(10_000) == []


def test_a_message_that_could_not_be_sent_is_due_again() -> None:
    """The venue's limit on messages lets one out now and the other later; its answer is owed from then on."""
    mine = Subscriptions(NAMES, ask, random.Random(1), now_ns=0)
    first, second = mine.due(0)
    mine.said(first, 0)
    assert mine.due(S) == [second]
    mine.said(second, 9 * S)
    mine.answered(Notice("ack", request="A+B"), 9 * S)
    assert mine.due(18 * S) == []
    assert not mine.all_answered
    assert [message.symbols for message in mine.due(19 * S)] == [("C",)]
    assert mine.all_answered


def test_an_answer_that_never_comes_is_asked_for_again_ever_more_seldom() -> None:
    """A lost subscription comes to life by being said again; one that the venue ignores costs a message a minute."""
    asked = Asked(["A"])
    for second in range(600):
        asked.send(second)
    times = [at_s for at_s, _ in asked.sent]
    assert times[:4] == [0, 10, 30, 70]
    assert {later - earlier for earlier, later in zip(times[3:], times[4:], strict=False)} == {60}


def test_a_refused_symbol_is_told_once_and_does_not_take_the_others_with_it() -> None:
    """The venue refuses the message for one symbol of it: the other is asked for again at once, the one in minutes."""
    asked = Asked()
    asked.send(0)
    asked.mine.answered(Notice("nack", ("B",), request="A+B", reason="no such symbol"), S)
    assert asked.mine.take_refusals() == [SymbolsRefused(("B",), "no such symbol", 300.0)]
    assert asked.send(1) == ["A"]
    asked.mine.answered(Notice("ack", ("A", "C")), S)
    assert asked.send(300) == []
    assert asked.send(301) == ["B"]
    asked.mine.answered(Notice("nack", request="B", reason="no such symbol"), 302 * S)
    assert asked.mine.take_refusals() == []
    asked.mine.answered(Notice("ack", request="B"), 303 * S)
    assert "B" in asked.mine.subscribed


def test_a_refusal_that_names_no_symbol_is_found_out_one_by_one() -> None:
    """Two symbols share a message: each is said alone, the one at fault is refused."""
    asked = Asked()
    asked.send(0)
    asked.mine.answered(Notice("nack", request="A+B", reason="bad"), S)
    assert asked.mine.take_refusals() == []
    assert asked.send(1) == ["A", "B"]
    asked.mine.answered(Notice("ack", request="A"), S)
    asked.mine.answered(Notice("nack", request="B", reason="bad"), S)
    assert asked.mine.take_refusals() == [SymbolsRefused(("B",), "bad", 300.0)]
    assert asked.mine.subscribed == ["A"]


def test_a_refusal_for_load_is_tried_again_with_growing_waits() -> None:
    """Nothing is wrong with the symbol: it is no refused one, whatever the reason says."""
    asked = Asked(["A"])
    times = []
    for second in range(600):
        if asked.send(second):
            times.append(second)
            asked.mine.answered(Notice("nack", ("A",), reason="rate limit", passing=True), second * S)
    waits = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert waits[0] <= 2
    assert 30 <= waits[-1] <= 61
    assert asked.mine.wanted == ["A"]
    assert asked.mine.take_refusals() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ack", "nack", "other", "trade"]),
            st.lists(st.sampled_from([*NAMES, "X"]), max_size=2).map(tuple),
            st.sampled_from(["", "A+B", "C", "X"]),
            st.booleans(),
            st.integers(0, 400 * S),
        ),
        max_size=40,
    )
)
@settings(deadline=None)
def test_any_answers_leave_every_symbol_subscribed_or_asked_for_again(answers: list[tuple[str, ...]]) -> None:
    """Whatever a venue answers: within 10 minutes of silence everything that is not subscribed was said again."""
    asked, now_ns = Asked(), 0
    for kind, symbols, request, passing, later_ns in answers:  # type: ignore[misc]
        now_ns += later_ns  # type: ignore[operator]
        asked.send(now_ns / S)
        if kind == "trade":
            asked.mine.delivers("A")
        else:
            asked.mine.answered(Notice(kind, symbols, request, "no", passing), now_ns)  # type: ignore[arg-type]
    asked.sent.clear()
    asked.send(now_ns / S + 600)
    said = {name for _, request in asked.sent for name in request.split("+")}
    assert said | set(asked.mine.subscribed) == set(NAMES)


class Line:
    """A session of symbols that are subscribed by message, and its clock."""

    def __init__(self, *names: str, keepalive: KeepAlive | None = None) -> None:
        self.rng = random.Random(1)
        self.address = Address(ConnectLimits(), self.rng)
        terms = ConnectionTerms(keepalive or KeepAlive("none", stale_s=1e9), 86_400.0)
        number = count(1).__next__
        self.session = Session(names or NAMES, terms, self.address, self.rng, number=number, mono_ns=0, boot_ns=0)
        self.now = 0
        self.told: list[tuple[float, Action]] = []

    def run(self, until_s: float) -> list[Action]:
        """Tick until then; return what was decided meanwhile, with every message sent and every connection open."""
        before = len(self.told)
        while self.now <= until_s * S:
            for action in self.session.tick(self.now, self.now):
                self.told.append((self.now / S, action))
                match action:
                    case Connect(connection):
                        self.session.opened(connection, self.now, ask)
                    case Say(connection, message):
                        self.session.said(connection, message, self.now)
                    case Close(connection):
                        self.session.ended(connection, self.now)
            self.now += S // 4
        return [action for _, action in self.told[before:]]

    def answer(self, kind: str, *symbols: str, connection: int = 1, passing: bool = False) -> None:
        """Let the venue answer."""
        self.session.noticed(connection, Notice(kind, symbols, reason="no", passing=passing), self.now)  # type: ignore[arg-type]


def test_a_connection_carries_its_symbols_once_all_are_answered() -> None:
    """It neither counts as open nor takes over before."""
    line = Line()
    line.run(1)
    assert line.address.open == 0
    line.answer("ack", "A", "B")
    assert not any(isinstance(action, Subscribed) for action in line.run(2))
    line.answer("ack", "C")
    assert line.run(3) == [Subscribed(("A", "B", "C"))]
    assert line.address.open == 1


def test_a_refused_symbol_is_lost_and_the_others_go_on() -> None:
    """One line names it; nobody waits for it, and it is asked for again."""
    line = Line()
    line.run(1)
    line.answer("ack", "A", "C")
    line.answer("nack", "B")
    assert line.run(2) == [
        SymbolsRefused(("B",), "no", 300.0),
        SymbolsLost(("B",), "subscription refused"),
        Subscribed(("A", "C")),
    ]
    assert Probe(("A", "C")) in line.run(10)
    later = line.run(305)
    assert [action for action in later if isinstance(action, Say)] == [Say(1, Subscribe(b"B", ("B",), "B"))]
    line.answer("ack", "B")
    assert line.run(306) == [Subscribed(("B",)), Probe(("B",))]


@pytest.mark.parametrize(
    ("refused", "reason"), [(False, "subscriptions not answered"), (True, "every subscription refused")]
)
def test_a_connection_that_carries_nothing_is_given_up_with_growing_waits(refused: bool, reason: str) -> None:
    """Attempts get ever more seldom, instead of one for each connection that opens."""
    line = Line("A")
    for second in range(1, 3000):
        line.run(second)
        if refused:
            for _, action in line.told[-3:]:
                if isinstance(action, Say):
                    line.answer("nack", "A", connection=action.connection)
    times = [at_s for at_s, action in line.told if isinstance(action, Connect)]
    closes = [action for _, action in line.told if isinstance(action, Close)]
    assert {close.reason for close in closes} == {reason}
    assert len(times) < 150
    assert max(later - earlier for earlier, later in zip(times, times[1:], strict=False)) > (60 if refused else 20)


def test_a_symbol_that_is_never_answered_does_not_hold_the_others_back() -> None:
    """After its time the connection goes on without it, asks by REST what it traded, and says it again."""
    line = Line()
    line.run(1)
    line.answer("ack", "A", "B")
    actions = line.run(12)
    assert Subscribed(("A", "B")) in actions
    assert Say(1, Subscribe(b"C", ("C",), "C")) in actions
    line.session.peeked(1, "A", 1)
    line.session.peeked(1, "B", 1)
    assert Probe(("C",)) in line.run(30)


def test_a_new_connection_takes_over_only_once_it_is_subscribed() -> None:
    """The old one goes on meanwhile: closing it earlier would lose what the new one is not told yet."""
    line = Line("A")
    line.run(1)
    line.answer("ack", "A")
    line.session.peeked(1, "A", 1)
    line.run(2)
    line.session.noticed(1, Notice("farewell"), line.now)
    assert HandoverStep("begins", 1, 2, "venue announced shutdown") in line.run(3)
    line.session.peeked(1, "A", 2)
    line.session.peeked(2, "A", 2)
    assert not any(isinstance(action, Close) for action in line.run(4))
    line.answer("ack", "A", connection=2)
    line.run(4.5)
    line.session.peeked(1, "A", 3)
    line.session.peeked(2, "A", 3)
    assert Close(1, "handed over to connection 2") in line.run(5)


def test_a_connection_without_life_is_ended_before_it_is_subscribed() -> None:
    """Nothing at all arrives: neither acknowledgements nor anything else. It carried nothing, so nothing is lost."""
    line = Line("A", keepalive=KeepAlive("json", b"{}", 3.0, 2.0, 4.0))
    actions = line.run(6)
    assert any(isinstance(action, Ping) for action in actions)
    assert Close(1, "stale") in actions
    assert not any(isinstance(action, SymbolsLost) for action in actions)
