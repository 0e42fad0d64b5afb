"""The simulated exchange, in virtual time: the project's own market, faults and protocol, without sockets.

What is traded, which frames are hit, what REST answers and what a path subscribes to is trading_platform/simulate;
here is what venue_server.py does with sockets there: connections, their latency and their ends, and the record of
everything that reached the exchange, by which limits are judged.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx

from tests.simulation import clockwork
from tests.simulation.clockwork import Clock, Process, S, VirtualLoop
from tests.simulation.network import Network
from trading_platform.ingest.rate_limits.message_limiter import MessageLimiter
from trading_platform.ingest.transport.delivery import Take
from trading_platform.ingest.transport.protocol import ConnectionLost, HandshakeRefused
from trading_platform.simulate.exchange import ADDRESS_BYTES, HttpAnswer
from trading_platform.simulate.exchanges.binance_rest import BinanceRest
from trading_platform.simulate.exchanges.binance_stream import (
    BinanceSession,
    shutdown_payload,
    stream_of,
    trade_payload,
)
from trading_platform.simulate.faults import Event, FaultPlan, FrameFaults, Signal
from trading_platform.simulate.tape import Market, Print
from trading_platform.venues.adapter import KeepAlive

PING_EVERY_S, PONG_WITHIN_S = 20, 60
OPEN_TIMEOUT_S = 10.0
CONNECTS, CONNECTS_WINDOW_S = 300, 300
INBOUND = 5
PUSHES_BACK = (1008, 1013)

Trace = Callable[..., None]


class Connection:
    """One stream connection, seen from both ends: the exchange's, and ours as `transport.protocol.OpenStream`.

    What is sent takes the line's latency and keeps its order; what is on the way when the line breaks is lost.
    """

    def __init__(
        self, exchange: Exchange, number: int, session: BinanceSession, process: Process, latency_ns: int
    ) -> None:
        self.exchange, self.number, self.session, self.process = exchange, number, session, process
        self.latency_ns = latency_ns
        self.up = True  # the exchange serves it
        self.line = True  # bytes pass
        self.inbound: list[int] = []
        self._last_due = self._last_up = 0
        self._pinged = self._ponged = exchange.clock.now
        # Our end.
        self._heard_s = exchange.clock.monotonic()
        self._arrived: list[bytes] = []
        self._ended: str | None = None
        self._code: int | None = None
        self._closing = False
        self._changed, self._over = asyncio.Event(), asyncio.Event()
        self._limiter = MessageLimiter(INBOUND)
        self._owes_pong = False

    # ---- the exchange's end

    def send(self, payloads: list[bytes]) -> None:
        self._down(self._arrive, payloads)

    def ping(self) -> None:
        self._down(self._asked)

    def close(self, reason: str, code: int | None = None) -> None:
        """Close in order: what was sent still arrives."""
        if self.up:
            self.up = False
            self.exchange.forget(self, reason)
            self._down(self._end, reason, code)

    def reset(self, reason: str) -> None:
        """Break the line: what is on its way is lost."""
        self.exchange.trace("reset", self.number, reason)
        self.line = False
        if self.up:
            self.up = False
            self.exchange.forget(self, reason)
        self.exchange.loop.deliver(self.exchange.clock.now + self.latency_ns, self.process, self._end, reason)

    def hole(self) -> None:
        """Stay open and dead."""
        self.line = False
        if self.up:
            self.up = False
            self.exchange.forget(self, "hole")

    def _down(self, call: Callable[..., object], *args: Any) -> None:
        self._last_due = max(self._last_due, self.exchange.clock.now + self.latency_ns)
        self.exchange.loop.deliver(self._last_due, self.process, self._if_line, call, *args)

    def _if_line(self, call: Callable[..., object], *args: Any) -> None:
        if self.line:
            call(*args)

    def _up(self, call: Callable[..., object], *args: Any) -> None:
        self._last_up = max(self._last_up, self.exchange.clock.now + self.latency_ns)
        self.exchange.loop.after(self._last_up - self.exchange.clock.now, self._if_line, call, *args)

    def _inbound(self, what: str) -> None:
        now = self.exchange.clock.now
        self.exchange.trace("inbound", self.number, what)
        self.inbound.append(now)
        if len(self.inbound) > INBOUND and now - self.inbound[-INBOUND - 1] < S:
            self.exchange.floods += 1
            self.close("1008 too many requests", 1008)
        elif self.up:
            if what == "ping":
                self._down(self._heard)
            else:
                self._ponged = now

    # ---- our end

    def _heard(self) -> None:
        self._heard_s = self.exchange.clock.monotonic()

    def _arrive(self, payloads: list[bytes]) -> None:
        self._heard()
        self._arrived += payloads
        self._changed.set()

    def _asked(self) -> None:
        self._heard()
        self._owes_pong = True
        self._pay()

    def _pay(self) -> None:
        if self._owes_pong and self._limiter.take(self.exchange.clock.monotonic_ns()):
            self._owes_pong = False
            self._up(self._inbound, "pong")

    def _end(self, reason: str, code: int | None = None) -> None:
        if self._ended is None:
            self._ended, self._code = reason, code
        self._changed.set()
        self._over.set()

    @property
    def heard_s(self) -> float:
        return self._heard_s

    def tick(self, ping: KeepAlive | None) -> None:
        if self._ended is not None:
            return
        if ping is not None:
            self._limiter.take(self.exchange.clock.monotonic_ns(), urgent=True)
            self._up(self._inbound, "ping")
        self._pay()

    def abort(self) -> None:
        self._end("closed without a close frame")
        self._left()

    async def deliver(self, take: Take) -> None:
        enough = False
        while not enough:
            await self._changed.wait()
            messages, self._arrived = self._arrived, []
            if self._ended is None:
                self._changed.clear()
            elif not messages:
                if self._code in PUSHES_BACK and not self._closing:
                    self.exchange.pushed_back.append(self.exchange.clock.now)
                raise ConnectionLost(self._ended, self._code)
            if messages:
                enough = not take(messages)

    async def close_by_us(self) -> None:
        """Say goodbye; what was on its way before the answer still arrives; a second at most."""
        if self._ended is None:
            self._closing = True
            self._up(self.close, "1000")
            try:
                async with asyncio.timeout(1.0):
                    await self._over.wait()
            except TimeoutError:
                self._end("closed without a close frame")
        self._left()

    def _left(self) -> None:
        """Have the exchange notice, in its time, that nobody is there any more."""
        self.exchange.loop.after(self.latency_ns, self._gone)

    def _gone(self) -> None:
        self.line = False
        if self.up:
            self.up = False
            self.exchange.forget(self, "gone")


class OurEnd:
    """A connection as the recorder has it: the names of `OpenStream`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tick, self.abort, self.deliver = connection.tick, connection.abort, connection.deliver
        self.close = connection.close_by_us

    @property
    def heard_s(self) -> float:
        return self._connection.heard_s


class Exchange:
    """The exchange: issues its market, serves streams and REST, does what the plan says.

    Attributes
    ----------
    truth : every trade issued, by symbol and id.
    attempts : when somebody tried to connect, what became of it, and when that was begun.
    pushed_back : when we had a close frame that asks to come back later.
    floods : connections ended because a client sent too much.
    exchanged : of each request that was answered when it was sent, when we had the answer, and its status.
    network : what lies between us and it.
    """

    def __init__(  # noqa: PLR0913  what a simulated venue is told, by name
        self,
        loop: VirtualLoop,
        clock: Clock,
        market: Market,
        plan: FaultPlan,
        seed: int,
        rng: Random,
        trace: Trace,
        *,
        lifetime_s: float,
        address_bytes: int = ADDRESS_BYTES,
    ) -> None:
        self.loop, self.clock, self.market, self.trace, self._rng = loop, clock, market, trace, rng
        self._symbols = {listing.venue_symbol: listing.symbol for listing in market.listings}
        self._streams = {stream_of(name): name for name in self._symbols}
        last_ids = {name: market.last_id(name) for name in self._symbols}
        self._faults = FrameFaults(plan, seed, self._symbols, last_ids)
        self._heads: dict[str, int] = {}
        self.api = BinanceRest(
            market, head=self._heads.get, server_ms=lambda: clock.utc() // 10**6, plan=plan, seed=seed
        )
        self.truth: dict[str, dict[int, Print]] = {symbol: {} for symbol in self._symbols.values()}
        self.connections: set[Connection] = set()
        self.all_connections: list[Connection] = []
        self.attempts: list[tuple[int, str, int]] = []
        self.pushed_back: list[int] = []
        self.floods = 0
        self.exchanged: list[tuple[int, int, int]] = []
        self._number = 0
        self._listeners: Counter[str] = Counter()
        self._lifetime_s, self._address_bytes = lifetime_s, address_bytes
        self._refuse_until = self._ban_until = 0
        self._refuse_status = 503
        self.network = Network(rng)
        self._blocks = market.blocks(market.start_ns)
        self._rows: deque[Print] = deque()
        for event in plan.events:
            if event.at_s is not None:
                loop.after(int(event.at_s * S), self._planned)
        self._next_row()

    # ---- trades

    def _next_row(self) -> None:
        if not self._rows:
            block = next(self._blocks, None)
            if block is None:
                self.loop.after(S, self._flush)
                return
            self._rows.extend(block)
        self.loop.after(max(0, self._rows[0].due_ns - self.clock.utc()), self._issue)

    def _issue(self) -> None:
        """Issue everything due now."""
        now, rows = self.clock.utc(), self._rows
        pending: list[Print] = []
        while rows and rows[0].due_ns <= now:
            row = rows.popleft()
            heard = self._listeners[row.venue_symbol] > 0
            out, _ = self._faults.step(row, heard=heard, elapsed_s=self.clock.now / S)
            self._heads[row.venue_symbol] = row.trade_id
            self.truth[self._symbols[row.venue_symbol]][row.trade_id] = row
            for item in out:
                if isinstance(item, Signal):
                    self._send(pending)
                    pending = []
                    self._act(item.event)
                else:
                    pending.append(item)
        self._send(pending)
        self._next_row()

    def _flush(self) -> None:
        self._send([row for row in self._faults.flush() if isinstance(row, Print)])

    def _send(self, rows: Sequence[Print]) -> None:
        if not rows:
            return
        payloads = [(stream_of(row.venue_symbol), trade_payload(row, combined=True, micros=False)) for row in rows]
        for connection in sorted(self.connections, key=lambda one: one.number):
            mine = [payload for name, payload in payloads if name in connection.session.streams]
            if mine:
                connection.send(mine)

    # ---- connections

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[OurEnd]:
        """Be `transport.protocol.Transport`."""
        process = clockwork.OWNER.get()
        assert process is not None
        path = url.removeprefix("ws://exchange")
        began, latency_s = self.clock.now, self.network.latency_s()
        if self.network.down:
            await asyncio.sleep(min(OPEN_TIMEOUT_S, 20 * latency_s))
            raise ConnectionLost("connect: no route to host")
        if self.network.hangs():
            await asyncio.sleep(OPEN_TIMEOUT_S)
            raise ConnectionLost("connect: TimeoutError")
        await asyncio.sleep(2 * latency_s)
        connection = self._answer(path, process, int(latency_s * S), began)
        process.at_end.append(connection._left)
        try:
            await asyncio.sleep(latency_s)
            yield OurEnd(connection)
        finally:
            await connection.close_by_us()

    def _answer(self, path: str, process: Process, latency_ns: int, began: int) -> Connection:
        now = self.clock.now
        recent = sum(at > now - CONNECTS_WINDOW_S * S for at, _, _ in self.attempts)
        refusal: tuple[int, float | None] | None = None
        if now < self._ban_until:
            refusal = 418, float(math.ceil((self._ban_until - now) / S))
        elif now < self._refuse_until:
            refusal = self._refuse_status, None
        elif recent >= CONNECTS:
            refusal = 429, None
        elif len(path) > self._address_bytes:
            refusal = 414, None
        session = BinanceSession.open(path)
        assert session is not None, path
        self.attempts.append((now, "open" if refusal is None else str(refusal[0]), began))
        self.trace("connect", path, refusal)
        if refusal is not None:
            raise HandshakeRefused(*refusal)
        self._number += 1
        connection = Connection(self, self._number, session, process, latency_ns)
        if self.network.deafens():
            session.streams.pop(self._rng.choice(sorted(session.streams)), None)
        self.connections.add(connection)
        self.all_connections.append(connection)
        self._count()
        self.loop.after(int(self._lifetime_s * S), connection.close, "1001 24 hours are over")
        self.loop.after(PING_EVERY_S * S, self._ping, connection)
        return connection

    def _ping(self, connection: Connection) -> None:
        if not connection.up:
            return
        if self.clock.now - connection._ponged > PONG_WITHIN_S * S:
            connection.close("1011 keepalive ping timeout")
            return
        connection.ping()
        self.loop.after(PING_EVERY_S * S, self._ping, connection)

    def forget(self, connection: Connection, reason: str) -> None:
        """Take note that a connection is served no more."""
        self.trace("ended", connection.number, reason)
        self.connections.discard(connection)
        self._count()

    def _count(self) -> None:
        names = (self._streams.get(name) for one in self.connections for name in one.session.streams)
        self._listeners = Counter(name for name in names if name is not None)

    # ---- planned faults

    def _planned(self) -> None:
        for signal in self._faults.due(self.clock.now / S):
            self._act(signal.event)

    def _act(self, event: Event) -> None:
        self.trace("fault", event.kind)
        if event.kind.startswith("rest_"):
            self.api.begin(event, self.clock.now / S)
        elif event.kind == "refuse_connect":
            self._refuse_until, self._refuse_status = self.clock.now + int(event.seconds * S), event.status
        else:
            if event.kind == "ban_connect":
                self._ban_until = self.clock.now + int(event.seconds * S)
            for connection in sorted(self.connections, key=lambda one: one.number):
                self._hit(connection, event)

    def _hit(self, connection: Connection, event: Event) -> None:
        if event.kind in {"cut", "ban_connect"}:
            connection.close("closed without a close frame")
        elif event.kind == "close":
            connection.close(f"closed {event.code}", event.code)
        elif event.kind == "hole":
            connection.hole()
            self.loop.after(int(event.seconds * S), connection.reset, "connection reset")
        elif event.kind == "deaf":
            for stream, name in self._streams.items():
                if event.symbol in {None, self._symbols[name]}:
                    connection.session.streams.pop(stream, None)
            self._count()
        elif event.kind == "ping_flood":
            for _ in range(event.count):
                connection.ping()
        elif event.kind == "server_shutdown":
            connection.send([shutdown_payload(self.clock.utc() // 10**6, combined=True)])
            self.loop.after(int(event.seconds * S), connection.close, "1001 server shutting down")

    # ---- REST

    def rest(self) -> httpx.BaseTransport:
        """Return the way to REST for one client."""
        return _Rest(self)

    def answer(self, request: httpx.Request) -> HttpAnswer:
        """Answer one request now."""
        url = request.url
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self.api.handle(
            request.method,
            url.path,
            url.query.decode(),
            headers,
            now_s=self.clock.now / S,
            wall_ns=self.clock.utc(),
        )
        self.trace("rest", url.path, url.query.decode(), answer.status, len(answer.body))
        return answer


class _Rest(httpx.BaseTransport):
    """REST over the simulated network, for one blocking client."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange, network = self._exchange, self._exchange.network
        fault = "unsent" if network.down else network.rest_fault()
        sent = exchange.clock.now
        clockwork.sleep(network.latency_s())
        if fault == "unsent":
            clockwork.sleep(0.0 if network.down else OPEN_TIMEOUT_S)
            raise httpx.ConnectError("no route to host", request=request)
        answer = exchange.answer(request)
        clockwork.sleep(network.latency_s())
        if fault == "unanswered":
            raise httpx.ReadError("connection reset", request=request)
        exchange.exchanged.append((sent, exchange.clock.now, answer.status))
        body = answer.body
        if fault == "half" and answer.status == 200:
            body = body[: len(body) // 2]
        elif fault == "short" and body.startswith(b"[{"):
            # A page may hold fewer trades than asked for.
            rows = body[2:-2].split(b"},{")
            body = b"[{" + b"},{".join(rows[: max(1, len(rows) // 2)]) + b"}]"
        return httpx.Response(answer.status, content=body, headers=list(answer.headers), request=request)
