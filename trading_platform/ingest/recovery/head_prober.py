"""Ask a venue's REST for the newest trades, on a thread of its own, for whoever cannot wait: recorder and processor.

Each answer goes into a fetch lane and the ledger before anyone is told of it, so what it shows to be missing is an
open gap from then on. Who asks, and why, is session.py and stale_symbols.py; the way there and back is supervisor.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self

from trading_platform.domain.errors import FrameError, PlatformError, VenueError
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.recovery.fetch_lane import REAL_ENVIRONMENT, FetchLane, LaneEnvironment
from trading_platform.ingest.recovery.heads import ask_head
from trading_platform.ingest.recovery.rest_client import RestClient, Stopped, Waiter
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)
CLOSE_WITHIN_S = 2.0
AT_ONCE = 20
"""So many answers are told together: a thousand symbols take minutes, and nobody need wait for the last of them."""
LATER_EVERY_S = 1.0
"""Between two questions that nobody waits for: they leave the better half of our share to those that somebody does."""


class Prober:
    """Probes one venue; a context manager.

    Parameters
    ----------
    ledger : opened for this thread alone.
    client : makes the client, given the ledger, what to tell of a ban, and how to wait.
    spelling : canonical -> the venue's.
    answered : told the heads, on the prober's thread.

    Attributes
    ----------
    newest : of each symbol the newest trade's id and time as last answered, None for none.
    """

    def __init__(
        self,
        data: DataDir,
        ledger: Callable[[], Ledger],
        adapter: VenueAdapter,
        client: Callable[[Ledger, Callable[[int], None], Waiter], RestClient],
        bounds: Bounds,
        spelling: Mapping[str, str],
        answered: Callable[[dict[str, int | None]], object],
        *,
        environment: LaneEnvironment = REAL_ENVIRONMENT,
    ) -> None:
        self._environment = environment
        self._data, self._open_ledger, self._adapter, self._make_client = data, ledger, adapter, client
        self._bounds, self._spelling, self._answered = bounds, dict(spelling), answered
        self._unseen: dict[str, int | None] = {}
        self.newest: dict[str, tuple[int | None, int | None]] = {}
        self._later: list[str] = []
        self._lane: FetchLane | None = None
        self._closing = threading.Event()
        self._asked: SimpleQueue[list[str] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._asked.put(None)
        # A request under way may take its ten seconds; what it would bring is asked again at the next start.
        self._thread.join(CLOSE_WITHIN_S)

    def ask(self, symbols: Iterable[str]) -> None:
        """Have these symbols' heads asked for, soon; those that are not ours are nobody's question."""
        ours = [symbol for symbol in symbols if symbol in self._spelling]
        if ours:
            self._asked.put(ours)

    def ask_later(self, symbols: Iterable[str]) -> None:
        """Have these symbols' heads asked for one by one while nobody asks for others. Call before `__enter__`."""
        self._later += [symbol for symbol in symbols if symbol in self._spelling]

    def respell(self, spelling: Mapping[str, str]) -> None:
        """Ask by these names from now on."""
        self._spelling = dict(spelling)

    def _run(self) -> None:
        ledger = self._open_ledger()
        # One client for all probes: it remembers what it spent.
        client = self._make_client(ledger, self._banned, self._closing.wait)
        try:
            while (symbols := self._next()) is not None:
                try:
                    for at in range(0, len(symbols), AT_ONCE):
                        self._answered(self._probe(ledger, client, symbols[at : at + AT_ONCE]))
                except Stopped:
                    return
                except PlatformError as error:
                    # No answer is an answer that comes later: whoever needs it asks again.
                    log.warning("venue does not answer a probe", venue=self._adapter.name, reason=str(error))
        finally:
            client.close()
            ledger.close()

    def _next(self) -> list[str] | None:
        """Return everything asked for by now, each symbol once, or one that has time; None at the end."""
        found: dict[str, None] = {}
        while not found or not self._asked.empty():  # nobody asks for nothing, so it waits once at most
            try:
                symbols = self._asked.get(timeout=LATER_EVERY_S if self._later else None)
            except Empty:
                return [self._later.pop(0)]
            if symbols is None:
                return None
            found.update(dict.fromkeys(symbols))
        return list(found)

    def _banned(self, until_ns: int) -> None:
        """Put a ban into the log before anybody waits for its end: whoever is killed meanwhile has told it."""
        assert self._lane is not None
        self._lane.fact(control.BanSeen(self._adapter.name, until_ns))

    def _probe(self, ledger: Ledger, client: RestClient, symbols: list[str]) -> dict[str, int | None]:
        venue = self._adapter.name
        known = {row.symbol for row in ledger.sequences(venue)}
        adapter = self._adapter
        heads: dict[str, int | None] = {}
        with FetchLane(self._data, ledger, {venue: self._adapter}, self._bounds, environment=self._environment) as lane:
            self._lane = lane
            try:
                for symbol in symbols:
                    held = ledger.reach(venue, symbol, len(ledger.resets(venue, symbol))) if symbol in known else None
                    ask = partial(client.get, about=symbol)
                    body = ask_head(adapter, ask, self._spelling[symbol], symbol, held)
                    heads[symbol] = head = self._newest(body, symbol)
                    if symbol in known or self._traded_unseen(lane, symbol, head):
                        lane.page(control.PageHeader(venue, "head", symbol, listening=True), body)
            except VenueError as error:
                if isinstance(error, Stopped):
                    raise
                log.warning("venue does not answer a probe", venue=venue, reason=str(error))
        return heads

    def _traded_unseen(self, lane: FetchLane, symbol: str, head: int | None) -> bool:
        """Tell whether a symbol of which nothing was ever seen has traded since we asked first; undertake that.

        A first answer goes nowhere: what lies before we listened is not ours to hold. One that has moved since is a
        trade that we should have been told of.
        """
        if symbol not in self._unseen:
            self._unseen[symbol] = head
            return False
        first = self._unseen[symbol]
        if head is None or head == first:
            return False
        if first is not None and first < head:  # unseen, so of the first numbering
            lane.fact(control.Undertaken(self._adapter.name, symbol, first + 1))
        return True

    def _newest(self, body: bytes, symbol: str) -> int | None:
        assert self._adapter.history is not None  # else there is no answer to read
        try:
            page = self._adapter.history.read(body, symbol)
        except FrameError as error:
            raise VenueError(f"{self._adapter.name} {symbol}: {error}") from error
        head = page.newest()
        self.newest[symbol] = head, page.trades[-1].ts_event if page.trades else None
        return head
