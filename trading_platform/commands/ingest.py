"""``ingest``: record a venue's trades until stopped. Its processes are commands/workers/, the work is ingest/."""

from __future__ import annotations

import argparse
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import add_symbols, add_venue, emit, parse_symbols, parse_venue
from trading_platform.domain.errors import UsageError
from trading_platform.telemetry import SHARED

if TYPE_CHECKING:
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.ingest.recovery.head_prober import Prober
    from trading_platform.ingest.workers.run_account import RunAccount
    from trading_platform.ingest.workers.supervisor import IngestSupervisor, WorkerSpec
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform ingest --venue binance --symbols BTC-USDT,ETH-USDT"
LOCK_WAIT_S = 5.0
LISTING_WITHIN_S = 1.25
"""Recording waits this long for the instrument listing while its process loads: usually the listing arrives in time, so
an unlisted symbol is refused before the start."""
PROBE_WITHIN_S, PROBE_MANY_WITHIN_S, MANY = 6.0, 1.0, 50
"""How long a stop may ask for the symbols' newest ids. With more than `MANY` symbols hardly at all, because publishing
them takes the time; then the next start asks."""
ASK_WITHIN_S, MOST_ASKED = 3.0, 40
"""How long a run with ``--seconds`` asks about symbols without any trade, and about how many."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the symbols, addresses and duration."""
    add_venue(parser, required=True)
    add_symbols(parser)
    parser.add_argument("--ws-url", metavar="U", help="other WebSocket base address than the venue's own")
    parser.add_argument("--rest-url", metavar="U", help="other REST base address than the venue's own")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after N seconds")
    parser.add_argument("--simulated", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Record until stopped; on return everything received is durable, decoded and published.

    Raises
    ------
    WorkError : if a run with ``--seconds`` had no stream, or no trade of a symbol that traded.
    """
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import WorkError
    from trading_platform.ingest.recovery.open_tails import ingest_lock
    from trading_platform.ingest.workers.run_account import RunAccount
    from trading_platform.store.fs.locks import FileLock

    stop = runtime.stop_event()
    if args.seconds is not None and not 0 <= args.seconds < 1e9:
        raise UsageError(f"--seconds {args.seconds} is not a duration")
    endpoint, ws_url, symbols = _what(args, settings)
    venue = endpoint.adapter.name
    data = runtime.data_dir(settings).create()
    with FileLock.acquire(ingest_lock(data, venue), f"ingest of {venue} in {data.root}", wait_s=LOCK_WAIT_S):
        ledger = runtime.open_ledger(data)
        ledger.mark_kind("simulated" if args.simulated else "live")
        runtime.check_market(settings, ledger, endpoint, stop)
        config = _config(settings, data, ledger, endpoint, ws_url, symbols)
        ledger.remember(f"rest_url:{venue}", endpoint.rest_url)
        problem, missing = False, list[str]()
        if not stop.is_set():
            account = RunAccount(config.symbols.values())
            with _served_metrics(settings, config, account):
                problem, missing = _record(args, settings, data, ledger, endpoint, config, account, stop)
        summary = _summary(ledger, venue)
        ledger.close()
    emit(args, summary, _text(summary))
    if missing and not stop.is_set():
        raise WorkError("; ".join(missing))
    return 1 if problem else 0


def _what(args: argparse.Namespace, settings: Settings) -> tuple[Endpoint, str, list[str]]:
    from trading_platform.commands.support import runtime
    from trading_platform.venues import VENUES

    venue = parse_venue(args.venue, list(VENUES))
    adapter = VENUES[str(venue)]
    configured = settings.venues.get(adapter.name)
    symbols = parse_symbols(args.symbols) or (list(configured.symbols) if configured else None)
    if not symbols:
        raise UsageError(f"name what to record: --symbols BTC-USDT, or venues.{venue}.symbols in the settings")
    ws_url = (configured and configured.ws_url) or adapter.ws_url if args.ws_url is None else args.ws_url
    endpoint = runtime.endpoint(settings, adapter.name, args.rest_url)
    return endpoint, runtime.check_url(str(ws_url), ("ws", "wss")), symbols


def _config(
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    endpoint: Endpoint,
    ws_url: str,
    symbols: list[str],
) -> WorkerSpec:
    """Return the workers' configuration. Symbols without a known listing get the venue spelling that their names imply.

    Recording must not wait for REST, so the venue is not asked here.
    """
    from trading_platform.ingest.recovery.instruments import spell
    from trading_platform.ingest.workers.supervisor import WorkerSpec

    adapter = endpoint.adapter
    listed = ledger.instruments(adapter.name)
    known = {instrument.symbol for instrument in listed}
    spelled: dict[str, str] = {}
    for symbol in symbols:
        spelled |= spell(adapter, [symbol], listed if symbol in known else [])
    configured = settings.venues.get(adapter.name)
    return WorkerSpec(
        data_dir=str(data.root.resolve()),
        venue=adapter.name,
        symbols=spelled,
        ws_url=ws_url,
        history_start=settings.history_start,
        database_url=settings.database_url.get_secret_value(),
        metrics_dir=None if settings.metrics.port is None else str(_metrics_folder(data, adapter.name)),
        log_retention_s=settings.log.retention_s,
        transport="websockets" if configured is None else configured.transport,
        compression=configured is not None and configured.compression,
        began_ns=time.time_ns(),
    )


@contextmanager
def _served_metrics(settings: Settings, config: WorkerSpec, account: RunAccount) -> Iterator[None]:
    """Serve the workers' metrics and whether they record, if the settings name a port and `up` does not serve them."""
    if settings.metrics.port is None or config.metrics_dir is None or SHARED in os.environ:
        yield
        return
    from trading_platform.telemetry import metrics_server

    _, stop = metrics_server.serve(
        settings.metrics.port,
        shared=Path(config.metrics_dir),
        symbols=[(config.venue, symbol) for symbol in config.symbols.values()],
        ready=lambda: account.not_ready(config.venue),
    )
    try:
        yield
    finally:
        stop()


def _metrics_folder(data: DataDir, venue: str) -> Path:
    """Return the workers' shared metrics folder: that of `up`, or our own, emptied of an earlier run's values."""
    if SHARED in os.environ:
        return Path(os.environ[SHARED])
    folder = data.run / f"metrics-{venue}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()


def _record(
    args: argparse.Namespace,
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    endpoint: Endpoint,
    config: WorkerSpec,
    account: RunAccount,
    stop: threading.Event,
) -> tuple[bool, list[str]]:
    """Run the workers until stopped, then close everything in order.

    Returns whether something went wrong, and messages about symbols that were not recorded.

    Raises
    ------
    SymbolError : if the venue answers that it does not list a symbol.
    """
    from trading_platform.commands.support import ingest_questions as questions
    from trading_platform.ingest.rate_limits.stream_bans import stream_ban_until
    from trading_platform.ingest.workers.supervisor import IngestSupervisor
    from trading_platform.telemetry.logs import get_logger

    log = get_logger(__name__)
    supervisor = IngestSupervisor(
        config,
        account,
        banned_until_ns=lambda: stream_ban_until(data, ledger, config.venue, config.lane),
        known_ns=lambda: _known_ns(ledger, config),
    )
    tails = _tails(ledger, config)
    ends_at = None if args.seconds is None else time.monotonic() + args.seconds
    with questions.ListingQuestion(settings, data, endpoint, config) as listing:
        try:
            supervisor.prepare()
            listing.wait(LISTING_WITHIN_S)
            if listing.refused is not None:
                raise listing.refused
            supervisor.start()
            log.info("recording", venue=config.venue, symbols=len(config.symbols), data_dir=config.data_dir)
            with (
                questions.prober(settings, data, endpoint, config, supervisor.tell_heads, tails) as prober,
                questions.undertaking(settings, data, endpoint, config, simulated=args.simulated),
            ):
                supervisor.ask = prober.ask

                def wait(seconds: float) -> bool:
                    if listing.spelling is not None:
                        supervisor.respell(listing.spelling)
                        prober.respell({symbol: name for name, symbol in listing.spelling.items()})
                        listing.spelling = None
                    if ends_at is not None:
                        seconds = min(seconds, max(0.0, ends_at - time.monotonic()))
                    over = stop.wait(seconds) or (ends_at is not None and time.monotonic() >= ends_at)
                    return over or listing.refused is not None

                supervisor.watch(wait)
                if listing.refused is None:
                    _ask_silent(supervisor, prober, stop)
            problem = _stop(settings, data, ledger, endpoint, supervisor)
        finally:
            supervisor.kill()
    if listing.refused is not None:
        raise listing.refused
    missing = supervisor.account.missing(config.venue)
    if stop.is_set():
        for line in missing:
            log.error("not recorded", reason=line)
    return problem, missing


def _ask_silent(supervisor: IngestSupervisor, prober: Prober, stop: threading.Event) -> None:
    """Unless stopped, ask REST whether the symbols without any trade have traded."""
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


def _stop(settings: Settings, data: DataDir, ledger: Ledger, endpoint: Endpoint, supervisor: IngestSupervisor) -> bool:
    """Stop everything in order within one time budget; return whether something went wrong."""
    from trading_platform.domain.errors import WorkError
    from trading_platform.telemetry.logs import get_logger

    problem = False

    def orderly(step: Callable[[], object]) -> None:
        nonlocal problem
        try:
            step()
        except WorkError as error:
            get_logger(__name__).error("stop was not orderly", reason=str(error))
            problem = True

    orderly(supervisor.stop_workers)
    _ask_ends(settings, data, ledger, endpoint, supervisor)
    orderly(supervisor.stop_publisher)
    return problem


def _ask_ends(
    settings: Settings, data: DataDir, ledger: Ledger, endpoint: Endpoint, supervisor: IngestSupervisor
) -> None:
    """Ask for the newest ids of the recorded symbols, as many as the stop's time allows."""
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import PlatformError
    from trading_platform.ingest.recovery.recovery import probe_ended
    from trading_platform.ingest.workers.supervisor import PUBLISH_S
    from trading_platform.telemetry.logs import get_logger

    log, venue = get_logger(__name__), endpoint.adapter.name
    many = len(ledger.sequences(venue)) > MANY
    within = PROBE_MANY_WITHIN_S if many else PROBE_WITHIN_S
    if many and supervisor.left_s(PUBLISH_S) <= within:
        log.warning("newest ids not requested at stop; the next start does", venue=venue)
        return
    deadline = time.monotonic() + min(within, supervisor.left_s(PUBLISH_S))
    # The stop signal has already come: only the deadline may end this early.
    context = runtime.fetch_context(settings, runtime.waiter_until(threading.Event(), deadline))
    try:
        left = probe_ended(data, ledger, {venue: endpoint}, context, frozenset({venue}))
    except PlatformError as error:  # the next start or recover asks for the rest
        log.warning("newest ids not loaded at stop", venue=venue, reason=str(error))
    else:
        if left:
            log.warning("some newest ids not requested at stop; the next start does", venue=venue, symbols=left)


def _tails(ledger: Ledger, config: WorkerSpec) -> dict[str, str]:
    """Return the known states of the symbols' tails; nothing if the ledger does not answer."""
    from trading_platform.domain.errors import LedgerUnavailable

    try:
        return {row.symbol: row.tail for row in ledger.sequences(config.venue)}
    except LedgerUnavailable:
        return {}


def _known_ns(ledger: Ledger, config: WorkerSpec) -> int:
    """Return the latest time of the recorded tail events of the symbols; 0 if the ledger does not answer."""
    from trading_platform.domain.errors import LedgerUnavailable

    try:
        return ledger.tail_ns(config.venue, config.symbols.values())
    except LedgerUnavailable:
        return 0  # a broken ledger must not stop recording


def _summary(ledger: Ledger, venue: str) -> dict[str, object]:
    from trading_platform.store.ledger.text_days import text_days

    # A few SQL statements for all symbols: a stop must be over in time with any number of them.
    with ledger.snapshot(venue) as now:
        rows, stored, missing = now.sequences, now.stored_by_day(), now.ids["open"].total().tolist()
        for day in text_days(now.db, venue):
            key = (venue, day.symbol, 0)
            stored[key] = stored.get(key, 0) + day.held
    symbols = {
        row.symbol: {
            "stored": stored.get((venue, row.symbol, row.epoch), 0),
            "open": missing[at],
            "head": row.head,
            "tail": row.tail,
        }
        for at, row in enumerate(rows)
    }
    return {"venue": venue, "symbols": symbols}


def _text(summary: dict[str, object]) -> str:
    symbols = summary["symbols"]
    assert isinstance(symbols, dict)
    lines = [f"{name}: {row['stored']:,} trades held, {row['open']:,} ids open" for name, row in symbols.items()]
    return "\n".join(lines) or "no trade was received"
