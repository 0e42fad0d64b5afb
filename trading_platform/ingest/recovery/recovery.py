"""Close what is open: decode what the dead left, probe heads, fetch missing ids, publish.

The one act behind `recover`, the end of `ingest`, `demo` and Dagster's gap sensor. Asking is fetcher.py. What was
fetched is published while the act goes on, and when it is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from trading_platform.domain.days import day_after, day_range, day_start
from trading_platform.domain.errors import (
    Banned,
    FrameError,
    LockHeld,
    RateLimited,
    RequestRefused,
    VenueError,
    VenueUnavailable,
)
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.trades.sequencing import prove_completeness
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.recovery.archive_client import Place
from trading_platform.ingest.recovery.archive_days import ArchiveDays, DaysOf, Stores
from trading_platform.ingest.recovery.due_listings import archives_of, due_days, note_asked
from trading_platform.ingest.recovery.fetch_lane import (
    FETCHED_BYTES,
    FILES_BYTES,
    FetchLane,
    is_written,
    settle_dead_lanes,
)
from trading_platform.ingest.recovery.fetcher import LONGEST_WAIT_S, Around, Endpoint, FetchContext, RangeFetcher, Since
from trading_platform.ingest.recovery.open_tails import ingest_lock, open_tails, within_ids
from trading_platform.ingest.recovery.rest_client import Stopped
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import held_by
from trading_platform.store.lake.publish import Published
from trading_platform.store.ledger import Gap, Ledger, SequenceKey, SequenceRow
from trading_platform.store.ledger.gaps import LONGEST_WAIT_NS
from trading_platform.store.log import control_records as control
from trading_platform.telemetry.logs import get_logger
from trading_platform.telemetry.progress import Progress, Steps

log = get_logger(__name__)

LEASE_GAPS = 500
PUBLISH_EVERY_S = 120.0
"""What was fetched is published as often: with a longest wait between, the contract's five minutes hold."""
PUBLISH_REST_FACTOR = 20.0
"""A publish that takes long is repeated after this many times its duration."""

NO_ANSWERS = (RateLimited, Banned, VenueUnavailable)
"""After these nothing more is asked of a venue for now: each symbol's failures would take minutes."""


class Outcome(NamedTuple):
    """What a recovery left.

    Attributes
    ----------
    pages : answers logged.
    touched : (venue, symbol, day) of every trade staged.
    open_gaps, open_tails : what is still open.
    problems : why, in words, where a venue gave the reason.
    not_fetched : of whole days that were to be fetched, what is still missing.
    files : daily files that were taken into the log, as (venue, symbol, day).
    notes : why other days' files were not, in words; where ids tell what is missing REST was asked for these.
    """

    pages: int
    touched: frozenset[tuple[str, str, str]]
    open_gaps: tuple[Gap, ...]
    open_tails: tuple[SequenceRow, ...]
    problems: tuple[str, ...]
    not_fetched: tuple[Gap, ...] = ()
    files: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def nothing_open(self) -> bool:
        """Tell whether every id up to every head is accounted for and no tail is open."""
        return not self.open_gaps and not self.open_tails


def recover_missing(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    context: FetchContext,
    *,
    patient: bool = True,
    since: Since | None = None,
) -> Outcome:
    """Work through everything open of these venues, heads that nobody listens to included.

    Days of symbols whose ids prove nothing are compared with the venue's files, as far as that is due.

    Parameters
    ----------
    endpoints : by venue; gaps of other venues stay as they are.
    patient : wait, up to 150 s at a time, for gaps that are due later.
    since : from when on to hold which symbols, see `undertake`.

    Raises
    ------
    Stopped : if told to stop; what was fetched is published.
    """

    def act(work: _Recovery) -> None:
        work.undertake(since or {})
        work.probe()
        work.compare_days()
        work.work_through(patient=patient)

    due = due_days(ledger, archives_of(endpoints), context.wall_ns())
    return _with_lane(data, ledger, endpoints, context, act, FILES_BYTES if due else FETCHED_BYTES)


def compare_days(data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext) -> Outcome:
    """Compare days with the venue's files, as far as that is due: afterwards they are reconciled, or not proved.

    Raises
    ------
    Stopped : if told to stop; what was fetched is published.
    """
    return _with_lane(data, ledger, endpoints, context, _Recovery.compare_days, FILES_BYTES)


def fetch_leased(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext, gaps: Sequence[Gap]
) -> Outcome:
    """Fetch these gaps, which the caller has leased and will release."""
    return _with_lane(data, ledger, endpoints, context, lambda work: work.fetch(gaps))


def probe_ended(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext, ended: frozenset[str]
) -> int:
    """Ask for the heads of venues that the caller has just stopped listening to; return how many could not be asked.

    What traded since the last delivery is fetched, one page a symbol: a quiet stop leaves nothing open, any other
    takes no longer for it. What is fetched is staged; publishing is the caller's. Being told to stop ends it: the tails
    that are left stay open, and whoever listens next asks for them.
    """
    heard = [row for row in _newest(ledger.sequences()) if row.venue in ended]
    with _lane(data, ledger, endpoints, context) as lane:
        work = _Recovery(data, ledger, endpoints, context, lane)
        try:
            return work.end(heard)
        finally:
            work.close()


def undertake(
    data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext, since: Since
) -> bool:
    """Promise to hold all trades from these ids or UTC days on; return whether all of it is promised by now.

    What is missing of it is a gap from then on. A promise is remembered, and never taken back by a later day. Without
    an answer from the venue, or before the day has its first trade, it is left for another time.

    Raises
    ------
    Stopped : if told to stop while waiting for the venue.
    """
    with _lane(data, ledger, endpoints, context) as lane:
        work = RangeFetcher(ledger, endpoints, context, lane)
        try:
            return work.undertake(since)
        finally:
            work.close()


def fetch_days(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    context: FetchContext,
    symbols: Sequence[tuple[str, str]],
    first: str,
    last: str,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Fetch whole days of these (venue, symbol), recorded or not: what is held already is not asked for.

    Days that are over come from the venue's daily files, as far as there are any; everything else over REST. From then
    on everything from these days to the head counts as missing until it is held.
    """
    asked: dict[tuple[str, str], Range] = {}

    def act(work: _Recovery) -> None:
        for venue, symbol in symbols:
            try:
                ids = work.fetch_days(venue, symbol, (first, last), progress)
            except Stopped:
                raise
            except (VenueError, FrameError) as error:
                work.problem(error, f"{venue} {symbol}")
            else:
                if ids is not None:
                    asked[venue, symbol] = ids

    outcome = _with_lane(data, ledger, endpoints, context, act, FILES_BYTES)
    missing = tuple(within_ids(outcome.open_gaps, asked))
    return outcome._replace(not_fetched=missing)


def _with_lane(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    context: FetchContext,
    act: Callable[[_Recovery], object],
    segment_bytes: int = FETCHED_BYTES,
) -> Outcome:
    """Decode what the dead left, act with a fetch lane, publish, and tell what is open."""
    venues = {name: endpoint.adapter for name, endpoint in endpoints.items()}
    lost_before = {gap.id for gap in ledger.gaps(("unrecoverable",))}
    disk = context.environment.disk
    touched = settle_dead_lanes(data, ledger, venues, context.bounds, disk=disk, stopping=lambda: context.wait(0.0))
    try:
        with _lane(data, ledger, endpoints, context, segment_bytes) as lane:
            work = _Recovery(data, ledger, endpoints, context, lane)
            try:
                act(work)
            finally:
                work.close()
    except Stopped:
        publish_staged(data, ledger, context.gate, disk=disk)
        raise
    touched |= lane.touched  # closing it has staged everything
    touched |= work.republished | _changed(publish_staged(data, ledger, context.gate, disk=disk))
    for gap in ledger.gaps(("unrecoverable",)):
        if gap.id not in lost_before:
            log.error("trades lost", **gap._asdict())
    gaps = [gap for gap in ledger.gaps() if gap.venue in endpoints]
    tails = [row for row in open_tails(data, ledger) if row.venue in endpoints]
    told = tuple(dict.fromkeys(work.problems)), (), tuple(work.files), tuple(work.notes)
    return Outcome(work.pages, frozenset(touched), tuple(gaps), tuple(tails), *told)


def _lane(
    data: DataDir,
    ledger: Ledger,
    endpoints: Mapping[str, Endpoint],
    context: FetchContext,
    segment_bytes: int = FETCHED_BYTES,
) -> FetchLane:
    venues = {name: endpoint.adapter for name, endpoint in endpoints.items()}
    return FetchLane(data, ledger, venues, context.bounds, environment=context.environment, segment_bytes=segment_bytes)


def _changed(published: Sequence[Published]) -> set[tuple[str, str, str]]:
    """Return the (venue, symbol, day) of what was replaced: also for a row that was left out, without any new trade."""
    return {(each.leaf.venue, each.leaf.symbol, each.leaf.day) for each in published if each.changed}


class _Recovery(RangeFetcher):
    """One act of recovery."""

    def __init__(
        self, data: DataDir, ledger: Ledger, endpoints: Mapping[str, Endpoint], context: FetchContext, lane: FetchLane
    ) -> None:
        super().__init__(ledger, endpoints, context, lane)
        self._data = data
        self._publish_at = context.monotonic() + PUBLISH_EVERY_S
        self.republished: set[tuple[str, str, str]] = set()
        self.files: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self._steps: Steps | None = None

    def wait(self, seconds: float) -> bool:
        """Wait, or until told to stop; what would become due for publishing meanwhile is published before."""
        if self._context.monotonic() + seconds >= self._publish_at:
            self._publish()
        return self._context.wait(seconds)

    def _publish(self) -> None:
        began = self._context.monotonic()
        self._lane.drain()
        self.republished |= _changed(
            publish_staged(self._data, self._ledger, self._context.gate, disk=self._context.environment.disk)
        )
        took_s = self._context.monotonic() - began
        self._publish_at = began + took_s + max(PUBLISH_EVERY_S, PUBLISH_REST_FACTOR * took_s)

    def probe(self) -> None:
        """Ask for the head of every symbol that nobody listens to, and say first that nobody does."""
        silent: set[str] = set()
        for row in _newest(self._ledger.sequences()):
            if row.venue not in self._endpoints or held_by(ingest_lock(self._data, row.venue)) is not None:
                continue
            if row.tail == "live":
                self._lane.fact(control.LostRecord(row.venue, [row.symbol]))
            # Where ids prove nothing the answer tells no end, but it lists the newest trades: what is missing of them.
            if row.venue not in silent and not self._probe(row):
                silent.add(row.venue)

    def _probe(self, row: SequenceRow) -> bool:
        """Ask for one head; return whether it makes sense to ask this venue for more."""
        try:
            self.probe_head(row.venue, row.symbol)
        except Stopped:
            raise
        except (VenueError, FrameError) as error:
            self.problem(error, f"{row.venue} {row.symbol}")
            return not isinstance(error, NO_ANSWERS)
        return True

    def end(self, heard: Sequence[SequenceRow]) -> int:
        """Ask for the ends of what was listened to until now; return how many were not asked for."""
        live: dict[str, list[str]] = {}
        for row in heard:
            if row.tail == "live":
                live.setdefault(row.venue, []).append(row.symbol)
        for venue, symbols in live.items():
            self._lane.fact(control.LostRecord(venue, symbols))
        silent: set[str] = set()
        for place, row in enumerate(heard):
            try:
                if row.venue not in silent and self._probe(row):
                    self.fetch_end(row)
                else:
                    silent.add(row.venue)
            except Stopped:
                return len(heard) - place
        return sum(row.venue in silent for row in heard)

    def work_through(self, *, patient: bool) -> None:
        """Lease and fetch until nothing is due; if patient, wait for what is due soon."""
        context = self._context
        self._free_dead_leases()
        stuck: set[str] = set()
        while True:
            before = self.pages
            for venue in self._endpoints.keys() - stuck:
                # A lease bears the name of the fetch lane: while that is locked, its holder lives.
                holder = f"{self._lane.name}/{context.rng.getrandbits(64):016x}"
                lease = self._ledger.lease(LEASE_GAPS, context.wall_ns(), holder, venue=venue)
                if lease is None:
                    continue
                try:
                    if not self.fetch(lease.gaps):
                        stuck.add(venue)
                finally:
                    self._ledger.release(holder, context.wall_ns())
            if self.pages > before and not stuck:
                continue
            wait_s = self._next_due_s(stuck)
            if wait_s is None or not patient or wait_s > LONGEST_WAIT_S:
                return
            if self.wait(wait_s):
                raise Stopped("stopped while waiting for gaps that are due later")

    def _free_dead_leases(self) -> None:
        """Take over what a killed recovery had leased. Ours is the only live holder of this lane's name."""
        for lease in self._ledger.leases():
            lane, _, _ = lease.partition("/")
            if lane == self._lane.name or (lane.startswith("fetch-") and not is_written(self._data, lane)):
                self._ledger.abandon_lease(lease)

    def _next_due_s(self, stuck: set[str]) -> float | None:
        """Return in how many seconds the next gap is due, None if there is none to work on."""
        now_ns, venues = self._context.wall_ns(), self._endpoints.keys() - stuck
        waits = [gap.due_ns - now_ns for gap in self._ledger.gaps(("open",)) if gap.venue in venues]
        return max(0.0, min(0 if wait > LONGEST_WAIT_NS else wait for wait in waits) / NS_PER_S) if waits else None

    def fetch(self, gaps: Sequence[Gap]) -> bool:
        """Fetch the missing ids of some gaps; return whether the venues answered."""
        by_sequence: dict[SequenceKey, list[Gap]] = {}
        for gap in gaps:
            by_sequence.setdefault(SequenceKey(gap.venue, gap.symbol, gap.epoch), []).append(gap)
        answered = True
        for key, mine in by_sequence.items():
            missing = [(gap.first_missing, gap.last_missing) for gap in mine]
            after_ns = {gap.first_missing: gap.prev_ts for gap in mine}
            before_ns = {gap.last_missing: gap.next_ts for gap in mine}
            try:
                for ids in self._history(key.venue).together(missing):
                    self._fetch_if_served(key, ids, (after_ns.get(ids[0]), before_ns.get(ids[1])))
            except Stopped:
                raise
            except (VenueError, FrameError) as error:
                # A page that does not decode is in the log and in quarantine: no answer, and no empty page either.
                self.problem(error, f"{key.venue} {key.symbol}")
                answered = answered and not isinstance(error, NO_ANSWERS)
        return answered

    def _fetch_if_served(self, key: SequenceKey, ids: Range, around: Around) -> None:
        """Fetch a range; one that the venue will not serve does not keep the others from being asked for."""
        try:
            self.fetch_range(*key, ids, around)
        except RequestRefused as error:
            self.problem(error)

    def fetch_end(self, heard: SequenceRow) -> None:
        """Fetch what is missing beyond what was heard, as far as one page brings it."""
        state = self._ledger.state(heard.venue, heard.symbol, heard.epoch)
        try:
            beyond = [(first, last) for first, last in state.open() if last > heard.head]
            missing = self._history(heard.venue).together(beyond)
            if missing:
                self.fetch_range(heard.venue, heard.symbol, heard.epoch, missing[0], most_pages=1)
        except Stopped:
            raise
        except (VenueError, FrameError) as error:
            self.problem(error, f"{heard.venue} {heard.symbol}")

    def fetch_days(self, venue: str, symbol: str, days: tuple[str, str], progress: Progress | None) -> Range | None:
        """Fetch whole days that were never recorded, with a trade on either side as witness of their ends.

        Returns the ids that this means, None if the venue has none.

        Raises
        ------
        VenueError, FrameError : if the venue does not say where the days begin.
        """
        first, last = days
        adapter = self._endpoints[venue].adapter
        if not prove_completeness(adapter.sequencing):
            if adapter.archive is None:
                self.problems.append(f"{venue} publishes no files that days of {symbol} could be compared with")
            whose = DaysOf(venue, symbol, self._venue_symbol(venue, symbol), None)
            self._fetch_files(whose, day_range(*days), progress)
            return None
        begin = self.undertake_day(venue, symbol, first)
        if begin is None:
            self.problems.append(f"{venue} has no trade of {symbol} from {first} on")
            return None
        end = self.first_id(venue, symbol, day_start(day_after(last)))
        if end is None:
            self.probe_head(venue, symbol)
            end = max((row.head for row in _newest(self._ledger.sequences(venue, symbol))), default=begin)
        if end < begin:
            raise VenueError(f"{venue} {symbol}: trade {end} is said to follow the days that begin with {begin}")
        epoch = len(self._ledger.resets(venue, symbol))
        whose = DaysOf(venue, symbol, self._venue_symbol(venue, symbol), (epoch, begin, end))
        self._fetch_files(whose, day_range(*days), progress)
        state = self._ledger.state(venue, symbol, epoch)
        known = state.stored.copy()
        known.update(state.used_up)  # no answer makes a trade of these
        missing = self._history(venue).together(known.missing(begin, end))
        if progress is not None:
            pages = sum(map(self._history(venue).pages, missing))
            self._steps = Steps(progress, f"{venue} {symbol}", "pages over REST", pages, self._context.monotonic)
        for low, high in missing:
            self.fetch_range(venue, symbol, epoch, (low, high))
        self._steps = None
        return begin, end

    def _page(self, page: control.PageHeader, body: bytes) -> None:
        super()._page(page, body)
        if self._steps is not None:
            self._steps.step()

    def compare_days(self) -> None:
        """Compare days of symbols whose ids prove nothing with the venue's files, as far as that is due."""
        now_ns = self._context.wall_ns()
        silent: set[str] = set()
        for (venue, symbol), days in due_days(self._ledger, archives_of(self._endpoints), now_ns).items():
            if venue in silent:
                continue
            try:
                self._fetch_files(DaysOf(venue, symbol, self._venue_symbol(venue, symbol), None), days, None)
            except Stopped:
                raise
            except LockHeld as error:
                self.notes.append(str(error))  # a backfill is at it
                continue
            except (VenueError, FrameError) as error:
                self.problem(error, f"{venue} {symbol}")
                silent |= {venue} if isinstance(error, NO_ANSWERS) else set()
            self._publish()  # the comparison is with what is published
            note_asked(self._ledger, (venue, symbol), days, now_ns)

    def _fetch_files(self, whose: DaysOf, days: Iterable[str], progress: Progress | None) -> None:
        """Fetch the venue's files of these days, as far as they are wanting and there are any."""
        endpoint, context = self._endpoints[whose.venue], self._context
        if endpoint.adapter.archive is None:
            return
        # Of an older numbering nothing is promised: see undertake_day.
        begins_ns = max((reset.begins_ns for reset in self._ledger.resets(whose.venue, whose.symbol)), default=0)
        wanted = [day for day in days if day_start(day_after(day)) > begins_ns]
        stores = Stores(self._data, self._ledger, self._lane)
        place = Place(context.environment.disk, context.wait, context.monotonic, context.rng, context.network)
        work = ArchiveDays(endpoint.adapter, endpoint.files_url, whose, stores, place, self.wait, progress)
        fetched = work.fetch(wanted, context.wall_ns())
        self.files += [(whose.venue, whose.symbol, day) for day in fetched.days]
        self.notes += fetched.notes


def _newest(rows: Iterable[SequenceRow]) -> list[SequenceRow]:
    """Return of each symbol the newest epoch: the older ones have ended."""
    return list({(row.venue, row.symbol): row for row in rows}.values())
