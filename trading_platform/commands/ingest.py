"""``ingest``: record a venue's trades until told to stop. How it is done is trading_platform/ingest/."""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.common import add_symbols, add_venue, emit, parse_symbols, parse_venue
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.ingest.desk import Endpoint
    from trading_platform.ingest.prober import Prober
    from trading_platform.ingest.rest import RestClient, Waiter
    from trading_platform.ingest.supervisor import IngestConfig, Supervisor
    from trading_platform.settings import Settings
    from trading_platform.store.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform ingest --venue binance --symbols BTC-USDT,ETH-USDT"
LOCK_WAIT_S = 5.0
LISTING_WITHIN_S = 2.0
PROBE_WITHIN_S = 6.0
ASK_WITHIN_S, MOST_ASKED = 3.0, 40
"""How long a run that ends by itself asks about symbols of which nothing came, and about how many."""
UNDERTAKE_EVERY_S = 60.0
UNDERTAKEN_WITHIN_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to record, from where, for how long."""
    add_venue(parser, required=True)
    add_symbols(parser)
    parser.add_argument("--ws-url", metavar="U", help="other WebSocket base address than the venue's own")
    parser.add_argument("--rest-url", metavar="U", help="other REST base address than the venue's own")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop by itself after N seconds")
    parser.add_argument("--simulated", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Record until stopped; on return everything received is durable, decoded and published.

    Raises
    ------
    WorkError : if a run that ended by itself has no stream or nothing of a symbol that traded.
    """
    from trading_platform.commands import runtime
    from trading_platform.domain.errors import WorkError
    from trading_platform.ingest.tails import ingest_lock
    from trading_platform.store.locks import FileLock

    stop = runtime.stop_event()
    if args.seconds is not None and not 0 <= args.seconds < 1e9:
        raise UsageError(f"--seconds {args.seconds} is not a duration")
    endpoint, ws_url, symbols = _what(args, settings)
    venue = endpoint.adapter.name
    data = runtime.data_dir(settings).create()
    with FileLock.acquire(ingest_lock(data, venue), f"ingest of {venue} in {data.root}", wait_s=LOCK_WAIT_S):
        ledger = runtime.open_ledger(data, settings)
        ledger.mark_kind("simulated" if args.simulated else "live")
        runtime.check_market(settings, ledger, endpoint, stop)
        config = _config(settings, data, ledger, endpoint, ws_url, symbols, stop)
        ledger.remember(f"rest_url:{venue}", endpoint.rest_url)
        with _served_metrics(settings, config):
            problem, missing = _record(args, settings, data, ledger, endpoint, config, stop)
        summary = _summary(ledger, venue)
        ledger.close()
    emit(args, summary, _text(summary))
    if missing and not stop.is_set():
        raise WorkError("; ".join(missing))
    return 1 if problem else 0


def _what(args: argparse.Namespace, settings: Settings) -> tuple[Endpoint, str, list[str]]:
    from trading_platform.commands import runtime
    from trading_platform.ingest.desk import Endpoint
    from trading_platform.venues import VENUES

    venue = parse_venue(args.venue, list(VENUES))
    adapter = VENUES[str(venue)]
    configured = settings.venues.get(adapter.name)
    symbols = parse_symbols(args.symbols) or (list(configured.symbols) if configured else None)
    if not symbols:
        raise UsageError(f"name what to record: --symbols BTC-USDT, or venues.{venue}.symbols in the settings")
    ws_url = args.ws_url or (configured and configured.ws_url) or adapter.ws_url
    rest_url = args.rest_url or (configured and configured.rest_url) or adapter.rest_url
    key = configured.api_key.get_secret_value() if configured and configured.api_key else None
    endpoint = Endpoint(adapter, runtime.check_url(str(rest_url)), key)
    return endpoint, runtime.check_url(str(ws_url), ("ws", "wss")), symbols


def _config(
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    endpoint: Endpoint,
    ws_url: str,
    symbols: list[str],
    stop: threading.Event,
) -> IngestConfig:
    """Return the workers' configuration; the venue's listing is asked only for symbols we have never seen listed."""
    from trading_platform.commands import runtime
    from trading_platform.domain.errors import VenueError
    from trading_platform.ingest.bounds import Bounds
    from trading_platform.ingest.listing import fetch_instruments, spell
    from trading_platform.ingest.supervisor import IngestConfig
    from trading_platform.telemetry.logs import get_logger

    adapter = endpoint.adapter
    listed = ledger.instruments(adapter.name)
    if not set(symbols) <= {instrument.symbol for instrument in listed}:
        wait = runtime.waiter_until(stop, time.monotonic() + LISTING_WITHIN_S)
        banned_until_ns = ledger.ban_until(adapter.name)
        client = runtime.rest_client(endpoint, settings, wait, banned_until_ns=banned_until_ns, ledger=ledger)
        try:
            listed = fetch_instruments(data, ledger, adapter, client, Bounds.of(settings.history_start))
        except VenueError as error:
            # Recording must not wait for REST: the symbol's spelling follows from its name.
            get_logger(__name__).warning("instruments unknown", venue=adapter.name, reason=str(error))
        finally:
            client.close()
    configured = settings.venues.get(adapter.name)
    return IngestConfig(
        data_dir=str(data.root.resolve()),
        venue=adapter.name,
        symbols=dict(spell(adapter, symbols, listed)),
        ws_url=ws_url,
        history_start=settings.history_start,
        database_url=settings.database_url.get_secret_value(),
        metrics_dir=None if settings.metrics.port is None else str(_metrics_folder(data)),
        log_retention_s=settings.log.retention_s,
        transport="websockets" if configured is None else configured.transport,
        compression=configured is not None and configured.compression,
        began_ns=time.time_ns(),
    )


@contextmanager
def _served_metrics(settings: Settings, config: IngestConfig) -> Iterator[None]:
    """Serve what the workers count, if the settings name a port."""
    if settings.metrics.port is None or config.metrics_dir is None:
        yield
        return
    from trading_platform.telemetry import metrics

    _, stop = metrics.serve(settings.metrics.port, shared=Path(config.metrics_dir))
    try:
        yield
    finally:
        stop()


def _metrics_folder(data: DataDir) -> Path:
    """Return the folder that the workers count in, empty: what an earlier run counted is over."""
    folder = data.run / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()


def _record(
    args: argparse.Namespace,
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    endpoint: Endpoint,
    config: IngestConfig,
    stop: threading.Event,
) -> tuple[bool, list[str]]:
    """Run the workers until told to stop, then close everything in order.

    Returns whether something went wrong, and what the run has to say of symbols that were not recorded.
    """
    from trading_platform.commands import runtime
    from trading_platform.domain.errors import LedgerUnavailable, VenueError, WorkError
    from trading_platform.ingest.bans import stream_ban_until
    from trading_platform.ingest.recovery import probe_ended
    from trading_platform.ingest.supervisor import Supervisor
    from trading_platform.telemetry.logs import get_logger

    log = get_logger(__name__)
    supervisor = Supervisor(
        config,
        banned_until_ns=lambda: stream_ban_until(data, ledger, config.venue, config.lane),
        known_ns=lambda: _known_ns(ledger, config),
    )
    ends_at = None if args.seconds is None else time.monotonic() + args.seconds
    problem = False
    try:
        supervisor.start()
        try:
            _publish_listing(settings, data, ledger, config.venue)
        except WorkError as error:
            # Recording goes on without: a full disk here must not end it.
            log.error("instruments not published", venue=config.venue, reason=str(error))
        log.info("recording", venue=config.venue, symbols=len(config.symbols), data_dir=config.data_dir)

        def wait(seconds: float) -> bool:
            if ends_at is not None:
                seconds = min(seconds, max(0.0, ends_at - time.monotonic()))
            return stop.wait(seconds) or (ends_at is not None and time.monotonic() >= ends_at)

        with (
            _prober(settings, data, endpoint, config, supervisor.tell_heads) as prober,
            _undertaking(settings, data, endpoint, config, simulated=args.simulated),
        ):
            supervisor.ask = prober.ask
            supervisor.watch(wait)
            _ask_silent(supervisor, prober, stop)
        try:
            supervisor.stop_workers()
        except WorkError as error:
            log.error("stop was not orderly", reason=str(error))
            problem = True
        # `stop` is set by now: only the deadline may cut the probe short.
        means = runtime.means(settings, runtime.waiter_until(threading.Event(), time.monotonic() + PROBE_WITHIN_S))
        try:
            probe_ended(data, ledger, {config.venue: endpoint}, means, frozenset({config.venue}))
        except (VenueError, LedgerUnavailable) as error:
            log.warning("no probe at the end", reason=str(error))
        supervisor.stop_publisher()
    finally:
        supervisor.kill()
    missing = supervisor.account.missing(config.venue)
    if stop.is_set():
        for line in missing:
            log.error("not recorded", reason=line)
    return problem, missing


def _ask_silent(supervisor: Supervisor, prober: Prober, stop: threading.Event) -> None:
    """Unless told to stop, have REST say whether the symbols of which nothing came have traded."""
    account = supervisor.account
    silent = account.silent()[:MOST_ASKED]
    if silent and not stop.is_set():
        for symbol in silent:
            prober.newest.pop(symbol, None)
        prober.ask(silent)
        until = time.monotonic() + ASK_WITHIN_S
        supervisor.watch(
            lambda seconds: (
                stop.wait(seconds) or time.monotonic() >= until or all(symbol in prober.newest for symbol in silent)
            )
        )
    for symbol, (head, ts_event) in list(prober.newest.items()):
        account.head(symbol, head, ts_event)


def _known_ns(ledger: Ledger, config: IngestConfig) -> int:
    """Return up to when what is on record of the symbols' ends bears times; 0 if the ledger does not answer."""
    from trading_platform.domain.errors import LedgerUnavailable

    try:
        return max((ledger.tail_ns(config.venue, symbol) for symbol in config.symbols.values()), default=0)
    except LedgerUnavailable:
        return 0  # it keeps nobody from recording


def _prober(
    settings: Settings,
    data: DataDir,
    endpoint: Endpoint,
    config: IngestConfig,
    answered: Callable[[dict[str, int | None]], object],
) -> Prober:
    """Return who asks the venue on behalf of the workers."""
    from trading_platform.commands import runtime
    from trading_platform.ingest.bounds import Bounds
    from trading_platform.ingest.prober import Prober

    def client(ledger: Ledger, on_ban: Callable[[int], None], wait: Waiter) -> RestClient:
        banned_until_ns = ledger.ban_until(config.venue)
        return runtime.rest_client(
            endpoint, settings, wait, banned_until_ns=banned_until_ns, on_ban=on_ban, ledger=ledger
        )

    spelling = {symbol: name for name, symbol in config.symbols.items()}
    bounds = Bounds.of(settings.history_start)
    return Prober(
        data, lambda: runtime.open_ledger(data, settings), endpoint.adapter, client, bounds, spelling, answered
    )


@contextmanager
def _undertaking(
    settings: Settings, data: DataDir, endpoint: Endpoint, config: IngestConfig, *, simulated: bool
) -> Iterator[None]:
    """Meanwhile promise what `record_from` asks for, again and again until the venue has said where that is."""
    configured = settings.venues.get(config.venue)
    since = None if configured is None or simulated else configured.record_from
    if since is None:
        yield
        return
    wanted = {(config.venue, symbol): since for symbol in config.symbols.values()}
    over = threading.Event()
    words = (settings, data, endpoint, wanted, over)
    asking = threading.Thread(target=_undertake, args=words, name="undertaking", daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join(UNDERTAKEN_WITHIN_S)


def _undertake(
    settings: Settings,
    data: DataDir,
    endpoint: Endpoint,
    since: dict[tuple[str, str], int | str],
    over: threading.Event,
) -> None:
    from trading_platform.commands import runtime
    from trading_platform.domain.errors import PlatformError
    from trading_platform.ingest.recovery import undertake
    from trading_platform.ingest.rest import Stopped
    from trading_platform.telemetry.logs import get_logger

    endpoints, means = {endpoint.adapter.name: endpoint}, runtime.means(settings, over.wait)
    while not over.is_set():
        try:
            ledger = runtime.open_ledger(data, settings)
            try:
                if undertake(data, ledger, endpoints, means, since):
                    return
            finally:
                ledger.close()
        except Stopped:
            return
        except PlatformError as error:
            get_logger(__name__).warning("record_from not promised yet", venue=endpoint.adapter.name, reason=str(error))
        over.wait(UNDERTAKE_EVERY_S)


def _publish_listing(settings: Settings, data: DataDir, ledger: Ledger, venue: str) -> None:
    from quality.schemas import GATES
    from trading_platform.domain.days import day_of
    from trading_platform.ingest.listing import publish_instruments

    publish_instruments(data, ledger, venue, day_of(time.time_ns()), GATES["instruments"])


def _summary(ledger: Ledger, venue: str) -> dict[str, object]:
    symbols = {}
    for row in ledger.sequences(venue):
        stored = sum(day.stored for day in ledger.days(venue, row.symbol) if day.epoch == row.epoch)
        missing = sum(last - first + 1 for first, last in ledger.state(venue, row.symbol, row.epoch).open())
        symbols[row.symbol] = {"stored": stored, "open": missing, "head": row.head, "tail": row.tail}
    return {"venue": venue, "symbols": symbols}


def _text(summary: dict[str, object]) -> str:
    symbols = summary["symbols"]
    assert isinstance(symbols, dict)
    lines = [f"{name}: {row['stored']:,} trades held, {row['open']:,} ids open" for name, row in symbols.items()]
    return "\n".join(lines) or "no trade was received"
