"""The judge of a simulated world: at every transaction of the ledger, and at the end, by witnesses outside.

Its witnesses are the exchange's own record, the bytes that became durable on the platter, the ledger's tables read by
plain SQL and the lake's files. The last comparison is tests/support/judges/identity.py, as for every other harness.
"""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.simulation.clockwork import Clock, S
from tests.simulation.exchange import INBOUND, Exchange
from tests.simulation.platter import Platter
from tests.support.judges import identity
from trading_platform.simulate.exchange import RequestRecord
from trading_platform.simulate.exchanges.binance import told
from trading_platform.simulate.truth import truth_line

CONNECTS, CONNECTS_WINDOW_S = 150, 300
WEIGHT = 3_000
_FRAME = re.compile(rb'"s":"([A-Z]+)","t":(\d+)')
_PAGE = re.compile(rb'"kind":"(?:trades|head)","symbol":"([A-Z-]+)"')
_ROW = re.compile(rb'\{"id":(\d+),')
Spans = dict[int, int]


class Judge:
    """Watches one world.

    Attributes
    ----------
    problems : what was wrong, in words; each kind of thing is said a few times at most.
    transactions : how many were looked at.
    """

    def __init__(self, clock: Clock, exchange: Exchange, ledger_path: Path) -> None:
        self._clock, self._exchange = clock, exchange
        self._spelling = {listing.venue_symbol: listing.symbol for listing in exchange.market.listings}
        self.durable: dict[str, set[int]] = {symbol: set() for symbol in self._spelling.values()}
        self._db = sqlite3.connect(ledger_path, check_same_thread=False, isolation_level=None)
        self._stored: dict[str, Spans] = {}
        self._from: dict[str, int] = {}
        self.problems: list[str] = []
        self.transactions = 0
        self._said: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the ledger."""
        self._db.close()

    def say(self, kind: str, text: str) -> None:
        """Find something wrong."""
        self._said[kind] = self._said.get(kind, 0) + 1
        if self._said[kind] <= 3:
            self.problems.append(f"at {self._clock.now / S:.3f} s: {kind}: {text}")

    def gaps(self) -> int:
        """Return how many gaps there ever were."""
        (number,) = self._db.execute("SELECT COUNT(*) FROM gaps").fetchone()
        return int(number)

    # ---- while it runs

    def on_durable(self, path: Path, data: bytes) -> None:
        """Read which trades lie in bytes that have just become durable."""
        if path.suffix != ".seg":
            return
        page = _PAGE.search(data)
        if page is not None:
            self.durable[page[1].decode()].update(map(int, _ROW.findall(data)))
        for name, number in _FRAME.findall(data):
            self.durable[self._spelling[name.decode()]].add(int(number))

    def on_transaction(self, symbols: Iterable[str]) -> None:
        """Check the account of these symbols: the identity, and that nothing is stored that is not durable."""
        self.transactions += 1
        for symbol in sorted(symbols):
            row = self._db.execute("SELECT from_id, head FROM sequences WHERE symbol = ?", (symbol,)).fetchone()
            if row is not None:
                self._check(symbol, *row)

    def _check(self, symbol: str, from_id: int, head: int) -> None:
        spans = sorted(
            (first, last, kind)
            for kind, first, last in self._db.execute(
                "SELECT kind, first_id, last_id FROM ranges WHERE symbol = ? UNION ALL "
                "SELECT 'open', first_missing, last_missing FROM gaps WHERE symbol = ? AND state IN ('open', 'leased')",
                (symbol, symbol),
            )
        )
        at = from_id
        for first, last, kind in spans:
            if first != at:
                self.say("identity", f"{symbol}: {kind} {first}..{last} where {at} was due, from_id {from_id}")
            at = last + 1
        if at != head + 1:
            self.say("identity", f"{symbol}: accounted up to {at - 1}, head {head}")
        issued = self._exchange.truth[symbol]
        if head not in issued and head + 1 not in issued:
            self.say("head", f"{symbol}: head {head} was never issued")
        if from_id > self._from.get(symbol, from_id):
            self.say("from_id", f"{symbol}: from_id rose to {from_id}")
        self._from[symbol] = from_id
        self._check_stored(symbol, {first: last for first, last, kind in spans if kind == "stored"})

    def _check_stored(self, symbol: str, spans: Spans) -> None:
        before, durable = self._stored.get(symbol, {}), self.durable[symbol]
        for first, last in spans.items():
            known = before.get(first, first - 1)
            if unproven := [number for number in range(known + 1, last + 1) if number not in durable]:
                self.say("acknowledged", f"{symbol}: stored and not durable: {unproven[:3]}")
        if sum(last - first + 1 for first, last in spans.items()) < sum(b - a + 1 for a, b in before.items()):
            self.say("forgotten", f"{symbol}: fewer ids are stored than before")
        self._stored[symbol] = spans

    # ---- at the end

    def conclude(self, data_dir: Path, platter: Platter, *, drained: bool) -> None:
        """Compare everything with everything."""
        self._put_log(platter)
        for text in identity.judge(data_dir, self._truth()):
            self.say("end", text)
        if drained:
            self._all_held(data_dir)
        else:
            self.say("drained", f"not after {self._clock.now / S:.0f} s")
        self._budgets()

    def _put_log(self, platter: Platter) -> None:
        for path, node in platter.names.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(node.live)

    def _truth(self) -> Iterator[dict[str, object]]:
        import json

        for symbol, rows in self._exchange.truth.items():
            for row in rows.values():
                yield json.loads(truth_line(told(row), symbol, venue="binance", sent=True))

    def _all_held(self, data_dir: Path) -> None:
        """Everything is drained: nothing is open, and from the first id on the lake holds what was issued."""
        for symbol, book in identity.accounts(data_dir).items():
            if book.open:
                self.say("drained", f"{symbol}: {len(book.open)} ids are open, {min(book.open)} first")
            if book.tail != "closed":
                self.say("drained", f"{symbol}: the tail is {book.tail}")
            issued = {number for number in self._exchange.truth[symbol] if number >= book.from_id}
            held = {row.trade_id for row in identity.lake_rows(data_dir, symbol)}
            if missing := issued - held:
                self.say("drained", f"{symbol}: issued and not in the lake: {len(missing)}, {min(missing)} first")

    def _budgets(self) -> None:
        exchange = self._exchange
        if exchange.floods:
            self.say("inbound", f"cut off {exchange.floods} times for sending too much")
        for connection in exchange.all_connections:
            if most := _most_within(connection.inbound, S, INBOUND):
                self.say("inbound", f"connection {connection.number}: {most} messages within a second")
        attempts = [at for at, _, _ in exchange.attempts]
        if most := _most_within(attempts, CONNECTS_WINDOW_S * S, CONNECTS):
            self.say("connects", f"{most} within five minutes")
        refusals = [(at / S, status) for at, status, _ in exchange.attempts if status in {"418", "429"}]
        refusals += [(at / S, "close that pushes back") for at in exchange.pushed_back]
        for at_s, status in refusals:
            wait_s = 120.0 if status == "418" else 60.0
            # What was on its way when the answer came is no sign of impatience.
            if early := [began / S for _, _, began in exchange.attempts if at_s < began / S < at_s + wait_s - 0.5]:
                self.say("connects", f"{early[0] - at_s:.1f} s after a {status}")
        self._requests(list(exchange.api.requests))

    def _requests(self, requests: list[RequestRecord]) -> None:
        window: deque[RequestRecord] = deque()
        for record in requests:
            window.append(record)
            while window[0].mono_s <= record.mono_s - 60.0:
                window.popleft()
            if (weight := sum(one.weight for one in window)) > WEIGHT:
                self.say("weight", f"{weight} within the minute up to {record.mono_s:.1f} s")
        self._refusals()

    def _refusals(self) -> None:
        """Nobody asks within what an answer forbade, once we have that answer."""
        told = self._exchange.exchanged
        for _, known, status in told:
            least = {429: 60, 418: 120}.get(status, 0) * S
            early = [sent for sent, _, _ in told if known < sent < known + least]
            if early:
                self.say("refused", f"asked {(min(early) - known) / S:.1f} s after a {status} at {known / S:.1f} s")


def _most_within(times: list[int], window: int, allowed: int) -> int | None:
    """Return how many fell into one window, None if that was never too many."""
    recent: deque[int] = deque()
    most = 0
    for at in times:
        recent.append(at)
        while recent[0] <= at - window:
            recent.popleft()
        most = max(most, len(recent))
    return most if most > allowed else None
