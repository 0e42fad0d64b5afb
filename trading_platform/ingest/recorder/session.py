"""Decide what to do about the connections of some symbols. Sans-I/O: state + event + `now_ns` -> actions.

Events only change what is known; `tick` decides, and is called after each of them and at least every `TICK_S`. The
socket is websocket.py, who acts is recorder.py, when an address may be called is connect_policy.py, whether a
connection lives keepalive.py, whether a new one may take over handover.py, what an answer means
venues/answers.py, which symbols share a connection connection_groups.py. Randomness is handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.liveness.keepalive import KeepaliveTimer, PauseDetector
from trading_platform.ingest.rate_limits.connect_policy import Address, Backoff
from trading_platform.ingest.recorder.actions import (
    Action,
    Close,
    Connect,
    HandoverStep,
    Meaning,
    Ping,
    Probe,
    Say,
    Split,
    Subscribed,
    SymbolsLost,
    meaning_of,
)
from trading_platform.ingest.recorder.handover import HandoverTracker
from trading_platform.ingest.recorder.subscriptions import Ask, Subscriptions
from trading_platform.venues.adapter import KeepAlive, Notice, Subscribe, VenueAdapter
from trading_platform.venues.answers import AnswerVerdict

TICK_S = 0.5
BEHIND_S = 0.1
LONGEST_MARGIN_S = 900.0
REPEATS = 2
"""So often in a row a connection is refused for what was asked, before less is asked for."""
HOPELESS = {"too long": 1, "asked too much": 3}
"""So many symbols refused by themselves, while none is served, show that it is not about how much is asked for."""
PUSHED_BACK = frozenset({1008, 1013})
"""Close codes by which a venue says that we do too much, or that it cannot take us now."""


@dataclass(frozen=True)
class ConnectionTerms:
    """How a venue's connections live.

    Attributes
    ----------
    keepalive : what solicits a sign of life.
    lifetime_s : when the venue cuts a healthy connection; we change at least a twentieth earlier, at most 15 min.
    ids_prove : whether a missing id is a missing trade.
    """

    keepalive: KeepAlive
    lifetime_s: float
    ids_prove: bool = True

    @classmethod
    def of(cls, adapter: VenueAdapter) -> ConnectionTerms:
        """Return what the adapter declares."""
        return cls(adapter.keepalive, adapter.connection_lifetime_s, prove_completeness(adapter.sequencing))


@dataclass
class _SessionConnection:
    """A connection; `opened_ns` is when it was open and its symbols subscribed."""

    number: int
    opened_ns: int | None = None
    keepalive_timer: KeepaliveTimer | None = None
    retire_ns: int = 0
    delivered: bool = False
    closing: bool = False
    farewell: bool = False
    handover: HandoverTracker | None = None
    subscriptions: Subscriptions | None = None


@dataclass
class _Wish:
    """Why the current connection shall be replaced while it lives."""

    reason: str
    deaf: frozenset[str] = field(default_factory=frozenset)


class Session:
    """The connections of one set of symbols: normally one, two during a handover.

    Parameters
    ----------
    symbols : the venue's spellings.
    address : shared by all sessions of the venue.
    number : gives each connection its number.
    mono_ns, boot_ns : the clocks now.
    refused_as : as what more symbols than these were refused just now.

    Attributes
    ----------
    looking : whether the recorder shall tell the ids of frames (`peeked`); False nearly always.

    Examples
    --------
    >>> from itertools import count
    >>> from trading_platform.ingest.rate_limits.connect_policy import ConnectLimits
    >>> rng = random.Random(1)
    >>> session = Session(["A"], ConnectionTerms(KeepAlive("ping"), 86_400.0), Address(ConnectLimits(), rng), rng,
    ...                   number=count(1).__next__, mono_ns=0, boot_ns=0)
    >>> session.tick(0, 0)
    [Connect(connection=1)]
    """

    def __init__(
        self,
        symbols: Sequence[str],
        terms: ConnectionTerms,
        address: Address,
        rng: random.Random,
        *,
        number: Callable[[], int],
        mono_ns: int,
        boot_ns: int,
        refused_as: Meaning | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self._terms, self._address, self._rng, self._number = terms, address, rng, number
        self._backoff = Backoff(address.limits, rng)
        self._own = PauseDetector(mono_ns, boot_ns)
        self._connections: dict[int, _SessionConnection] = {}
        self._current: int | None = None
        self._wish: _Wish | None = None
        self._facts: list[Action] = []
        self._refused_as, self._repeats = refused_as, int(refused_as is not None)
        self.looking = False

    # ---- what happens

    def opened(self, connection: int, now_ns: int, ask: Ask | None = None) -> None:
        """Take note that a connection is open, and subscribed too unless it has yet to `ask` for its symbols."""
        mine = self._connections[connection]
        mine.keepalive_timer = KeepaliveTimer(self._terms.keepalive, now_ns)
        mine.retire_ns = now_ns + self._lifetime_ns()
        if ask is None:
            self._begin(mine, self.symbols, now_ns)
        else:
            mine.subscriptions = Subscriptions(self.symbols, ask, self._rng, now_ns=now_ns)

    def _begin(self, mine: _SessionConnection, symbols: Sequence[str], now_ns: int) -> None:
        """Let a connection carry its symbols from now on."""
        connection = mine.number
        self._address.open += 1
        self._address.alone = 0
        self._found()
        self._refused_as, self._repeats = None, 0
        mine.opened_ns = now_ns
        old = self._live(self._current)
        wish = self._wish
        deaf = wish.deaf if wish is not None else frozenset()
        mine.handover = HandoverTracker(
            symbols, opened_ns=now_ns, replaces=old is not None, deaf=deaf, ids_prove=self._terms.ids_prove
        )
        if old is None:
            self._current, self._wish = connection, None
        else:
            self._facts.append(HandoverStep("opened", old.number, connection, wish.reason if wish else ""))

    def heard(self, connection: int, at_ns: int) -> None:
        """Take note that anything at all arrived then, a pong too."""
        mine = self._connections.get(connection)
        if mine is not None and mine.keepalive_timer is not None:
            mine.keepalive_timer.heard(at_ns)

    def delivered(self, connection: int) -> None:
        """Take note of a connection's first frame: it works, if that is no answer to what is still asked."""
        mine = self._connections.get(connection)
        if mine is not None and not mine.delivered and mine.opened_ns is not None:
            mine.delivered = True
            self._backoff.worked()
            self._address.worked()

    def peeked(self, connection: int, symbol: str, trade_id: int) -> None:
        """Take note of an id that was delivered."""
        mine = self._connections.get(connection)
        if mine is not None and mine.subscriptions is not None:
            mine.subscriptions.delivers(symbol)
        for other in self._connections.values():
            if other.handover is None:
                continue
            if other.number == connection:
                other.handover.new(symbol, trade_id)
            else:
                other.handover.old(symbol, trade_id)

    def probed(self, heads: Mapping[str, int | None], now_ns: int) -> None:
        """Take note of heads that the venue's REST returned; they are in the log by now."""
        for mine in self._connections.values():
            if mine.handover is not None:
                mine.handover.probed(heads, now_ns)

    def said(self, connection: int, message: Subscribe, now_ns: int) -> None:
        """Take note that a message was sent."""
        mine = self._connections.get(connection)
        if mine is not None and mine.subscriptions is not None:
            mine.subscriptions.said(message, now_ns)

    def noticed(self, connection: int, notice: Notice, now_ns: int) -> None:
        """Take note of an answer to a subscription, or that the venue announced to cut this connection."""
        mine = self._connections.get(connection)
        if mine is None:
            return
        if notice.kind == "farewell":
            mine.retire_ns, mine.farewell = 0, True
        elif notice.kind in {"ack", "nack"} and mine.subscriptions is not None:
            mine.subscriptions.answered(notice, now_ns)

    def renew(self, symbols: Iterable[str]) -> None:
        """Take note that these are subscribed and yet not delivered."""
        deaf = frozenset(symbols) & frozenset(self.symbols)
        if deaf:
            self._want("subscribed but not delivered", deaf)

    def ended(self, connection: int, now_ns: int, code: int | None = None) -> float:
        """Take note that a connection has ended, or could not be made.

        Parameters
        ----------
        code : of the close frame that the venue sent.

        Returns
        -------
        For how many seconds nobody may connect now, 0 if that is not forbidden.
        """
        mine = self._connections.pop(connection, None)
        if mine is None:
            return 0.0
        self._address.open -= mine.opened_ns is not None
        others = [other for other in self._connections.values() if self._serves(other)]
        for other in others:
            if other.handover is not None and mine.opened_ns is not None:
                other.handover.alone()
                if not mine.closing and (left := other.handover.waiting(now_ns)):
                    # It ended before the other had taken these over: what it would have brought is unknown.
                    self._facts.append(SymbolsLost(tuple(left), "ended during a handover"))
        if connection == self._current:
            self._current = others[0].number if others else None
            self._wish = None
        if mine.closing:
            return 0.0
        self._found()
        self._backoff.failed(now_ns)
        if code in PUSHED_BACK:
            return self._address.refused(now_ns, "rate_limited", None)
        if not mine.delivered:
            self._address.failed(now_ns)
        return 0.0

    def refused(self, connection: int, now_ns: int, verdict: AnswerVerdict) -> float:
        """Take note of what an HTTP answer means instead of a stream; return for how many seconds it forbids more."""
        self._connections.pop(connection, None)
        meaning = self._meaning(verdict)
        self._repeats = self._repeats + 1 if meaning == self._refused_as else 1
        self._refused_as = meaning
        if meaning == "wait":
            self._backoff.failed(now_ns)
            return self._address.refused(now_ns, verdict.kind, verdict.retry_after_s)
        if meaning == "trouble":
            self._backoff.failed(now_ns)
            self._address.failed(now_ns)
        else:
            self._backoff.failed(now_ns, self._address.limits.longest_refused_s)
            self._address.answered()
        self._search()
        return 0.0

    @property
    def refused_alone(self) -> bool:
        """Whether it is one symbol, and the venue refuses even that."""
        return len(self.symbols) == 1 and self._repeats >= REPEATS and self._refused_as in HOPELESS

    def split_into(self, parts: Sequence[Session]) -> None:
        """Leave to sessions of fewer symbols what this one, which is over, was finding out."""
        address = self._address
        at = address.parts.index(self) if self in address.parts else len(address.parts)
        address.parts[at : at + 1] = reversed(parts)
        if address.searcher is self:
            address.searcher = parts[0]

    def waits_s(self, now_ns: int) -> float:
        """Return for how many seconds nothing is connected, as far as is known now."""
        return max(0.0, (self._ready_ns(now_ns) - now_ns) / NS_PER_S)

    # ---- what to do

    def tick(self, now_ns: int, boot_ns: int) -> list[Action]:
        """Decide."""
        actions, self._facts = self._facts, []
        slept_s = self._own.tick(now_ns, boot_ns)
        for mine in list(self._connections.values()):
            if mine.keepalive_timer is None or mine.closing:
                continue
            if slept_s:
                self._end(mine, f"process was paused for {slept_s:.0f} s", now_ns, actions, abort=False)
            else:
                self._keep_alive(mine, now_ns, actions)
                self._subscribe(mine, now_ns, actions)
        self._hand_over(now_ns, actions)
        if (split := self._split()) is not None:
            return [*actions, split]
        self._connect(now_ns, actions)
        self.looking = any(
            not mine.closing and (mine.handover is not None or mine.opened_ns is None)
            for mine in self._connections.values()
        )
        return actions

    def due_s(self, now_ns: int) -> float:
        """Return in how many seconds `tick` should be called if nothing happens."""
        if self._connecting() or self._live(self._current) is not None:
            return TICK_S
        return min(TICK_S, max(self.waits_s(now_ns), BEHIND_S if self.behind else 0.0))

    def _keep_alive(self, mine: _SessionConnection, now_ns: int, actions: list[Action]) -> None:
        assert mine.keepalive_timer is not None
        due = mine.keepalive_timer.tick(now_ns)
        if due == "ping":
            actions.append(Ping(mine.number))
        elif due == "stale":
            self._end(mine, "stale", now_ns, actions, abort=True)

    def _subscribe(self, mine: _SessionConnection, now_ns: int, actions: list[Action]) -> None:
        """Ask for what is not subscribed yet; let the connection begin once everything was answered."""
        asked = mine.subscriptions
        if asked is None or mine.closing:
            return
        actions += [Say(mine.number, message) for message in asked.due(now_ns)]
        for refusal in asked.take_refusals():
            actions += [refusal, SymbolsLost(refusal.symbols, "subscription refused")]
        if mine.opened_ns is None and asked.all_answered:
            if not asked.subscribed:
                reason = "subscriptions not answered" if asked.wanted else "every subscription refused"
                self._give_up(mine, reason, now_ns, actions)
                return
            self._begin(mine, asked.wanted, now_ns)
            self.delivered(mine.number)
            actions.append(Subscribed(tuple(asked.take_subscribed())))
        elif mine.opened_ns is not None and (late := tuple(asked.take_subscribed())):
            # What was traded before is missing: the newest id, which goes into the log, shows how much.
            actions += [Subscribed(late), Probe(late)]

    def _give_up(self, mine: _SessionConnection, reason: str, now_ns: int, actions: list[Action]) -> None:
        """End a connection that has carried nothing yet."""
        if mine.subscriptions is None or mine.subscriptions.wanted:
            self._address.failed(now_ns)
            self._backoff.failed(now_ns)
        else:
            self._address.answered()
            self._backoff.failed(now_ns, self._address.limits.longest_refused_s)
        self._shut(mine, reason, actions, abort=False)

    def _end(self, mine: _SessionConnection, reason: str, now_ns: int, actions: list[Action], *, abort: bool) -> None:
        """Give a connection up: whatever it should have delivered since is unknown."""
        if mine.opened_ns is None:
            self._give_up(mine, reason, now_ns, actions)
            return
        others = [other for other in self._connections.values() if other is not mine and self._serves(other)]
        if all(other.handover is not None for other in others):
            actions.append(SymbolsLost(self.symbols, reason))
        self._shut(mine, reason, actions, abort=abort)

    def _shut(self, mine: _SessionConnection, reason: str, actions: list[Action], *, abort: bool) -> None:
        mine.closing = True
        actions.append(Close(mine.number, reason, abort))
        if mine.number == self._current:
            heirs = [other.number for other in self._connections.values() if self._serves(other)]
            self._current = heirs[0] if heirs else None
            self._wish = None
        for other in self._connections.values():
            if other is not mine and other.handover is not None and abort and mine.opened_ns is not None:
                other.handover.alone()

    @staticmethod
    def _serves(mine: _SessionConnection) -> bool:
        return mine.opened_ns is not None and not mine.closing

    def _hand_over(self, now_ns: int, actions: list[Action]) -> None:
        current = self._live(self._current)
        if current is not None and now_ns >= current.retire_ns:
            self._want("venue announced shutdown" if current.farewell else "venue closes it at its time limit")
        for mine in self._connections.values():
            if mine.handover is None or mine.closing:
                continue
            if symbols := mine.handover.ask(now_ns):
                actions.append(Probe(tuple(symbols)))
            if mine.handover.waiting(now_ns):
                continue
            mine.handover = None
            if current is not None and mine is not current:
                reason = self._wish.reason if self._wish is not None else "replaced"
                actions.append(HandoverStep("taken over", current.number, mine.number, reason))
                self._shut(current, f"handed over to connection {mine.number}", actions, abort=False)
                self._current, self._wish = mine.number, None
                return

    def _meaning(self, verdict: AnswerVerdict) -> Meaning:
        address = self._address
        meaning = meaning_of(verdict, serves_others=address.open > 0)
        hopeless = not address.open and address.alone >= HOPELESS.get(meaning, address.alone + 1)
        return "final" if hopeless and len(self.symbols) > 1 else meaning

    def _search(self) -> None:
        """After a refusal: go on asking for less, ahead of all others, or leave it to them."""
        address = self._address
        if self._refused_as not in HOPELESS:
            self._found()
        elif self.refused_alone:
            address.alone += self._repeats == REPEATS
            self._found()
        elif address.searcher is None:
            address.searcher = self

    @property
    def behind(self) -> bool:
        """Whether another session is finding out how much the venue accepts, or is to do so before."""
        address = self._address
        if address.searcher is not None:
            return address.searcher is not self
        return bool(address.alone and not address.open and address.parts) and address.parts[-1] is not self

    def _found(self) -> None:
        address = self._address
        if address.searcher is self:
            address.searcher = None
        if self in address.parts:
            address.parts.remove(self)

    def _split(self) -> Split | None:
        """Ask for less once what was asked for is refused again. Not while a connection lives: it carries all."""
        if self._refused_as not in HOPELESS or self._repeats < REPEATS or len(self.symbols) == 1 or self._connections:
            return None
        return Split(self._refused_as)

    def _connect(self, now_ns: int, actions: list[Action]) -> None:
        if self._connecting():
            return
        current = self._live(self._current)
        wanted = current is None or (self._wish is not None and sum(map(self._serves, self._connections.values())) == 1)
        if not wanted or (current is None and self.behind) or self._ready_ns(now_ns) > now_ns:
            return
        number = self._number()
        if self._address.alone and not self._address.open and self._address.searcher is None:
            self._address.searcher = self
        self._address.connecting(now_ns)
        self._connections[number] = _SessionConnection(number)
        if current is not None and self._wish is not None:
            actions.append(HandoverStep("begins", current.number, number, self._wish.reason))
        actions.append(Connect(number))

    def _ready_ns(self, now_ns: int) -> int:
        return max(self._backoff.ready_ns, self._address.ready_ns(now_ns))

    def _connecting(self) -> bool:
        return any(mine.opened_ns is None for mine in self._connections.values())

    def _live(self, number: int | None) -> _SessionConnection | None:
        mine = None if number is None else self._connections.get(number)
        return None if mine is None or not self._serves(mine) else mine

    def _want(self, reason: str, deaf: frozenset[str] = frozenset()) -> None:
        if self._wish is None:
            self._wish = _Wish(reason, deaf)
        else:
            self._wish = _Wish(self._wish.reason, self._wish.deaf | deaf)

    def _lifetime_ns(self) -> int:
        """Return when to retire a connection: some time before the venue's cut, not with all others at once."""
        lifetime_s = self._terms.lifetime_s
        margin_s = min(LONGEST_MARGIN_S, lifetime_s / 4)
        return int((lifetime_s - self._rng.uniform(margin_s / 2, margin_s)) * NS_PER_S)
