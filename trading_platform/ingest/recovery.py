"""Close what is open: decode what the dead left, probe heads, fetch missing ids, publish.

The one act behind `recover`, the end of `ingest`, `demo` and Dagster's gap sensor. Asking is rest.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from trading_platform.domain.days import day_after, day_start
from trading_platform.domain.errors import Banned, FrameError, RateLimited, VenueError
from trading_platform.domain.sequence import IdRanges, Range
from trading_platform.domain.trade import Trade
from trading_platform.domain.venue import VenueAdapter
from trading_platform.domain.verdict import Gate
from trading_platform.ingest import control
from trading_platform.ingest.bounds import Bounds
from trading_platform.ingest.fetch_lane import REAL_GROUND, FetchLane, Ground, is_written, settle_dead_lanes
from trading_platform.ingest.publisher import publish_staged
from trading_platform.ingest.rest import RestClient, Stopped, Waiter
from trading_platform.store.layout import DataDir
from trading_platform.store.ledger import Gap, Ledger, SequenceRow
from trading_platform.store.locks import held_by
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

LEASE_GAPS = 500
LONGEST_WAIT_S = 150.0
_S = 1_000_000_000


class Endpoint(NamedTuple):
    """Where a venue is asked, and with which key."""

    adapter: VenueAdapter
    rest_url: str
    api_key: str | None = None


class Outcome(NamedTuple):
    """What a recovery left.

    Attributes
    ----------
    pages : answers logged.
    touched : (venue, symbol, day) of every trade staged.
    open_gaps, open_tails : what is still open.
    problems : why, in words, where a venue gave the reason.
    not_fetched : of whole days that were to be fetched, what is still missing.
    """

    pages: int
    touched: frozenset[tuple[str, str, str]]
    open_gaps: tuple[Gap, ...]
    open_tails: tuple[SequenceRow, ...]
    problems: tuple[str, ...]
    not_fetched: tuple[Gap, ...] = ()

    @property
    def nothing_open(self) -> bool:
        """Tell whether every id up to every head is accounted for and no tail is open."""
        return not self.open_gaps and not self.open_tails


class Means(NamedTuple):
    """What a recovery works with: limits, time, chance, how to wait, what lanes lie on, and the network."""

    bounds: Bounds
    gate: Gate
    share: float
    wait: Waiter
    rng: random.Random
    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    ground: Ground = REAL_GROUND
    network: httpx.BaseTransport | None = None


def ingest_lock(data: DataDir, venue: str) -> Path:
    """Return the lock that a running ingest of the venue holds."""
    return data.run / f"ingest-{venue}.lock"


def open_tails(data: DataDir, ledger: Ledger, venue: str | None = None) -> list[SequenceRow]:
    """Return the sequences whose end is unknown: lost, or called live while nobody listens."""
    return [
        row
        for row in ledger.sequences(venue)
        if row.tail == "open" or (row.tail == "live" and held_by(ingest_lock(data, row.venue)) is None)
    ]


def recover(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], means: Means, *, patient: bool = True
) -> Outcome:
    """Work through everything open of these venues, heads that nobody listens to included.

    Parameters
    ----------
    endpoints : by venue; gaps of other venues stay as they are.
    patient : wait, up to 150 s at a time, for gaps that are due later.

    Raises
    ------
    Stopped : if told to stop while waiting; what was fetched is kept.
    """

    def act(work: _Recovery) -> None:
        work.probe(frozenset())
        work.work_through(patient=patient)

    return _with_lane(data, ledger, endpoints, means, act)


def fetch_leased(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], means: Means, gaps: Sequence[Gap]
) -> Outcome:
    """Fetch these gaps, which the caller has leased and will release."""
    return _with_lane(data, ledger, endpoints, means, lambda work: work.fetch(gaps))


def probe_ended(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], means: Means, ended: frozenset[str]
) -> Outcome:
    """Ask for the heads of venues that the caller has just stopped listening to, and fetch nothing."""
    return _with_lane(data, ledger, endpoints, means, lambda work: work.probe(ended))


def fetch_days(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    means: Means,
    symbols: Sequence[tuple[str, str]],
    first: str,
    last: str,
) -> Outcome:
    """Fetch whole days of these (venue, symbol), recorded or not: what is held already is not asked for.

    From then on everything from these days to the head counts as missing until it is held.
    """
    asked: dict[tuple[str, str], Range] = {}

    def act(work: _Recovery) -> None:
        for venue, symbol in symbols:
            ids = work.fetch_days(venue, symbol, first, last)
            if ids is not None:
                asked[venue, symbol] = ids

    outcome = _with_lane(data, ledger, endpoints, means, act)
    return outcome._replace(not_fetched=tuple(_within(outcome.open_gaps, asked)))


def _with_lane(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    means: Means,
    act: Callable[[_Recovery], object],
) -> Outcome:
    """Decode what the dead left, act with a fetch lane, publish, and tell what is open."""
    venues = {name: endpoint.adapter for name, endpoint in endpoints.items()}
    touched = settle_dead_lanes(data, ledger, venues, means.bounds, disk=means.ground.disk)
    with FetchLane(data, ledger, venues, means.bounds, ground=means.ground) as lane:
        work = _Recovery(data, ledger, endpoints, means, lane)
        try:
            act(work)
        finally:
            work.close()
        lane.settle()
        touched |= lane.touched
    publish_staged(data, ledger, means.gate, disk=means.ground.disk)
    gaps = [gap for gap in ledger.gaps() if gap.venue in endpoints]
    tails = [row for row in open_tails(data, ledger) if row.venue in endpoints]
    return Outcome(work.pages, frozenset(touched), tuple(gaps), tuple(tails), tuple(dict.fromkeys(work.problems)))


class _Recovery:
    """One act of recovery, with a fetch lane and clients of its own."""

    def __init__(
        self, data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], means: Means, lane: FetchLane
    ) -> None:
        self._data, self._ledger, self._endpoints, self._means, self._lane = data, ledger, endpoints, means, lane
        self._clients: dict[str, RestClient] = {}
        self._spelling: dict[str, dict[str, str]] = {}
        self.pages = 0
        self.problems: list[str] = []

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def probe(self, ended: frozenset[str]) -> None:
        """Ask for the head of every sequence that nobody listens to, and say first that nobody does."""
        for row in self._ledger.sequences():
            if row.venue not in self._endpoints:
                continue
            if row.venue not in ended and held_by(ingest_lock(self._data, row.venue)) is not None:
                continue
            if row.tail == "live":
                self._lane.fact(control.Lost(row.venue, [row.symbol]))
            try:
                self._probe_head(row.venue, row.symbol)
            except Stopped:
                raise
            except VenueError as error:
                self._problem(error)

    def _probe_head(self, venue: str, symbol: str) -> None:
        request = self._endpoints[venue].adapter.head_request(self._venue_symbol(venue, symbol))
        self._page(control.Page(venue, "head", symbol), self._client(venue).get(request))

    def work_through(self, *, patient: bool) -> None:
        """Lease and fetch until nothing is due; if patient, wait for what is due soon."""
        means = self._means
        self._free_dead_leases()
        stuck: set[str] = set()
        while True:
            before = self.pages
            for venue in self._endpoints.keys() - stuck:
                # A lease bears the name of the fetch lane: while that is locked, its holder lives.
                holder = f"{self._lane.name}/{means.rng.getrandbits(64):016x}"
                lease = self._ledger.lease(LEASE_GAPS, means.wall_ns(), holder, venue=venue)
                if lease is None:
                    continue
                try:
                    if not self.fetch(lease.gaps):
                        stuck.add(venue)
                finally:
                    self._ledger.release(holder, means.wall_ns())
            if self.pages > before and not stuck:
                continue
            wait_s = self._next_due_s(stuck)
            if wait_s is None or not patient or wait_s > LONGEST_WAIT_S:
                return
            if means.wait(wait_s):
                raise Stopped("stopped while waiting for gaps that are due later")

    def _free_dead_leases(self) -> None:
        """Take over what a killed recovery had leased. Ours is the only live holder of this lane's name."""
        for lease in self._ledger.leases():
            lane, _, _ = lease.partition("/")
            if lane == self._lane.name or (lane.startswith("fetch-") and not is_written(self._data, lane)):
                self._ledger.abandon_lease(lease)

    def _next_due_s(self, stuck: set[str]) -> float | None:
        """Return in how many seconds the next gap is due, None if there is none to work on."""
        due = [gap.due_ns for gap in self._ledger.gaps(("open",)) if gap.venue in self._endpoints.keys() - stuck]
        return max(0.0, (min(due) - self._means.wall_ns()) / _S) if due else None

    def fetch(self, gaps: Sequence[Gap]) -> bool:
        """Fetch the missing ids of some gaps; return whether the venues answered."""
        by_symbol: dict[tuple[str, str], list[Range]] = {}
        for gap in gaps:
            by_symbol.setdefault((gap.venue, gap.symbol), []).append((gap.first_missing, gap.last_missing))
        answered = True
        for (venue, symbol), missing in by_symbol.items():
            limit = self._endpoints[venue].adapter.page_limit
            try:
                for first, last in merge_close(missing, limit):
                    self.fetch_range(venue, symbol, first, last)
            except Stopped:
                raise
            except (VenueError, FrameError) as error:
                # A page that does not decode is in the log and in quarantine: no answer, and no empty page either.
                self._problem(error)
                answered = answered and not isinstance(error, RateLimited | Banned)
        return answered

    def fetch_range(self, venue: str, symbol: str, first: int, last: int) -> None:
        """Fetch the ids of one range, page by page."""
        adapter = self._endpoints[venue].adapter
        client, venue_symbol = self._client(venue), self._venue_symbol(venue, symbol)
        at = first
        while at <= last:
            body = client.get(adapter.page_request(venue_symbol, at, min(adapter.page_limit, last - at + 1)))
            self._page(control.Page(venue, "trades", symbol, at), body)
            newest = _newest(adapter.decode_page(body, symbol))
            if newest is None or newest < at:
                return  # an empty page proves nothing: the gap stays open and is due again later
            at = newest + 1

    def _page(self, page: control.Page, body: bytes) -> None:
        self._lane.page(page, body)
        self.pages += 1

    def _client(self, venue: str) -> RestClient:
        if venue not in self._clients:
            endpoint, means = self._endpoints[venue], self._means
            self._clients[venue] = RestClient(
                endpoint.adapter,
                endpoint.rest_url,
                share=means.share,
                wall_ns=means.wall_ns,
                monotonic=means.monotonic,
                wait=means.wait,
                rng=means.rng,
                banned_until_ns=self._ledger.ban_until(venue),
                on_ban=lambda until_ns: self._lane.fact(control.BanSeen(venue, until_ns)),
                api_key=endpoint.api_key,
                longest_wait_s=LONGEST_WAIT_S,
                transport=means.network,
            )
        return self._clients[venue]

    def _venue_symbol(self, venue: str, symbol: str) -> str:
        if venue not in self._spelling:
            listed = self._ledger.instruments(venue)
            self._spelling[venue] = {instrument.symbol: instrument.venue_symbol for instrument in listed}
        return self._spelling[venue].get(symbol) or self._endpoints[venue].adapter.venue_symbol(symbol)

    def fetch_days(self, venue: str, symbol: str, first: str, last: str) -> Range | None:
        """Fetch whole days that were never recorded, with a trade on either side as witness of their ends.

        Returns the ids that this means, None if the venue has none.

        Raises
        ------
        VenueError, FrameError : if the venue does not say where the days begin.
        """
        begin = self.undertake_day(venue, symbol, first)
        if begin is None:
            self.problems.append(f"{venue} has no trade of {symbol} from {first} on")
            return None
        end = self._first_id(venue, symbol, day_start(day_after(last)))
        if end is None:
            self._probe_head(venue, symbol)
            end = max((row.head for row in self._ledger.sequences(venue, symbol)), default=begin)
        stored = self._ledger.state(venue, symbol).stored
        for low, high in merge_close(stored.missing(begin, end), self._endpoints[venue].adapter.page_limit):
            self.fetch_range(venue, symbol, low, high)
        return begin, end

    def undertake_day(self, venue: str, symbol: str, day: str) -> int | None:
        """Promise to hold all from a day on; return the first id that this means, None if there is no such trade yet.

        The last trade before the day belongs to it as the witness of its beginning, if the venue still has it.

        Raises
        ------
        VenueError, FrameError : if the venue does not say where the day begins.
        """
        begin = self._first_id(venue, symbol, day_start(day))
        if begin is None:
            return None
        if begin > 0 and self._is_there(venue, symbol, begin - 1):
            begin -= 1
        self._lane.fact(control.Undertaken(venue, symbol, begin))
        return begin

    def _is_there(self, venue: str, symbol: str, trade_id: int) -> bool:
        """Tell whether a trade is held, or is now that the venue was asked for it."""
        if not list(self._ledger.state(venue, symbol).stored.missing(trade_id, trade_id)):
            return True
        adapter = self._endpoints[venue].adapter
        request = adapter.page_request(self._venue_symbol(venue, symbol), trade_id, adapter.page_limit)
        body = self._client(venue).get(request)
        # Not said to be a listing from that id on: what the venue never had must not look skipped by it.
        self._page(control.Page(venue, "trades", symbol), body)
        return any(trade.trade_id == trade_id for trade in adapter.decode_page(body, symbol))

    def _first_id(self, venue: str, symbol: str, ts_ns: int) -> int | None:
        adapter = self._endpoints[venue].adapter
        request = adapter.since_request(self._venue_symbol(venue, symbol), ts_ns)
        return adapter.decode_first_id(self._client(venue).get(request))

    def _problem(self, error: VenueError | FrameError) -> None:
        log.warning("venue does not answer", reason=str(error))
        self.problems.append(str(error))


def merge_close(missing: Iterable[Range], within: int) -> list[Range]:
    """Join missing ranges that one page of `within` ids would bring together.

    >>> merge_close([(1, 2), (500, 501), (5000, 5001)], 1000)
    [(1, 501), (5000, 5001)]
    """
    joined: list[Range] = []
    for first, last in IdRanges(missing):
        if joined and last - joined[-1][0] < within:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _within(gaps: Iterable[Gap], wanted: Mapping[tuple[str, str], Range]) -> Iterable[Gap]:
    """Cut gaps to the ids wanted of their symbols; what lies outside is left out."""
    for gap in gaps:
        first, last = wanted.get((gap.venue, gap.symbol), (0, -1))
        cut = gap._replace(first_missing=max(first, gap.first_missing), last_missing=min(last, gap.last_missing))
        if cut.missing > 0:
            yield cut


def _newest(trades: Sequence[Trade]) -> int | None:
    return max((trade.trade_id for trade in trades if trade.trade_id is not None), default=None)
