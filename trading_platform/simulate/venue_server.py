"""Serve a simulated venue: a simulated clock issues trades to WebSocket clients, REST serves them, faults are planned.

Here: the clock, connections, ports, the truth file. Elsewhere: protocols (exchanges/), admission of connections
(door.py), subscriptions (clients.py), the choice of affected frames (faults.py), the trades (synthetic_market.py,
recorded_market.py).

The clock starts with the first subscription to a trade stream and then runs with or without clients. `speed=X`: X
seconds of trades a second. `speed=None` (max): as fast as every client reads; without a client it runs at IDLE_SPEED,
so that a disconnected client misses trades as on a real venue, and finds them by REST.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from trading_platform.simulate.clients import Clients
from trading_platform.simulate.door import Door
from trading_platform.simulate.exchange import Exchange, HttpAnswer, Refusal, Stage
from trading_platform.simulate.exchanges import DEFAULT, EXCHANGES
from trading_platform.simulate.faults import Event, FaultPlan, FrameFaults, Signal
from trading_platform.simulate.sockets import Client, HttpServer, address_of, http_app, http_config, listen
from trading_platform.simulate.tape import Market, Print
from trading_platform.simulate.tape_epochs import TapeNumbering
from trading_platform.simulate.truth import LineFile, truth_line
from trading_platform.telemetry.logs import get_logger

log = get_logger("simulate")

IDLE_SPEED = 10.0
"""At speed max: how fast the clock runs while nobody listens."""
_BATCH = 512
_TICK_S = 0.002
_STOP_S = 2.0
_REMEMBERED = 100_000
MARKET_HEADER = "x-simulated-market"


class ConnectRecord(NamedTuple):
    """What happened to a connection: ``open refused banned cut closed hole shutdown flooded slow``, one of them."""

    mono_s: float
    what: str


class VenueServer:
    """The simulated venue. Use as an asynchronous context manager, or `start` and `stop`.

    Parameters
    ----------
    market : what is traded.
    exchange : whose protocol is spoken; without it, that of `exchanges.DEFAULT`.
    plan, seed : what goes wrong, and the seed of chance.
    speed : simulated seconds a second, None for max.
    truth_path : gets one JSON line per trade issued, before it is sent.
    host, port, rest_port : where to listen; 0 lets the system choose.
    begins_at_ns : asked at the first subscription for the clock's start; without it, the market's own. A market that
        began earlier has issued everything up to it.
    limits : what REST allows, of the exchange's own type; lifetime_s: when a healthy connection is cut. Without them,
        what the exchange documents.
    requests_path : gets one JSON line per REST request, as `RequestRecord`.
    address_bytes : longest address of a stream, without it the exchange's; longer ones are answered 414.
    refuse : asked for each connection's topics; returns the status that it is answered with, None for a stream.
    clock, wall_ns : the real time.

    Attributes
    ----------
    ws_url, rest_url : set once started.
    market_name : which market this is; every REST answer bears it, so that nobody continues one with another.
    started, ended : events: the clock runs; the market has ended and everything is sent.
    issued, sent : trades issued, and those of them with a listener and a frame.
    connections : what happened to connections, in order.
    exchange, api : the exchange, and its REST.

    Raises
    ------
    UsageError : for a plan with a kind of fault that the exchange cannot show.
    """

    def __init__(  # noqa: PLR0913  what a simulation may be told, by name
        self,
        market: Market,
        *,
        exchange: type[Exchange] | None = None,
        plan: FaultPlan | None = None,
        seed: int = 0,
        speed: float | None = 1.0,
        truth_path: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int = 0,
        begins_at_ns: Callable[[], int] | None = None,
        limits: Any = None,
        lifetime_s: float | None = None,
        requests_path: Path | None = None,
        address_bytes: int | None = None,
        refuse: Callable[[list[str]], int | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        plan = plan or FaultPlan()
        make = exchange or EXCHANGES[DEFAULT]
        make.check(plan)
        self._market, self._speed, self._truth_path = market, speed, truth_path
        self.market_name = market.name
        self._host, self._port, self._rest_port = host, port, rest_port
        self._requests_path = requests_path
        self._begins_at_ns, self._clock, self._wall_ns = begins_at_ns, clock, wall_ns
        self._symbols = {listing.venue_symbol: listing.symbol for listing in market.listings}
        last_ids = {name: market.last_id(name) for name in self._symbols}
        self._faults = FrameFaults(plan, seed, self._symbols, last_ids)
        self._numbering = TapeNumbering()
        self.exchange = make(Stage(market, self._head, self._told_ns, self._numbering, plan, seed), limits)
        self.api = self.exchange.api
        self._limits = make.limits._replace(
            address_bytes=address_bytes or make.limits.address_bytes, lifetime_s=lifetime_s or make.limits.lifetime_s
        )
        self._door = Door(self._limits, self.exchange.open, refuse)
        topics = {self.exchange.topic(listing): listing.venue_symbol for listing in market.listings}
        self._clients = Clients(self.exchange, topics, self._symbols)
        self._issued_ids: dict[str, int] = {}
        self._halted: set[str] = set()
        self._zero_ns = 0
        self._now_ns = market.start_ns
        self._pending: list[Print] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self.issued = self.sent = 0
        self.connections: deque[ConnectRecord] = deque(maxlen=_REMEMBERED)
        self.ws_url = self.rest_url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises UsageError if a port is in use or the truth file cannot be written."""
        self.started, self.ended = asyncio.Event(), asyncio.Event()
        with contextlib.ExitStack() as undo:
            self._truth = LineFile(self._truth_path, "truth file")
            undo.callback(self._truth.close)
            self._requests = LineFile(self._requests_path, "request log")
            undo.callback(self._requests.close)
            ws_socket = undo.enter_context(listen(self._host, self._port))
            rest_socket = undo.enter_context(listen(self._host, self._rest_port))
            self._server: Server = await serve(
                self._serve,
                sock=ws_socket,
                create_connection=Client,
                process_request=self._process_request,
                compression=None,
                ping_interval=self._limits.ping_every_s,
                ping_timeout=60,
                close_timeout=1,
                max_size=1 << 16,
            )
            undo.pop_all()
        self._rest = HttpServer(http_config(http_app(self._answer)))
        self._tasks = [
            asyncio.create_task(self._rest.serve(sockets=[rest_socket])),
            asyncio.create_task(self._run()),
            asyncio.create_task(self._tend()),
        ]
        self.ws_url = f"ws://{address_of(ws_socket)}"
        self.rest_url = f"http://{address_of(rest_socket)}"
        while not self._rest.started:
            if self._tasks[0].done():
                await self._tasks[0]
            await asyncio.sleep(0.001)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; raise what broke the server, should anything."""
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([waiting, *self._tasks[:3]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def stop(self) -> None:
        """Close every connection and port; raise what broke the server, should anything."""
        for timer in self._timers:
            timer.cancel()
        if self.exchange.archive is not None:
            self.exchange.archive.close()
        self._rest.should_exit = True
        for task in self._tasks[1:3]:
            task.cancel()
        self._server.close()
        closing = asyncio.ensure_future(self._server.wait_closed())
        _, slow = await asyncio.wait({closing}, timeout=_STOP_S)
        if slow:  # a client that is cut off for slowness reads nothing more, not even a close frame
            for connection in self._server.connections:
                connection.transport.abort()
            await closing
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._truth.close()
        self._requests.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    # The clock

    async def _run(self) -> None:
        """Issue the whole market."""
        await self.started.wait()
        for block in self._market.blocks(self._zero_ns):
            at = 0
            while at < len(block):
                due = await self._due(block[at].due_ns)
                end = min(at + _BATCH, len(block))
                if due is not None:
                    while end > at and block[end - 1].due_ns > due:
                        end -= 1
                self._issue(block[at:end])
                at = end
                await self._let_take()
        self._pending += [self._numbering.shown(row) for row in self._faults.flush() if isinstance(row, Print)]
        self._send_pending()
        await self._let_take()
        self.ended.set()
        log.info("market ended, REST goes on", issued=self.issued, sent=self.sent)
        while True:  # what is planned for later than the last trade, for requests and connections
            self._now_ns = max(self._now_ns, self._running_ns())
            self._act(self._faults.due(self._elapsed_s()))
            await asyncio.sleep(0.05)

    async def _due(self, first_ns: int) -> int | None:
        """Wait until a trade due at `first_ns` may be issued; return up to when, None for no bound."""
        idle_since: tuple[float, int] | None = None
        while True:
            if self._speed is None:
                if self._clients.listeners:
                    return None
                idle_since = idle_since or (self._clock(), self._now_ns)
                now_ns = idle_since[1] + int((self._clock() - idle_since[0]) * IDLE_SPEED * 1e9)
            else:
                now_ns = self._running_ns()
            self._now_ns = max(self._now_ns, min(now_ns, first_ns))
            self._act(self._faults.due(self._elapsed_s()))
            if now_ns >= first_ns:
                return now_ns
            speed = IDLE_SPEED if self._speed is None else self._speed
            await asyncio.sleep(min(max((first_ns - now_ns) / 1e9 / speed, _TICK_S), 0.05))

    def _running_ns(self) -> int:
        """Return what the clock shows, at a speed that is not max."""
        if self._speed is None:
            return self._now_ns
        return self._zero_ns + int((self._clock() - self._zero_s) * self._speed * 1e9)

    def _start_clock(self) -> None:
        if not self.started.is_set():
            self._zero_ns = self._market.start_ns if self._begins_at_ns is None else self._begins_at_ns()
            self._zero_s = self._clock()
            self._now_ns = self._zero_ns
            for name in self._symbols:
                head = self._market.head_at(name, self._zero_ns - 1)
                if head is not None:
                    self._issued_ids[name] = head
            self.started.set()

    def _elapsed_s(self) -> float:
        return (self._now_ns - self._zero_ns) / 1e9

    def _head(self, venue_symbol: str) -> int | None:
        if not self.started.is_set() and self._begins_at_ns is not None:
            return self._market.head_at(venue_symbol, self._begins_at_ns() - 1)
        return self._issued_ids.get(venue_symbol)

    def _told_ns(self) -> int:
        if not self.started.is_set() and self._begins_at_ns is not None:
            return self._begins_at_ns()
        return self._now_ns

    # Issuing

    def _issue(self, rows: Sequence[Print]) -> None:
        """Issue trades: into the truth, for REST, and as frames to whoever listens."""
        for row in rows:
            self._now_ns = row.due_ns
            if row.venue_symbol in self._halted:
                continue
            heard = self._clients.listeners[row.venue_symbol] > 0
            if self._faults.idle:
                out: Sequence[Print | Signal] = (row,) if heard else ()
                sent = heard
            else:
                out, sent = self._faults.step(row, heard=heard, elapsed_s=self._elapsed_s())
            for item in out:
                if isinstance(item, Signal) and item.event.kind == "renumber":
                    self._renumber(item.event)
            self._numbering.issue(row)
            self._issued_ids[row.venue_symbol] = row.trade_id
            self.issued += 1
            self.sent += sent
            if self._truth.wanted:
                self._truth.add(self._truth_line(row, sent=sent))
            self._deliver(row, out)
        self._truth.write()
        self._send_pending()

    def _deliver(self, row: Print, out: Sequence[Print | Signal]) -> None:
        """Do what is decided about one issued trade."""
        for item in out:
            if isinstance(item, Print):
                self._pending.append(self._numbering.shown(item))
            elif item.event.kind == "stray_id":
                self._pending.append(row._replace(trade_id=item.event.shown_id))
            elif item.event.kind != "renumber":
                self._truth.write()
                self._act([item])

    def _renumber(self, event: Event) -> None:
        log.info("fault", kind=event.kind)
        for name, symbol in self._symbols.items():
            if event.symbol in {None, symbol}:
                self._numbering.begin(name, event.first_id)

    def _truth_line(self, row: Print, *, sent: bool) -> str:
        told = self.exchange.told(self._numbering.shown(row))
        symbol, epoch = self._symbols[row.venue_symbol], self._numbering.epoch(row)
        return truth_line(told, symbol, venue=self.exchange.name, sent=sent, epoch=epoch)

    def _send_pending(self) -> None:
        rows, self._pending = self._pending, []
        if rows:
            self._clients.send(rows)

    async def _let_take(self) -> None:
        """At speed max wait for every client; else disconnect slow ones."""
        await self._clients.let_take(patient=self._speed is None, on_slow=self._cut_slow)

    def _cut_slow(self, client: Client) -> None:
        self._end(client, "slow")
        client.transport.abort()

    async def _tend(self) -> None:
        """Send heartbeats, and disconnect clients that were silent for too long."""
        idle_s = self._limits.idle_s
        every_s = min(self.exchange.heartbeat_s if self.exchange.heartbeat else 60.0, idle_s or 60.0) / 4
        while True:
            await asyncio.sleep(every_s)
            now_s = asyncio.get_running_loop().time()
            if self.exchange.heartbeat:
                self._clients.beat(now_s)
            for client in self._clients:
                if idle_s is not None and now_s - client.heard_s > idle_s:
                    self._end(client, "idle")
                    self._close(client, 1000, "idle")

    # Connections

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        session = self._door.answer(request.path, self._clock())
        if isinstance(session, Refusal):
            if session.note:
                self._note(session.note)
            answer = connection.respond(HTTPStatus(session.status), session.text)
            if session.retry_after_s is not None:
                answer.headers["Retry-After"] = str(session.retry_after_s)
            return answer
        assert isinstance(connection, Client)
        connection.session, connection.inbound_per_s = session, self._limits.inbound_per_s
        connection.on_flood = self._on_flood
        connection.on_close = self._clients.discard
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Client)
        self._note("open")
        self._clients.add(connection)
        self._subscribed(connection, {})
        lifetime_s, loop = self._limits.lifetime_s, asyncio.get_running_loop()
        text = self._limits.lifetime_text
        lifetime = None if lifetime_s is None else loop.call_later(lifetime_s, self._close, connection, 1001, text)
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    before = dict(connection.session.topics)
                    self._clients.say(connection, connection.session.reply(message))
                    self._subscribed(connection, before)
        finally:
            if lifetime is not None:
                lifetime.cancel()
            self._clients.discard(connection)

    def _subscribed(self, client: Client, before: dict[str, None]) -> None:
        """Count who listens, after a client may have changed what it is subscribed to."""
        if client in self._clients and self._clients.subscribes(client.session.topics):
            self._start_clock()
        if self.started.is_set():
            self._act(self._faults.due(self._elapsed_s(), "empty_ack"))
            self._clients.hush(client, before)
        self._clients.count()

    def _end(self, client: Client, what: str) -> None:
        """Count a connection as ended from this very trade on."""
        self._note(what)
        self._clients.discard(client)

    def _on_flood(self, client: Client) -> None:
        if client in self._clients:
            self._end(client, "flooded")
            self._close(client, 1008, "Too many requests")

    def _close(self, client: Client, code: int, reason: str) -> None:
        task = asyncio.ensure_future(client.close(code, reason))
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    def _note(self, what: str) -> None:
        self.connections.append(ConnectRecord(self._clock(), what))

    # Planned faults

    def _act(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            self._send_pending()
            event = signal.event
            log.info("fault", kind=event.kind)
            if event.kind.startswith("rest_"):
                self.api.begin(event, self._clock())
            elif event.kind in {"halt", "delist"}:
                names = {name for name, symbol in self._symbols.items() if event.symbol in {None, symbol}}
                self._halted |= names
                self.api.end_trading(names, listed=event.kind == "halt")
            elif event.kind == "archive_damage" and self.exchange.archive is not None:
                self.exchange.archive.damage(event.count)
            elif event.kind == "empty_ack":
                self._clients.leave_unheard(event.symbol, event.count)
            elif event.kind == "refuse_connect":
                self._door.refuse(event.status, until_s=self._clock() + event.seconds)
            else:
                if event.kind == "ban_connect":
                    self._door.ban(self._clock() + event.seconds)
                for client in self._clients.meant(event.symbol):
                    self._hit(client, event)

    def _hit(self, client: Client, event: Event) -> None:
        if event.kind == "cut":
            self._end(client, "cut")
            client.transport.close()  # what was written before still arrives: the truth says it was sent
        elif event.kind == "close":
            self._end(client, "closed")
            self._close(client, event.code, "Policy")
        elif event.kind == "hole":
            self._end(client, "hole")
            client.deaf = True
            client.transport.pause_reading()
            self._later(event.seconds, client.transport.abort)
        elif event.kind == "ban_connect":
            self._end(client, "cut")
            client.transport.close()
        elif event.kind == "deaf":
            self._clients.deafen(client, event.symbol)
            self._clients.count()
        elif event.kind == "ping_flood":
            self._clients.ping(client, event.count)
        elif event.kind == "server_shutdown":
            self._note("shutdown")
            self._clients.say(client, [self.exchange.farewell(client.session)])
            self._later(event.seconds, functools.partial(self._close, client, 1001, "Server shutting down"))

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)

    # REST

    async def _answer(self, method: str, path: str, query: str, headers: dict[str, str]) -> HttpAnswer:
        archive = self.exchange.archive
        if archive is not None and archive.serves(path):  # a day's file takes seconds to make
            return await asyncio.to_thread(archive.get, path, headers, now_s=self._clock())
        answer = self.api.handle(method, path, query, headers, now_s=self._clock(), wall_ns=self._wall_ns())
        if self._requests.wanted:
            self._requests.add(msgspec.json.encode(self.api.requests[-1]._asdict()).decode())
            self._requests.write()
        return answer._replace(headers=(*answer.headers, (MARKET_HEADER, self.market_name)))
