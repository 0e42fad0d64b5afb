"""The recorder: a venue's stream -> raw frames in the log, and nothing else. Nothing may slow or kill it.

Imports no database, dataframe or Dagster library. Decoding is processor.py, in a process of its own; what to do about
connections is session.py, and done here.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Literal, NamedTuple, NoReturn, cast

from trading_platform.ingest.rate_limits.connect_policy import Address, ConnectLimits
from trading_platform.ingest.recorder import actions
from trading_platform.ingest.recorder.actions import Meaning
from trading_platform.ingest.recorder.connection_groups import Spread
from trading_platform.ingest.recorder.group_commit import Committer
from trading_platform.ingest.recorder.session import ConnectionTerms, Session
from trading_platform.ingest.transport.frame_batch import Packed
from trading_platform.ingest.transport.protocol import ConnectionLost, HandshakeRefused, OpenStream, Transport
from trading_platform.ingest.transport.websocket import open_stream
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneWriter
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import Subscribe, VenueAdapter
from trading_platform.venues.answers import named
from trading_platform.venues.limits import limit_of

log = get_logger(__name__)

END_WORDS = frozenset({"closed", "connect", "ended", "http", "lost", "silent", "stale"})
"""First words of why a connection ended, as the metric of reconnects tells them."""
STOP_WITHIN_S = 5.0
_NAMED = 5
"""So many symbols are named in a line of the log, before the others are counted."""


class Clocks(NamedTuple):
    """Where time comes from: the wall for what is stored, the monotonic one for every wait.

    `boot_ns` runs on while the machine is suspended; without it such a pause is not seen.
    """

    wall_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]
    boot_ns: Callable[[], int] | None = None


class Recorder:
    """Records the trades of some symbols of one venue into one lane.

    Parameters
    ----------
    symbols : venue's spelling -> canonical name.
    ws_url : the venue's base address.
    transport : opens connections.
    banned_until_ns : wall time before which the venue's stream may not be connected to.
    known_ns : what is on record of the symbols' ends bears times up to this one.
    probe : has the heads of these symbols (canonical) asked for; the answer comes through `probed`.
    attempted_ns : how long ago processes before this one tried to connect, the oldest first.
    on_connect : told the wall time of each attempt, before it is made.
    report : told the symbols (canonical) of each attempt, and why it brought no stream; None: it did.
    """

    def __init__(  # noqa: PLR0913  clocks, disk and randomness are handed in by name
        self,
        adapter: VenueAdapter,
        symbols: Mapping[str, str],
        ws_url: str,
        writer: LaneWriter,
        clocks: Clocks,
        rng: random.Random,
        *,
        transport: Transport = open_stream,
        banned_until_ns: int = 0,
        known_ns: int = 0,
        probe: Callable[[Iterable[str]], object] = lambda symbols: None,
        attempted_ns: Iterable[int] = (),
        on_connect: Callable[[int], object] = lambda wall_ns: None,
        report: Callable[[Sequence[str], str | None], object] = lambda symbols, reason: None,
    ) -> None:
        self.adapter, self.symbols, self.ws_url = adapter, dict(symbols), ws_url
        self.clocks, self.transport, self.probe = clocks, transport, probe
        self.committer = Committer(
            writer,
            wall_ns=clocks.wall_ns,
            monotonic_ns=clocks.monotonic_ns,
            on_durable=self._durable,
        )
        self.address = Address(ConnectLimits.of(adapter.limits), rng)
        self.address.recall(attempted_ns, clocks.monotonic_ns())
        self.on_connect, self.report = on_connect, report
        self.spread = Spread(
            limit_of(adapter.limits, "streams").most,
            limit_of(adapter.limits, "address_bytes").most,
            lambda names: adapter.connect(ws_url, names).url,
            adapter.stream_of,
        )
        self._known_ns = known_ns
        ban_ns = banned_until_ns - clocks.wall_ns()
        if ban_ns > 0:
            log.error("venue bans connections", venue=adapter.name, seconds=round(ban_ns / 1e9))
            report(list(self.symbols.values()), f"the venue forbids connecting for {ban_ns / 1e9:.0f} s more")
            self.address.banned(clocks.monotonic_ns() + ban_ns)
        self._rng = rng
        self._number = count(1).__next__
        self._feeds: list[_Feed] = []
        self.frames = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set; on return everything received is durable.

        Raises
        ------
        StorageError : when the disk refuses; what was received after the last commit is lost and will be refetched.
        """
        # If that is on record later than now, the clock was set back, and what begins now comes after it all the same.
        self.control(control.Started(self.adapter.name, self.symbols, self._known_ns))
        committing = asyncio.create_task(self.committer.run())
        stopping = asyncio.create_task(stop.wait())
        feeds = self._start(self.spread.groups(sorted(self.symbols)), stop)
        while True:
            await asyncio.wait({committing, stopping, *feeds}, return_when=asyncio.FIRST_COMPLETED)
            ended = [task for task in feeds if task.done()]
            if committing.done() or stopping.done() or any(map(_broke, ended)):
                break
            for task in ended:
                feeds |= self._start(task.result(), stop, feeds.pop(task))
            self._feeds = list(feeds.values())
        stop.set()
        _, slow = await asyncio.wait(feeds, timeout=STOP_WITHIN_S)
        for task in slow:
            task.cancel()
        ends = await asyncio.gather(*feeds, return_exceptions=True)
        self.committer.close()
        await committing
        for end in ends:
            # A feed ends by itself only with a bug: let it be loud, now that its frames are safe.
            if isinstance(end, Exception):
                raise end

    def _start(
        self, groups: list[list[str]], stop: asyncio.Event, before: _Feed | None = None
    ) -> dict[asyncio.Task[list[list[str]]], _Feed]:
        """Start a feed for each group of symbols, which may have been those of one that asked for too much."""
        sessions = [self._session(names, None if before is None else before.refused_as) for names in groups]
        if before is not None:
            before.session.split_into(sessions)
        feeds = [_Feed(self, names, mine) for names, mine in zip(groups, sessions, strict=True)]
        self._feeds += feeds
        return {asyncio.create_task(feed.run(stop)): feed for feed in feeds}

    def probed(self, heads: Mapping[str, int | None]) -> None:
        """Take note of heads that REST told (by canonical name); they are in the log."""
        for feed in self._feeds:
            feed.probed(heads)

    def renew(self, symbols: Iterable[str]) -> None:
        """Take note that these (canonical) are subscribed and not delivered."""
        deaf = set(symbols)
        for feed in self._feeds:
            feed.renew(deaf)

    def control(self, fact: control.Control) -> None:
        """Put a fact into the log."""
        self.committer.add(Kind.CONTROL, control.encode_control(fact))

    def boot_ns(self) -> int:
        """Return the time that runs on while the machine is suspended."""
        clocks = self.clocks
        return clocks.monotonic_ns() if clocks.boot_ns is None else clocks.boot_ns()

    def _session(self, names: list[str], refused_as: Meaning | None) -> Session:
        return Session(
            names,
            ConnectionTerms.of(self.adapter),
            self.address,
            self._rng,
            number=self._number,
            mono_ns=self.clocks.monotonic_ns(),
            boot_ns=self.boot_ns(),
            refused_as=refused_as,
        )

    def _durable(self, frames: int, lag_ns: int) -> None:
        self.frames += frames
        metrics.DURABLE_LAG.set(lag_ns / 1e9)
        metrics.RECEIVE_QUEUE.labels(self.adapter.name).set(self.committer.waiting_bytes)


class _Feed:
    """The connections of some symbols: carries out what their session decides.

    Attributes
    ----------
    session : decides.
    refused_as : as what the venue refused so many symbols, if it did.
    """

    def __init__(self, recorder: Recorder, names: list[str], mine: Session) -> None:
        self._recorder = recorder
        self._adapter = recorder.adapter
        self._names = names
        self._symbols = {name: recorder.symbols[name] for name in names}
        self._spelling = {symbol: name for name, symbol in self._symbols.items()}
        self._plan = recorder.adapter.connect(recorder.ws_url, names)
        self.session = mine
        self._streams: dict[int, OpenStream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._ends: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._looking = False
        self._groups: list[list[str]] = []
        self.refused_as: Meaning | None = None

    async def run(self, stop: asyncio.Event) -> list[list[str]]:
        """Keep the symbols recorded until `stop` is set, then take what has arrived.

        Returns early, with smaller groups of them, once the venue refuses so many on one connection.
        """
        waiting = asyncio.create_task(stop.wait())
        waiting.add_done_callback(lambda _: self._changed.set())
        try:
            while not stop.is_set():
                self._changed.clear()
                self._tick()
                if self._groups:
                    break
                await _set_within(self._changed, self.session.due_s(self._now()))
            for number in list(self._streams):
                self._close(number, "stopped", abort=False)
            for number, task in self._tasks.items():
                if number not in self._streams:  # still connecting
                    task.cancel()
            ends = await asyncio.gather(*self._tasks.values(), *self._closing, return_exceptions=True)
        finally:
            waiting.cancel()
            for task in (*self._tasks.values(), *self._closing):
                task.cancel()
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return self._groups

    def probed(self, heads: Mapping[str, int | None]) -> None:
        mine = {self._spelling[symbol]: head for symbol, head in heads.items() if symbol in self._spelling}
        self.session.probed(mine, self._now())
        self._changed.set()

    def renew(self, symbols: Iterable[str]) -> None:
        self.session.renew(self._spelling[symbol] for symbol in symbols if symbol in self._spelling)
        self._changed.set()

    # ---- decisions

    def _tick(self) -> None:
        now_ns = self._now()
        held = self._recorder.committer.full
        for number, stream in self._streams.items():
            # While the disk keeps us from reading, nobody's silence counts.
            self.session.heard(number, now_ns if held else int(stream.heard_s * 1e9))
            stream.tick(None)
        for task in [task for task in self._tasks.values() if task.done() and not task.cancelled()]:
            if (error := task.exception()) is not None:
                raise error
        self._tasks = {number: task for number, task in self._tasks.items() if not task.done()}
        if not self._tasks and not self.session.behind and not self._recorder.spread.fits(self._names):
            self._groups = self._recorder.spread.groups(self._names)  # others have learned meanwhile
            return
        for action in self.session.tick(now_ns, self._recorder.boot_ns()):
            self._act(action)
        self._looking = self.session.looking
        breaker = self._recorder.address.breaker.state(now_ns)
        metrics.BREAKER_STATE.labels(f"stream-{self._adapter.name}").set(breaker)

    def _act(self, action: actions.Action) -> None:  # noqa: C901  one case an action
        venue, recorder = self._adapter.name, self._recorder
        match action:
            case actions.Split(meaning):
                self._groups = recorder.spread.split(self._names, too_long=meaning == "too long")
                self.refused_as = meaning
                counts = {"symbols": len(self._names), "connections": len(self._groups)}
                log.warning("connection split: fewer symbols on each", venue=venue, **counts)
            case actions.Connect(number):
                recorder.on_connect(recorder.clocks.wall_ns())
                self._tasks[number] = asyncio.create_task(self._connection(number))
            case actions.Close(number, reason, abort):
                self._close(number, reason, abort=abort)
            case actions.Ping(number):
                self._streams[number].tick(self._adapter.keepalive)
            case actions.Say(number, message):
                if self._streams[number].say(message.message):
                    self.session.said(number, message, self._now())
            case actions.Subscribed(names):
                recorder.report([self._symbols[name] for name in names], None)
            case actions.SymbolsRefused(names, reason, again_s):
                self._refused(reason, [self._symbols[name] for name in names], again_s)
            case actions.Probe(names):
                recorder.probe([self._symbols[name] for name in names])
            case actions.SymbolsLost(names, reason):
                log.warning("feed lost", venue=venue, reason=reason)
                recorder.control(control.LostRecord(venue, [self._symbols[name] for name in names], reason))
            case actions.HandoverStep(step, old, new, reason):
                log.info("handover", venue=venue, step=step, old=old, new=new, reason=reason)
                told = cast("Literal['begins', 'opened', 'taken over']", step)
                recorder.control(control.HandoverRecord(venue, told, old, new, reason))

    def _close(self, number: int, reason: str, *, abort: bool) -> None:
        self._ends.setdefault(number, reason)
        stream = self._streams.get(number)
        if stream is None:
            return
        if abort:
            stream.abort()
            return
        task = asyncio.create_task(stream.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # ---- connections

    async def _connection(self, number: int) -> None:
        """Live one connection's life, from the attempt to its end."""
        venue = self._adapter.name
        try:
            async with self._recorder.transport(self._plan.url) as stream:
                reason = await self._open(number, stream)
        except HandshakeRefused as error:
            reason = f"http {error.status}"
            verdict = self._adapter.judge(error.answer)
            self._forbid(self.session.refused(number, self._now(), verdict))
            alone = self.session.refused_alone
            if alone and not self._recorder.address.open:
                self._recorder.spread.forget()
            words = verdict.reason + ", even for one symbol" if alone else verdict.reason
            self._refused(words, list(self._symbols.values()), self.session.waits_s(self._now()))
        except ConnectionLost as error:
            reason = str(error)
            self.session.ended(number, self._now())
            self._recorder.report(list(self._symbols.values()), reason)
        if self._ends.pop(number, "") != "stopped":
            metrics.RECONNECTS.labels(venue, metrics.word_of(reason, END_WORDS)).inc()
            log.warning("stream ended", venue=venue, connection=number, reason=reason)
        self._changed.set()

    def _refused(self, reason: str, symbols: list[str], again_s: float) -> None:
        """Say in words that there is no stream, of which symbols, and when it is tried again."""
        log.error(
            "no stream",
            venue=self._adapter.name,
            reason=reason,
            symbols=named(symbols, _NAMED),
            again_in_s=round(again_s, 1),
        )
        self._recorder.report(symbols, reason)

    def _forbid(self, seconds: float) -> None:
        """Have everybody know that nobody may connect for so long."""
        if seconds > 0:
            until_ns = self._recorder.clocks.wall_ns() + int(seconds * 1e9)
            self._recorder.control(control.BanSeen(self._adapter.name, until_ns, "stream"))

    async def _open(self, number: int, stream: OpenStream) -> str:
        """Receive until the connection ends; return why."""
        venue = self._adapter.name
        self._streams[number] = stream
        # Before the first frame: frames of an unknown connection cannot be decoded.
        self._recorder.control(control.Connected(venue, number, self._symbols))
        log.info("stream open", venue=venue, connection=number, symbols=len(self._symbols))
        if self._plan.say:
            self.session.opened(number, self._now(), self._ask)
        else:
            self._recorder.report(list(self._symbols.values()), None)
            self.session.opened(number, self._now())
        self._looking = True
        self._changed.set()
        code: int | None = None
        try:
            await self._receive(number, stream)
        except ConnectionLost as error:
            code = error.code
            return self._ends.setdefault(number, str(error))
        finally:
            del self._streams[number]
            reason = self._ends.get(number, "ended")
            self._forbid(self.session.ended(number, self._now(), code))
            self._recorder.control(control.Disconnected(number, reason))

    async def _receive(self, number: int, stream: OpenStream) -> NoReturn:
        committer, marks, longest = self._recorder.committer, self._adapter.notices, self._adapter.notice_bytes
        heard = False

        def take(batch: list[bytes] | Packed) -> bool:
            nonlocal heard
            if not heard:
                heard = True
                self.session.delivered(number)
            committer.add_batch(batch, number)
            if self._looking:
                self._look(number, batch)
            if marks and _says(batch, marks, longest):
                self._notice(number, batch)
            return not committer.full

        while True:
            await stream.deliver(take)
            await committer.room()

    def _notice(self, number: int, batch: list[bytes] | Packed) -> None:
        """Tell the session what the venue says beside trades."""
        for frame in _frames(batch):
            if len(frame) <= self._adapter.notice_bytes:
                self.session.noticed(number, self._adapter.classify(frame), self._now())
        self._changed.set()

    def _ask(self, names: Sequence[str]) -> Sequence[Subscribe]:
        return self._adapter.connect(self._recorder.ws_url, names).say

    def _look(self, number: int, batch: list[bytes] | Packed) -> None:
        """Tell the session which ids came; only while a connection is new."""
        for frame in _frames(batch):
            for name, trade_id in self._adapter.peek(frame):
                self.session.peeked(number, name, trade_id)
        self._changed.set()

    def _now(self) -> int:
        return self._recorder.clocks.monotonic_ns()


def _says(batch: list[bytes] | Packed, marks: Sequence[bytes], longest: int) -> bool:
    """Whether a frame of so many bytes at most seems to hold one of these marks."""
    if isinstance(batch, Packed):
        # One call for all frames: cheaper than looking at their lengths.
        return any(mark in batch.payload for mark in marks)
    return min(map(len, batch)) <= longest and any(mark in frame for frame in batch for mark in marks)


def _frames(batch: list[bytes] | Packed) -> Iterator[bytes]:
    """Return the frames one by one."""
    if not isinstance(batch, Packed):
        yield from batch
        return
    at = 0
    for size in struct.unpack(f"<{batch.frame_count}I", batch.lengths):
        yield batch.payload[at : at + size]
        at += size


def _broke(task: asyncio.Task[list[list[str]]]) -> bool:
    """Whether a feed ended otherwise than by asking for smaller ones."""
    return task.cancelled() or task.exception() is not None or not task.result()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most `seconds`; return whether it is set."""
    if seconds <= 0:
        await asyncio.sleep(0)  # others run all the same
    else:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
    return event.is_set()
