"""Ask venues for what is wanted, and put each answer into a fetch lane: pages, heads, where a day begins.

What to ask for is recovery.py; requests, waits and refusals are rest_client.py; what the answers mean is decoder.py.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import httpx

from trading_platform.completeness import answer_checks as doubt
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import FrameError, RequestRefused, VenueError
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.verdict import Gate
from trading_platform.ingest.decoder.bounds import AHEAD_NS, Bounds
from trading_platform.ingest.rate_limits.shared_cooldown import Refusals
from trading_platform.ingest.recovery.fetch_lane import REAL_ENVIRONMENT, FetchLane, LaneEnvironment
from trading_platform.ingest.recovery.heads import ask_head
from trading_platform.ingest.recovery.rest_client import RestClient, Stopped, Waiter
from trading_platform.ingest.recovery.simulated_market import MarketName
from trading_platform.store.ledger import Ledger, SequenceKey
from trading_platform.store.log import control_records as control
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.answers import Request
from trading_platform.venues.history import History, Missing

log = get_logger(__name__)

Since = Mapping[tuple[str, str], int | str]
"""From when on to hold a (venue, symbol): the first trade id, or the first UTC day."""
Around = tuple[int | None, int | None]
"""Trade times (ns) before and after missing ids, None where unknown."""
LONGEST_WAIT_S = 150.0
MOST_REFUSED = 10
"""Pages of a range that a venue may refuse, before what is left of it is asked for another time."""


class Endpoint(NamedTuple):
    """Where a venue is asked, and with which key; `archive_url` is another address of its daily files."""

    adapter: VenueAdapter
    rest_url: str
    api_key: str | None = None
    archive_url: str | None = None

    @property
    def files_url(self) -> str:
        """Where its daily files are: at the REST address, too, while that is not the venue's own."""
        if self.archive_url is not None:
            return self.archive_url
        archive, own = self.adapter.archive, self.rest_url == self.adapter.rest_url
        return archive.url if archive is not None and own else self.rest_url


class FetchContext(NamedTuple):
    """What a recovery works with: limits, time, chance, how to wait, what lanes lie on, and the network."""

    bounds: Bounds
    gate: Gate
    share: float
    wait: Waiter
    rng: random.Random
    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    environment: LaneEnvironment = REAL_ENVIRONMENT
    network: httpx.BaseTransport | None = None


class RangeFetcher:
    """Asks the venues of some endpoints, with a fetch lane and clients of its own.

    Attributes
    ----------
    pages : answers logged.
    problems : why a venue did not answer, in words.
    """

    def __init__(
        self, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext, lane: FetchLane
    ) -> None:
        self._ledger, self._endpoints, self._context, self._lane = ledger, endpoints, context, lane
        self._clients: dict[str, RestClient] = {}
        self._spelling: dict[str, dict[str, str]] = {}
        self.pages = 0
        self.problems: list[str] = []

    def wait(self, seconds: float) -> bool:
        """Wait, or until told to stop; return whether we were."""
        return self._context.wait(seconds)

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def undertake(self, since: Since) -> bool:
        """Promise what was not promised yet; return whether all of it is."""
        done = True
        for venue in {venue for venue, _ in since}.intersection(self._endpoints):
            promised = self._promised(venue)
            wanted = {symbol: start for (of, symbol), start in since.items() if of == venue}
            for symbol, start in wanted.items():
                if promised.get(symbol) != start and self._undertake(venue, symbol, start):
                    promised[symbol] = start
            if promised != self._promised(venue):
                self._ledger.remember(f"record_from:{venue}", json.dumps(promised, sort_keys=True))
            done = done and all(promised.get(symbol) == start for symbol, start in wanted.items())
        return done

    def _promised(self, venue: str) -> dict[str, int | str]:
        promised: dict[str, int | str] = json.loads(self._ledger.fact(f"record_from:{venue}") or "{}")
        return promised

    def _undertake(self, venue: str, symbol: str, start: int | str) -> bool:
        try:
            if isinstance(start, str):
                return self.undertake_day(venue, symbol, start) is not None
            self._lane.fact(control.Undertaken(venue, symbol, start))
        except Stopped:
            raise
        except (VenueError, FrameError) as error:
            self.problem(error, f"{venue} {symbol}")
            return False
        return True

    def undertake_day(self, venue: str, symbol: str, day: str) -> int | None:
        """Promise to hold all from a day on; return the first id that this means, None if there is no such trade yet.

        The last trade before the day belongs to it as the witness of its beginning, if the venue still has it.

        Raises
        ------
        VenueError, FrameError : if the venue does not say where the day begins.
        """
        resets = self._ledger.resets(venue, symbol)
        if resets and day_start(day) < resets[-1].begins_ns:
            # Ids of an older numbering are nothing that anybody could be asked for; this one is promised already.
            return resets[-1].first_id
        begin = self.first_id(venue, symbol, day_start(day))
        if begin is None:
            return None
        if begin > 0 and self._ledger.holds(venue, symbol, len(resets), begin - 1):
            begin -= 1  # it came with the answer that confirmed the first
        self._lane.fact(control.Undertaken(venue, symbol, begin, len(resets)))
        return begin

    def first_id(self, venue: str, symbol: str, ts_ns: int) -> int | None:
        """Ask for the first trade at or after an instant; None if there is none yet.

        Raises
        ------
        VenueError : if something else that the venue says, or that is held, speaks against the answer.
        FrameError : for an answer that is none.
        """
        history, about = self._history(venue), f"{venue} {symbol}"
        venue_symbol, epoch = self._venue_symbol(venue, symbol), len(self._ledger.resets(venue, symbol))
        since = history.from_time(ts_ns)
        body = self._ask(venue, history.request(venue_symbol, since), symbol)
        page = history.read(body, symbol, since)
        first = page.first_trade()
        if first is None:
            held = self._ledger.reach(venue, symbol, epoch)
            if held is not None and held.last_ns >= ts_ns:
                raise VenueError(f"{about}: said to have no trade since {ts_ns}, although {held.head} was delivered")
            return None
        # Asked for again by its id, with the trade before it: another question, which may answer otherwise.
        known = Missing(first[0], first[0], held_before=first[0] > 0, before_ns=first[1])
        asked, listed, wrong = history.from_ids(known), page.trades, None
        if asked is not None:
            body = self._ask(venue, history.request(venue_symbol, asked), symbol)
            try:
                listed = history.read(body, symbol, asked).trades
            except FrameError as error:
                if error.kind != "page":
                    raise
                wrong = str(error)
        wrong = doubt.first_trade(first, ts_ns, self._context.wall_ns() + AHEAD_NS, listed) or wrong
        if wrong is not None:
            raise VenueError(f"{about}: trade {first[0]} cannot be the first since {ts_ns}: {wrong}")
        # Not said to be a listing from that id on: what the venue never had must not look skipped by it.
        self._page(control.PageHeader(venue, "trades", symbol, epoch=epoch), body)
        return first[0]

    def probe_head(self, venue: str, symbol: str) -> None:
        """Ask for the newest trade of a symbol that nobody listens to.

        Raises
        ------
        VenueError : also if what was delivered speaks against the answer.
        """
        held = self._ledger.reach(venue, symbol, len(self._ledger.resets(venue, symbol)))
        adapter, name = self._endpoints[venue].adapter, self._venue_symbol(venue, symbol)
        body = ask_head(adapter, lambda request: self._ask(venue, request, symbol), name, symbol, held)
        self._page(control.PageHeader(venue, "head", symbol), body)

    def fetch_range(
        self,
        venue: str,
        symbol: str,
        epoch: int,
        ids: Range,
        around: Around = (None, None),
        most_pages: int | None = None,
    ) -> None:
        """Fetch the ids of one range of an epoch, page by page.

        Pages begin and end at ids that are held, as far as there are any: only between ids that it lists does a
        listing say of others that they were never used.

        Parameters
        ----------
        around : trade times (ns) before and after the ids, None where unknown: the ledger's days tell them roughly.
        most_pages : so many are asked for at most.

        Raises
        ------
        RequestRefused : if the venue will not serve some of them; its word is on record.
        VenueError : if the venue cannot be asked for ids, or what it answers is not what was asked.
        """
        history, venue_symbol = self._history(venue), self._venue_symbol(venue, symbol)
        asked = history.from_ids(self._missing(SequenceKey(venue, symbol, epoch), ids, around))
        if asked is None:
            raise VenueError(f"{venue} {symbol}: the venue cannot be asked for trades by their ids")
        refused = pages = 0
        while asked is not None and pages != most_pages:
            try:
                body = self._ask(venue, history.request(venue_symbol, asked), symbol)
            except RequestRefused as error:
                span = history.span(asked)
                if span is None:
                    raise
                reason = f"not served: {error}"[:500]
                self._lane.fact(control.Unserved(venue, symbol, span.first, span.last, reason, epoch))
                refused += 1
                if span.last >= ids[1] or refused == MOST_REFUSED:
                    raise
                asked = span.then
                continue
            told = control.PageHeader(
                venue, "trades", symbol, asked.from_id, asked.to_id, epoch=epoch, cursor=str(asked.cursor)
            )
            self._page(told, body)
            pages += 1
            try:
                page = history.read(body, symbol, asked)
            except FrameError as error:
                if error.kind != "page":
                    raise
                raise VenueError(f"{venue} {symbol}: {error}") from error
            # Without a way on, what is still missing is due again later.
            asked = None if (page.newest() or 0) >= ids[1] else page.then

    def _missing(self, key: SequenceKey, ids: Range, around: Around) -> Missing:
        """Return what is known of missing ids and of their neighbours."""
        first, last = ids
        known = [row for row in self._ledger.sequences(key.venue, key.symbol) if row.epoch == key.epoch]
        before = any(row.from_id < first <= row.head for row in known)
        after = any(row.from_id <= last < row.head for row in known)
        after_ns, before_ns = around
        if after_ns is None or before_ns is None:
            roughly = self._ledger.times_around(key, first, last)
            after_ns = roughly[0] if after_ns is None else after_ns
            before_ns = roughly[1] if before_ns is None else before_ns
        return Missing(first, last, before, after, after_ns, before_ns)

    def _history(self, venue: str) -> History:
        history = self._endpoints[venue].adapter.history
        if history is None:
            raise VenueError(f"{venue}: the venue serves no past trades")
        return history

    def _page(self, page: control.PageHeader, body: bytes) -> None:
        self._lane.page(page, body)
        self.pages += 1

    def _ask(self, venue: str, request: Request, symbol: str) -> bytes:
        if self.wait(0.0):
            raise Stopped(f"{venue} {symbol}: stopped before asking")
        return self._client(venue).get(request, symbol)

    def _client(self, venue: str) -> RestClient:
        if venue not in self._clients:
            endpoint, context = self._endpoints[venue], self._context
            self._clients[venue] = RestClient(
                endpoint.adapter,
                endpoint.rest_url,
                share=context.share,
                wall_ns=context.wall_ns,
                monotonic=context.monotonic,
                wait=self.wait,
                rng=context.rng,
                banned_until_ns=self._ledger.ban_until(venue),
                on_ban=lambda until_ns: self._lane.fact(control.BanSeen(venue, until_ns)),
                on_headers=MarketName(self._ledger, venue).check_headers,
                refusals=Refusals(self._ledger, venue, context.monotonic),
                api_key=endpoint.api_key,
                longest_wait_s=LONGEST_WAIT_S,
                transport=context.network,
            )
        return self._clients[venue]

    def _venue_symbol(self, venue: str, symbol: str) -> str:
        if venue not in self._spelling:
            listed = self._ledger.instruments(venue)
            self._spelling[venue] = {instrument.symbol: instrument.venue_symbol for instrument in listed}
        return self._spelling[venue].get(symbol) or self._endpoints[venue].adapter.venue_symbol(symbol)

    def problem(self, error: VenueError | FrameError, about: str = "") -> None:
        """Take note that a venue did not answer; what does not decode does not say by itself what it was about."""
        reason = f"{about}: {error}" if about and isinstance(error, FrameError) else str(error)
        log.warning("venue does not answer", reason=reason)
        self.problems.append(reason)
