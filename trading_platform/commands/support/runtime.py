"""What commands that use a data directory share: opening the ledger, venue endpoints, REST clients, stop signals.

Here settings become arguments of the engine. Heavy modules are imported inside functions.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from trading_platform.domain.errors import UsageError
from trading_platform.domain.inputs.secrets import masked

if TYPE_CHECKING:
    from trading_platform.ingest.recovery.fetcher import Endpoint, FetchContext
    from trading_platform.ingest.recovery.rest_client import RestClient, Waiter
    from trading_platform.ingest.replay.one_leaf import LeafRebuilder
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger


def data_dir(settings: Settings) -> DataDir:
    """Return the data directory, which need not exist.

    Raises
    ------
    UsageError : if this user has no access to it.
    """
    from trading_platform.store.fs.layout import DataDir

    data = DataDir(settings.data_dir)
    check_usable(data)
    return data


def check_usable(data: DataDir) -> None:
    """Refuse a data directory that this user cannot read and write, before any work begins.

    Raises
    ------
    UsageError : naming the first folder or file below it that belongs to someone else.
    """
    if not os.path.lexists(data.root):
        parent = next(path for path in data.root.absolute().parents if os.path.lexists(path))
        _check(parent, os.W_OK | os.X_OK)
        return
    _check(data.root, _ALL)
    parts = [data.log, data.lake, data.staging, data.state, data.run, data.ledger_path]
    with suppress(OSError), os.scandir(data.log) as entries:
        parts += [Path(entry.path) for entry in entries if entry.is_dir()]
    for path in parts:
        if os.path.lexists(path):
            _check(path, _ALL if os.path.isdir(path) else os.R_OK | os.W_OK)


_ALL = os.R_OK | os.W_OK | os.X_OK


def _check(path: Path, wanted: int) -> None:
    if not os.access(path, wanted):
        raise UsageError(
            f"{path} cannot be read and written by this user; change its owner or permissions,"
            " or give another --data-dir"
        )


def existing(settings: Settings, *, log_suffices: bool = False) -> DataDir:
    """Return the data directory of a command that needs recorded data.

    Parameters
    ----------
    log_suffices : whether the command rebuilds the ledger from the log.

    Raises
    ------
    UsageError : if nothing was ever recorded there.
    """
    from trading_platform.store.fs.layout import DataDir

    data = DataDir(settings.data_dir)
    if os.path.lexists(data.root):
        check_usable(data)
    if data.ledger_path.exists():
        return data
    if not any(data.log.glob("*/*.seg*")):
        raise UsageError(f"nothing is recorded in {data.root}; record with ingest or demo, or give another --data-dir")
    if not log_suffices:
        raise UsageError(f"{data.ledger_path} is not there; rebuild it from the log with: replay --ledger")
    return data


def open_ledger(data: DataDir) -> Ledger:
    """Open the ledger of this data directory."""
    from trading_platform.store.ledger import Ledger

    return Ledger.open(data)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM, SIGINT and SIGHUP set; a signal that is ignored (``nohup``) stays so."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in stop_signals():
        signal.signal(number, on_signal)
    return stop


def stop_signals() -> list[signal.Signals]:
    """Return the signals that request an orderly stop: from a person, a supervisor, or a closed terminal."""
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in asked if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def waiter_until(stop: threading.Event, deadline: float | None = None) -> Waiter:
    """Return a waiter that gives up when `stop` is set or a wait would go beyond `deadline` (monotonic s)."""

    def wait(seconds: float) -> bool:
        if deadline is not None and time.monotonic() + seconds > deadline:
            return True
        return stop.wait(seconds)

    return wait


def fetch_context(settings: Settings, wait: Waiter) -> FetchContext:
    """Return a recovery's dependencies (clock, randomness, limits) for a real process."""
    from quality.schemas import GATES
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.recovery.fetcher import FetchContext

    bounds = Bounds.of(settings.history_start)
    return FetchContext(bounds, GATES["ticks"], settings.rest.share, wait, random.SystemRandom())


def leaf_rebuilder(settings: Settings, data: DataDir, ledger: Ledger) -> LeafRebuilder:
    """Return what rebuilds damaged ticks from the log."""
    from quality.schemas import GATES
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.replay.one_leaf import LeafRebuilder
    from trading_platform.venues import VENUES

    return LeafRebuilder(data, ledger, VENUES, Bounds.of(settings.history_start), GATES["ticks"])


def endpoints(
    settings: Settings, ledger: Ledger, venue: str | None = None, rest_url: str | None = None
) -> dict[str, Endpoint]:
    """Return the REST endpoints of the ledger's venues, or of the named one.

    The address comes from the command line, else the settings, else this data directory's last use, else the venue's
    own; simulated data never uses the venue's own.
    """
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.venues import VENUES

    if venue is not None and venue not in VENUES:
        raise UsageError(f"{venue[:40]!r} is not a supported venue; known: {' '.join(VENUES)}")
    names = [venue] if venue is not None else sorted({row.venue for row in ledger.sequences()})
    if rest_url is not None and len(names) > 1:
        raise UsageError(f"--rest-url is one venue's address; name it with --venue ({' '.join(names)})")
    found = {}
    for name in names:
        configured = settings.venues.get(name)
        # An empty address is wrong, not missing.
        known = (configured and configured.rest_url) or ledger.fact(f"rest_url:{name}")
        url = known if rest_url is None else rest_url
        if url is None and ledger.kind() == "simulated":
            raise UsageError(f"{settings.data_dir} holds simulated data; give the simulator's address with --rest-url")
        key = configured.api_key.get_secret_value() if configured and configured.api_key else None
        address = check_url(str(url)) if url is not None else VENUES[name].rest_url
        files = configured.archive_url if configured else None
        found[name] = Endpoint(VENUES[name], address, key, check_url(str(files)) if files is not None else None)
    return found


def endpoint(settings: Settings, venue: str, rest_url: str | None = None) -> Endpoint:
    """Return one venue's REST endpoint: at the address given, else the settings', else the venue's own."""
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.venues import VENUES

    adapter, configured = VENUES[venue], settings.venues.get(venue)
    # An empty address is wrong, not missing.
    address = (configured and configured.rest_url) or adapter.rest_url if rest_url is None else rest_url
    key = configured.api_key.get_secret_value() if configured and configured.api_key else None
    return Endpoint(adapter, check_url(str(address)), key)


def record_from(settings: Settings, ledger: Ledger) -> dict[tuple[str, str], int | str]:
    """Return the setting `record_from` (id or day) of each (venue, symbol) that the ledger knows.

    Empty for simulated data: the settings concern the real exchange.
    """
    if ledger.kind() == "simulated":
        return {}
    found = {}
    for venue, symbol in ledger.symbols():
        configured = settings.venues.get(venue)
        if configured is not None and configured.record_from is not None and symbol in configured.symbols:
            found[venue, symbol] = configured.record_from
    return found


def check_url(url: str, schemes: Iterable[str] = ("http", "https")) -> str:
    """Return the address if it has one of these schemes and a host.

    >>> check_url("http://127.0.0.1:8080")
    'http://127.0.0.1:8080'
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        good = parts.scheme in set(schemes) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        shown = url.partition("@")[0].partition("://")[0] + "://…" if "@" in url else masked(url[:80])
        raise UsageError(f"{shown!r} is not an address; expected {' or '.join(s + '://HOST' for s in schemes)}")
    return url.rstrip("/")


def check_market(
    settings: Settings, ledger: Ledger, endpoint: Endpoint, stop: threading.Event, *, within_s: float = 1.0
) -> None:
    """Refuse to mix a simulated market with another one or with the real exchange, before anything is recorded.

    The venue is asked only if a market's name is known, and only briefly: later answers carry the name too.

    Raises
    ------
    MarketMismatch : if it is another market.
    """
    from trading_platform.domain.errors import VenueError
    from trading_platform.ingest.recovery.simulated_market import MarketName, mismatch
    from trading_platform.telemetry.logs import get_logger

    adapter = endpoint.adapter
    known = MarketName(ledger, adapter.name).known()
    if known is None:
        return
    if endpoint.rest_url == adapter.rest_url:
        raise mismatch(known, f"trades of {adapter.name} itself")
    wait = waiter_until(stop, time.monotonic() + within_s)
    client = rest_client(endpoint, settings, wait, banned_until_ns=ledger.ban_until(adapter.name), ledger=ledger)
    try:
        client.get(adapter.ping_request())
    except VenueError as error:
        get_logger(__name__).warning("market not confirmed", venue=adapter.name, market=known, reason=str(error))
    finally:
        client.close()


def rest_client(
    endpoint: Endpoint,
    settings: Settings,
    wait: Waiter,
    *,
    banned_until_ns: int = 0,
    on_ban: Callable[[int], None] = lambda until_ns: None,
    ledger: Ledger | None = None,
) -> RestClient:
    """Return a REST client of one endpoint for a real process; the ledger shares refusals between processes."""
    from trading_platform.ingest.rate_limits.shared_cooldown import Refusals
    from trading_platform.ingest.recovery.rest_client import RestClient
    from trading_platform.ingest.recovery.simulated_market import MarketName

    return RestClient(
        endpoint.adapter,
        endpoint.rest_url,
        share=settings.rest.share,
        wall_ns=time.time_ns,
        monotonic=time.monotonic,
        wait=wait,
        rng=random.SystemRandom(),
        banned_until_ns=banned_until_ns,
        on_ban=on_ban,
        on_headers=(lambda headers: None)
        if ledger is None
        else MarketName(ledger, endpoint.adapter.name).check_headers,
        refusals=None if ledger is None else Refusals(ledger, endpoint.adapter.name),
        api_key=endpoint.api_key,
    )
