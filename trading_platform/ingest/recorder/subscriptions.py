"""What one connection has asked the venue for by message, and what was answered. Sans-I/O: messages, notices, `now_ns`.

Where connecting subscribes there is nothing of this. Whether a connection lives, and what its symbols owe each other,
is session.py; a subscription that was acknowledged and delivers nothing is found by liveness/stale_symbols.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trading_platform.domain.backoff import doubled
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.recorder.actions import SymbolsRefused
from trading_platform.venues.adapter import Notice, Subscribe

ANSWER_S = 10.0
"""A message that is not answered for so long is sent again."""
FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 60.0
"""The upper end of the first wait after a refusal for a time, doubled at each, and its cap; of an answer too."""
REFUSED_AGAIN_S = 300.0
"""What is refused as such is asked for again so seldom: the venue may list it later."""

Ask = Callable[[Sequence[str]], Sequence[Subscribe]]
"""Returns the messages that subscribe these symbols."""


@dataclass
class _Subscription:
    """One symbol.

    Attributes
    ----------
    due_ns : when it is asked for, if nothing happens before; None while that waits to be sent, or is not needed.
    alone : it is asked for in a message of its own.
    asked : its answer is owed.
    answered : it had an answer, or the time for one.
    failures : so often in a row it was refused for a time, or not answered.
    """

    due_ns: int | None
    alone: bool = False
    asked: bool = False
    answered: bool = False
    subscribed: bool = False
    refused: bool = False
    failures: int = 0

    def grow_s(self, first_s: float) -> float:
        """Count a failure; return the wait that follows it, at most."""
        bound_s = doubled(first_s, self.failures, LONGEST_AGAIN_S)
        self.failures, self.answered = self.failures + 1, True
        return bound_s


class Subscriptions:
    """The symbols of one connection.

    Parameters
    ----------
    ask : returns the messages for some symbols.
    now_ns : when the connection was open.

    Examples
    --------
    >>> ask = lambda names: [Subscribe(b"+" + name.encode(), (name,)) for name in names]
    >>> mine = Subscriptions(["A", "B"], ask, random.Random(1), now_ns=0)
    >>> for message in mine.due(0):
    ...     mine.said(message, 0)
    >>> mine.answered(Notice("ack", ("A",)), 1)
    >>> mine.answered(Notice("nack", ("B",), reason="not listed"), 1)
    >>> mine.all_answered, mine.subscribed, mine.take_refusals()
    (True, ['A'], [SymbolsRefused(symbols=('B',), reason='not listed', again_s=300.0)])
    """

    def __init__(self, symbols: Iterable[str], ask: Ask, rng: random.Random, *, now_ns: int) -> None:
        self._topics = {name: _Subscription(now_ns) for name in symbols}
        self._ask, self._rng = ask, rng
        self._unsent: list[Subscribe] = []
        self._sent: dict[str, Subscribe] = {}
        self._refusals: list[SymbolsRefused] = []
        self._subscribed: list[str] = []

    # ---- what happens

    def said(self, message: Subscribe, now_ns: int) -> None:
        """Take note that a message of `due` was sent."""
        self._unsent.remove(message)
        if message.request:
            self._sent[message.request] = message
        for name in message.symbols:
            topic = self._topics[name]
            wait_s = doubled(ANSWER_S, topic.failures, LONGEST_AGAIN_S)
            topic.asked, topic.due_ns = True, now_ns + int(wait_s * NS_PER_S)

    def answered(self, notice: Notice, now_ns: int) -> None:
        """Take note of an acknowledgement or a refusal; of one that is about nothing here, of nothing."""
        message = self._sent.get(notice.request) if notice.request else None
        named = [name for name in notice.symbols if name in self._topics]
        if notice.kind == "ack":
            for name in named or (message.symbols if message else ()):
                self.delivers(name)
            return
        company = [name for name in message.symbols if self._topics[name].asked] if message else []
        about = named or company
        if notice.passing:
            self._later({*about, *company}, now_ns)
        elif about is company and len(company) > 1:
            self._soon(company, now_ns, alone=True)  # one of them, and it is not said which
        else:
            self._refuse(about, notice.reason, now_ns)
            self._soon([name for name in company if name not in about], now_ns, alone=False)

    def delivers(self, symbol: str) -> None:
        """Take note that a symbol is subscribed: it was acknowledged, or a trade of it has come."""
        topic = self._topics.get(symbol)
        if topic is not None and not topic.subscribed:
            self._topics[symbol] = _Subscription(None, answered=True, subscribed=True)
            self._subscribed.append(symbol)

    # ---- what to do

    def due(self, now_ns: int) -> list[Subscribe]:
        """Return the messages to send now, in order; those that cannot be sent yet are returned again."""
        together: list[str] = []
        for name, topic in self._topics.items():
            if topic.due_ns is None or topic.due_ns > now_ns:
                continue
            if topic.asked:
                topic.grow_s(ANSWER_S)
            topic.asked, topic.due_ns = False, None
            if topic.alone:
                self._unsent += self._ask([name])
            else:
                together.append(name)
        if together:
            self._unsent += self._ask(together)
        return list(self._unsent)

    @property
    def all_answered(self) -> bool:
        """Whether every symbol had an answer, or the time for one."""
        return all(topic.answered for topic in self._topics.values())

    @property
    def subscribed(self) -> list[str]:
        """The symbols that are subscribed."""
        return [name for name, topic in self._topics.items() if topic.subscribed]

    @property
    def wanted(self) -> list[str]:
        """The symbols that the venue has not refused."""
        return [name for name, topic in self._topics.items() if not topic.refused]

    def take_refusals(self) -> list[SymbolsRefused]:
        """Return what was refused since the last call, each symbol once."""
        refusals, self._refusals = self._refusals, []
        return refusals

    def take_subscribed(self) -> list[str]:
        """Return the symbols that were subscribed since the last call."""
        subscribed, self._subscribed = self._subscribed, []
        return subscribed

    def _refuse(self, names: Iterable[str], reason: str, now_ns: int) -> None:
        topics = {name: self._topics[name] for name in names if not self._topics[name].subscribed}
        if new := tuple(name for name, topic in topics.items() if not topic.refused):
            self._refusals.append(SymbolsRefused(new, reason, REFUSED_AGAIN_S))
        for topic in topics.values():
            topic.asked, topic.answered, topic.refused, topic.alone = False, True, True, True
            topic.due_ns = now_ns + int(REFUSED_AGAIN_S * NS_PER_S)

    def _later(self, names: Iterable[str], now_ns: int) -> None:
        for name in names:
            topic = self._topics[name]
            if not topic.subscribed:
                wait_s = self._rng.uniform(0.5, 1.0) * topic.grow_s(FIRST_AGAIN_S)
                topic.asked, topic.due_ns = False, now_ns + int(wait_s * NS_PER_S)

    def _soon(self, names: Iterable[str], now_ns: int, *, alone: bool) -> None:
        for name in names:
            topic = self._topics[name]
            topic.asked, topic.due_ns, topic.alone = False, now_ns, alone or topic.alone
