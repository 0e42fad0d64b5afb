"""REST requests of ``ingest`` while it records: the instrument listing, the newest ids, the first id of `record_from`.

Recording does not wait for them: each request has its own thread and ledger connection, and is repeated until it is
answered. Interpreting the answers is ingest/.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from trading_platform.domain.errors import UsageError
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.ingest.recovery.head_prober import Prober
    from trading_platform.ingest.recovery.rest_client import RestClient, Waiter
    from trading_platform.ingest.workers.supervisor import WorkerSpec
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

ASK_AGAIN_S = 60.0
END_WITHIN_S = 2.0
CONFIRMED_WITHIN_S = 5.0
UNDERTAKE_EVERY_S = 60.0


class ListingQuestion:
    """Loads the venue's instrument listing if a symbol is not known to be listed; a context manager.

    Attributes
    ----------
    refused : the error about a symbol, or about the venue as a whole, once the venue has answered.
    spelling : the symbols by the venue's spelling, if it differs from the assumed one.
    """

    def __init__(self, settings: Settings, data: DataDir, endpoint: Endpoint, config: WorkerSpec) -> None:
        self._settings, self._data, self._endpoint, self._config = settings, data, endpoint, config
        self.refused: UsageError | None = None
        self.spelling: Mapping[str, str] | None = None
        self._over, self._answered = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(END_WITHIN_S)

    def wait(self, seconds: float) -> None:
        """Wait for an answer, or until the first attempt has failed."""
        self._answered.wait(seconds)

    def _run(self) -> None:
        from trading_platform.commands.support import runtime
        from trading_platform.domain.errors import MarketMismatch, PlatformError, SymbolError
        from trading_platform.ingest.recovery.rest_client import Stopped
        from trading_platform.telemetry.logs import get_logger

        log, venue = get_logger(__name__), self._config.venue
        while not self._over.is_set():
            try:
                ledger = runtime.open_ledger(self._data)
                try:
                    self._ask(ledger)
                finally:
                    ledger.close()
            except Stopped:
                return
            except (SymbolError, MarketMismatch) as error:
                self.refused = error
                self._answered.set()
                return
            except PlatformError as error:
                # Recording goes on without it, with the venue spelling that the symbols' names imply.
                log.warning("instrument list not loaded", venue=venue, reason=str(error))
            else:
                self._answered.set()
                return
            self._answered.set()
            self._over.wait(ASK_AGAIN_S)

    def _ask(self, ledger: Ledger) -> None:
        from trading_platform.ingest.recovery.instruments import fetch_instruments, spell

        adapter, symbols = self._endpoint.adapter, list(self._config.symbols.values())
        listed = ledger.instruments(adapter.name)
        if set(symbols) <= {instrument.symbol for instrument in listed}:
            self._answered.set()
            self._publish(ledger)
            return
        client = self._client(ledger, self._over.wait)
        try:
            listed = fetch_instruments(self._data, ledger, adapter, client, self._bounds())
        finally:
            client.close()
        known = {instrument.symbol for instrument in listed}
        trading = [symbol for symbol in symbols if known and symbol not in known and self._trades(ledger, symbol)]
        spelled: dict[str, str] = {}
        for symbol in symbols:
            spelled |= spell(adapter, [symbol], [] if symbol in trading else listed)
        if spelled != self._config.symbols:
            self.spelling = spelled
        self._answered.set()
        self._publish(ledger)

    def _trades(self, ledger: Ledger, symbol: str) -> bool:
        """Tell whether an unlisted symbol trades nevertheless: then the listing is wrong or incomplete."""
        from trading_platform.commands.support import runtime
        from trading_platform.domain.errors import FrameError, VenueError
        from trading_platform.telemetry.logs import get_logger

        adapter = self._endpoint.adapter
        found, history = bool(ledger.days(adapter.name, symbol)), adapter.history
        if not found and history is not None:
            client = self._client(ledger, runtime.waiter_until(self._over, time.monotonic() + CONFIRMED_WITHIN_S))
            # No answer in time counts like the missing entry in the listing.
            with suppress(VenueError, FrameError):
                body = client.get(history.newest(adapter.venue_symbol(symbol)), symbol)
                found = history.read(body, symbol).newest() is not None
            client.close()
        if found:
            get_logger(__name__).warning("symbol trades without being listed", venue=adapter.name, symbol=symbol)
        return found

    def _publish(self, ledger: Ledger) -> None:
        from quality.schemas import GATES
        from trading_platform.domain.days import day_of
        from trading_platform.domain.errors import WorkError
        from trading_platform.ingest.recovery.instruments import publish_instruments
        from trading_platform.telemetry.logs import get_logger

        venue = self._config.venue
        try:
            publish_instruments(self._data, ledger, venue, day_of(time.time_ns()), GATES["instruments"])
        except WorkError as error:
            # Recording goes on: a full disk here must not end it.
            get_logger(__name__).error("instruments not published", venue=venue, reason=str(error))

    def _client(self, ledger: Ledger, wait: Waiter) -> RestClient:
        from trading_platform.commands.support import runtime
        from trading_platform.ingest.recovery.fetch_lane import FetchLane
        from trading_platform.store.log import control_records as control

        venue = self._config.venue

        def banned(until_ns: int) -> None:
            with FetchLane(self._data, ledger, {venue: self._endpoint.adapter}, self._bounds()) as lane:
                lane.fact(control.BanSeen(venue, until_ns))

        until_ns = ledger.ban_until(venue)
        return runtime.rest_client(
            self._endpoint, self._settings, wait, banned_until_ns=until_ns, on_ban=banned, ledger=ledger
        )

    def _bounds(self) -> Bounds:
        from trading_platform.ingest.decoder.bounds import Bounds

        return Bounds.of(self._settings.history_start)


def prober(
    settings: Settings,
    data: DataDir,
    endpoint: Endpoint,
    config: WorkerSpec,
    answered: Callable[[dict[str, int | None]], object],
    tails: Mapping[str, str],
) -> Prober:
    """Return the prober that asks the venue for the workers.

    Parameters
    ----------
    tails : states of the symbols' tails before this recording: the newest ids of open ones are requested one by one.
    """
    from trading_platform.commands.support import runtime
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.recovery.head_prober import Prober

    def client(ledger: Ledger, on_ban: Callable[[int], None], wait: Waiter) -> RestClient:
        banned_until_ns = ledger.ban_until(config.venue)
        return runtime.rest_client(
            endpoint, settings, wait, banned_until_ns=banned_until_ns, on_ban=on_ban, ledger=ledger
        )

    spelling = {symbol: name for name, symbol in config.symbols.items()}
    bounds = Bounds.of(settings.history_start)
    asked = Prober(data, lambda: runtime.open_ledger(data), endpoint.adapter, client, bounds, spelling, answered)
    asked.ask_later(symbol for symbol, tail in tails.items() if tail != "closed")
    return asked


@contextmanager
def undertaking(
    settings: Settings, data: DataDir, endpoint: Endpoint, config: WorkerSpec, *, simulated: bool
) -> Iterator[None]:
    """Within the block, promise the ids of `record_from`, retrying until the venue has told the first one."""
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
        asking.join(END_WITHIN_S)


def _undertake(
    settings: Settings,
    data: DataDir,
    endpoint: Endpoint,
    since: dict[tuple[str, str], int | str],
    over: threading.Event,
) -> None:
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import PlatformError
    from trading_platform.ingest.recovery.recovery import undertake
    from trading_platform.ingest.recovery.rest_client import Stopped
    from trading_platform.telemetry.logs import get_logger

    endpoints, context = {endpoint.adapter.name: endpoint}, runtime.fetch_context(settings, over.wait)
    while not over.is_set():
        try:
            ledger = runtime.open_ledger(data)
            try:
                if undertake(data, ledger, endpoints, context, since):
                    return
            finally:
                ledger.close()
        except Stopped:
            return
        except PlatformError as error:
            get_logger(__name__).warning("record_from not loaded yet", venue=endpoint.adapter.name, reason=str(error))
        over.wait(UNDERTAKE_EVERY_S)
