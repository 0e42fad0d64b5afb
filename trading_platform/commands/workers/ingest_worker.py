"""Entry point of the workers of ``ingest`` (record, process, publish): ``python -m …workers.ingest_worker ROLE``.

Started by the command `ingest`, not by users. It passes real clocks, randomness, settings and gates to ingest/. If the
parent dies, a worker exits within a second: the recorder in order, the others at once: their work is repeatable.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from trading_platform.domain.errors import PlatformError
from trading_platform.domain.inputs.secrets import masked
from trading_platform.ingest.workers import messages
from trading_platform.ingest.workers.supervisor import CONFIG_VARIABLE, WorkerSpec
from trading_platform.processes import memory as spare_memory, scheduling as priority
from trading_platform.processes.worker_process import Outbox, may_begin, obey_parent, parent_teller
from trading_platform.telemetry import logs
from trading_platform.telemetry.logs import get_logger

if TYPE_CHECKING:
    import asyncio

    from trading_platform.ingest.decoder.decoded import Decoded
    from trading_platform.ingest.transport.protocol import Transport
    from trading_platform.store.ledger import SequenceKey
    from trading_platform.venues.adapter import VenueAdapter

LOCK_WAIT_S = 5.0
UNTOLD_PER_SECOND = 5.0
TELL_EVERY_S = 0.5
PARENT_DEAD_EXIT = 3
MEASURE_EVERY_S = 5.0
FEED_IDLE_S, FEED_REST_S = 0.1, 0.5


def record(config: WorkerSpec) -> int:
    """Receive frames into the log until stopped."""
    import asyncio
    import gc
    import random
    from pathlib import Path

    from trading_platform.ingest.liveness.loop_watchdog import Watchdog
    from trading_platform.ingest.rate_limits.connect_history import ConnectHistory
    from trading_platform.ingest.rate_limits.connect_policy import ConnectLimits
    from trading_platform.ingest.recorder.disk_full import record_with_space
    from trading_platform.ingest.recorder.recorder import Clocks, Recorder
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.log.reserve import RESERVE_BYTES
    from trading_platform.store.log.writer import LaneWriter
    from trading_platform.venues import VENUES

    priority.come_first()
    gc.freeze()  # loaded modules stay: exclude them from garbage collections

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        recorders: list[Recorder] = []

        def on_message(line: bytes) -> None:
            match messages.decode_message(line):
                case messages.Heads(heads) if recorders:
                    recorders[-1].probed(heads)
                case messages.Renew(symbols) if recorders:
                    recorders[-1].renew(symbols)

        tell = parent_teller()
        outbox = Outbox(tell)
        obey_parent(
            stop=lambda: loop.call_soon_threadsafe(stop.set),
            orphaned=lambda: _stop_soon(loop, stop),
            told=lambda line: loop.call_soon_threadsafe(on_message, line),
        )
        data = DataDir(Path(config.data_dir))
        lane = data.lane(config.lane)
        attempts = ConnectHistory(
            data.run / f"attempts-{config.venue}", ConnectLimits.of(VENUES[config.venue].limits).connects_window_s
        )

        def open_writer(on_full: Callable[[], None]) -> LaneWriter:
            return LaneWriter.open(
                lane,
                clock=time.time_ns,
                entropy=os.urandom,
                wait_s=LOCK_WAIT_S,
                reserve_bytes=RESERVE_BYTES,
                on_full=on_full,
                background=True,
            )

        async def receive(writer: LaneWriter, pause: asyncio.Event) -> None:
            # SystemRandom: several recorders must not draw the same backoff.
            recorder = Recorder(
                VENUES[config.venue],
                config.symbols,
                config.ws_url,
                writer,
                Clocks(time.time_ns, time.monotonic_ns, lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)),
                random.SystemRandom(),
                transport=_transport(config),
                banned_until_ns=config.banned_until_ns,
                known_ns=config.known_ns,
                probe=lambda symbols: [tell(line) for line in messages.probe(symbols)],
                attempted_ns=attempts.recall(time.time_ns()),
                on_connect=attempts.note,
                report=lambda symbols, reason: outbox.put(
                    messages.opened(symbols) if reason is None else messages.refused(symbols, reason)
                ),
            )
            recorders[:] = [recorder]
            with Watchdog() as watchdog:
                beating = asyncio.create_task(watchdog.keep_beating())
                telling = asyncio.create_task(_flush(outbox))
                try:
                    await recorder.run(pause)
                finally:
                    recorders.clear()
                    beating.cancel()
                    telling.cancel()
                    outbox.flush()

        await record_with_space(config.lane, open_writer, receive, stop)

    asyncio.run(run())
    return 0


async def _flush(outbox: Outbox) -> None:
    """Resend messages that found the pipe full."""
    import asyncio

    while True:
        await asyncio.sleep(TELL_EVERY_S)
        outbox.flush()


def _told_to_end(config: WorkerSpec) -> bool:
    """Load the recorder's modules, wait for the parent if configured; return whether to exit without recording."""
    import trading_platform.ingest.recorder.disk_full
    import trading_platform.ingest.recorder.recorder
    import trading_platform.store.log.writer  # noqa: F401  to have it loaded

    _transport(config)
    return not may_begin()


def _transport(config: WorkerSpec) -> Transport:
    """Return the transport; the fast one loads numba (0.5 s, 60 MB), so it is imported only on request."""
    from functools import partial

    from trading_platform.venues import VENUES

    compression, per_second = config.compression, _per_second(VENUES[config.venue])
    if config.transport == "fast":
        from trading_platform.ingest.transport import fast_websocket as fast_transport

        return partial(fast_transport.open_stream, compression=compression, per_second=per_second)
    from trading_platform.ingest.transport import websocket as websocket_client

    return partial(websocket_client.open_stream, compression=compression, per_second=per_second)


def _per_second(adapter: VenueAdapter) -> float:
    """Return how many messages a second a venue accepts from a client; a few if it is not documented."""
    from math import isinf

    from trading_platform.venues.limits import limit_of

    told = limit_of(adapter.limits, "messages").per_second
    return UNTOLD_PER_SECOND if isinf(told) else told


def _stop_soon(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop the recorder after its parent died: in order if that takes less than 0.7 s."""
    loop.call_soon_threadsafe(stop.set)
    threading.Event().wait(0.7)
    os._exit(PARENT_DEAD_EXIT)


def process(config: WorkerSpec) -> int:
    """Decode and stage the live lane until stopped, then the rest of it."""
    from pathlib import Path

    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.processor.batch_metrics import BatchMetrics
    from trading_platform.ingest.processor.processor import Processor, follow
    from trading_platform.ingest.processor.stale_symbol_monitor import SilenceWatch
    from trading_platform.ingest.workers.run_account import FirstTrades
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.venues import VENUES

    priority.come_last()
    stop = _stopping()
    tell = parent_teller()
    watch = SilenceWatch(config.symbols.values(), tell, time.monotonic_ns)
    outbox = Outbox(tell)
    first = FirstTrades(config.began_ns, outbox.put)
    budget = _StopBudget()
    measured = BatchMetrics(config.venue, config.symbols.values(), time.time)

    def told(line: bytes) -> None:
        budget.on_message(line)
        watch.on_message(line)

    obey_parent(stop=stop.set, orphaned=lambda: os._exit(PARENT_DEAD_EXIT), told=told)

    def observe(decoded: Decoded, added: dict[SequenceKey, int]) -> None:
        watch.observe(decoded)
        first.observe({key.symbol: columns for key, columns in decoded.trades.items()})
        measured.observe(decoded, added)

    data = DataDir(Path(config.data_dir))
    ledger = Ledger.open(data)
    processor = Processor(
        data,
        config.lane,
        ledger,
        VENUES,
        Bounds.of(config.history_start),
        wait_s=LOCK_WAIT_S,
        observe=observe,
        over=budget.over,
    )

    def staged() -> None:
        if config.metrics_dir is not None:
            measured.gauge(ledger, processor.unstaged)

    follow(processor, judge=watch.judge, staged=staged, wait=stop.wait, monotonic=time.monotonic)
    if not processor.drain():
        reason = f"{processor.unstaged} trades are durable and decoded"
        get_logger(__name__).warning("trades not staged at stop; the next start stages them", reason=reason)
    outbox.flush()
    processor.close()
    ledger.close()
    return 0


def _measure_self(role: str, config: WorkerSpec) -> None:
    """Keep the gauges of this process and of its disk up to date, if metrics are served."""
    if config.metrics_dir is None:
        return
    from trading_platform.processes.memory import resident_bytes
    from trading_platform.telemetry import metrics

    def run() -> None:
        while True:
            metrics.MEMORY.labels(config.venue, role).set(resident_bytes())
            disk = os.statvfs(config.data_dir)
            metrics.DISK_FREE.labels(config.venue).set(disk.f_bavail * disk.f_frsize)
            time.sleep(MEASURE_EVERY_S)

    threading.Thread(target=run, name="measure", daemon=True).start()


def publish(config: WorkerSpec) -> int:
    """Publish staged trades repeatedly until stopped, then once more; seal and retire the log."""
    spare_memory.use_system_allocator()
    from pathlib import Path

    from quality.schemas import GATES
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.processor.log_maintenance import LogMaintenance
    from trading_platform.ingest.processor.publisher import publish_until
    from trading_platform.ingest.replay.one_leaf import LeafRebuilder
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.venues import VENUES

    priority.come_last()
    stop = _stopping()
    budget = _StopBudget()
    obey_parent(stop=stop.set, orphaned=lambda: os._exit(PARENT_DEAD_EXIT), told=budget.on_message)
    data = DataDir(Path(config.data_dir))
    ledger = Ledger.open(data)
    keeper = LogMaintenance(
        data,
        ledger,
        VENUES,
        Bounds.of(config.history_start),
        retention_ns=None if config.log_retention_s is None else config.log_retention_s * 10**9,
        now_ns=time.time_ns,
        stopping=stop.is_set,
    )

    def afterwards() -> None:
        keeper.keep()
        spare_memory.give_back()

    publish_until(
        data,
        ledger,
        GATES["ticks"],
        monotonic=time.monotonic,
        wait=stop.wait,
        afterwards=afterwards,
        stopping=stop.is_set,
        over=budget.over,
        heal=LeafRebuilder(data, ledger, VENUES, Bounds.of(config.history_start), GATES["ticks"]),
    )
    ledger.close()
    return 0


def feed_database(config: WorkerSpec) -> int:
    """Write into the database what is recorded, published and known, until stopped; it may be away for any time."""
    spare_memory.use_system_allocator()
    from pathlib import Path

    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.processor.database_follower import DatabaseFollower
    from trading_platform.store.database import access
    from trading_platform.store.database.upkeep import maintenance
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.venues import VENUES

    priority.come_last()
    stop = _stopping()
    budget = _StopBudget()
    obey_parent(stop=stop.set, orphaned=lambda: os._exit(PARENT_DEAD_EXIT), told=budget.on_message)
    data = DataDir(Path(config.data_dir))
    ledger = Ledger.open(data)
    follower = DatabaseFollower(
        data,
        ledger,
        VENUES,
        Bounds.of(config.history_start),
        lambda: access.writer(data, config.database_url),
        wall_ns=time.time_ns,
        monotonic=time.monotonic,
        lanes=(config.lane,),
    )
    # In a thread: to compress a large chunk may take minutes.
    work = (config.database_url, stop.wait)
    threading.Thread(target=maintenance.keep_on, args=work, name="maintenance", daemon=True).start()
    while not stop.is_set():
        done = follower.round(stop.is_set)
        stop.wait(FEED_IDLE_S if done.trades else FEED_REST_S)
    follower.round(budget.over, whole=True)
    follower.close()
    ledger.close()
    return 0


ROLES = {"recorder": record, "processor": process, "publisher": publish, "database": feed_database}


class _StopBudget:
    """The time budget of the coming stop, as told by the parent."""

    def __init__(self) -> None:
        self._over_at: float | None = None

    def on_message(self, line: bytes) -> None:
        """Apply a message of the parent."""
        match messages.decode_message(line):
            case messages.StopWithin(seconds):
                self._over_at = time.monotonic() + seconds
                priority.come_soon()  # told once the recorder has ended

    def over(self) -> bool:
        """Tell whether the budget is used up."""
        return self._over_at is not None and time.monotonic() >= self._over_at


def _stopping() -> threading.Event:
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    return stop


def main(arguments: list[str]) -> int:
    """Run one role; an expected error prints one line."""
    role = arguments[0]
    logs.configure(level=os.environ.get("TP_LOG_LEVEL", "info"), as_json=not sys.stderr.isatty())
    try:
        config = msgspec.json.decode(os.environ.pop(CONFIG_VARIABLE), type=WorkerSpec)
        if role == "recorder" and _told_to_end(config):
            return 0
        _measure_self(role, config)
        return ROLES[role](config)
    except PlatformError as error:
        print(f"trading-platform {role}: {masked(str(error))}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
