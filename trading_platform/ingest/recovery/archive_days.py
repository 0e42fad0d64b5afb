"""Fetch whole days of a symbol from the venue's daily files: download, check, cut, log, decode; one file after another.

The next file is downloaded while one is decoded. What is not fetched here (no file yet, none for ever, one that is
wrong, holes in one) stays missing and is asked for over REST (recovery.py). A day whose file lies in the log whole is
remembered with the file's checksum, and fetched again only if a later run finds the day wanting and another checksum.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from trading_platform.domain.days import day_after, day_start
from trading_platform.domain.errors import FrameError, UsageError, VenueError, VenueUnavailable
from trading_platform.domain.units import NS_PER_S
from trading_platform.ingest.decoder.archive.pieces import pack
from trading_platform.ingest.recovery.archive_client import ArchiveClient, Place
from trading_platform.ingest.recovery.archive_files import pieces, unpacked
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.ingest.recovery.rest_client import Stopped, Waiter
from trading_platform.processes.call_deadline import Call
from trading_platform.store.fs.disk import make_directory
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.telemetry.logs import get_logger
from trading_platform.telemetry.progress import Progress, clock_of
from trading_platform.venues.adapter import VenueAdapter

log = get_logger(__name__)

PASSES = 2
"""A file that was refused, or an archive that did not answer, is asked once more when all other days are done."""
BETWEEN_PASSES_S = 10.0
NO_WAIT_S = 3600.0
_NAMED_BY = 16
"""Digits of a checksum in the name of a download: a file that is published again is another download."""


class DaysOf(NamedTuple):
    """Whose days are fetched.

    `asked`: the epoch and the ids, first and last, that all of them mean; None where ids prove nothing: then a file is
    the venue's own listing of its day, which the day is compared with.
    """

    venue: str
    symbol: str
    venue_symbol: str
    asked: tuple[int, int, int] | None


class Stores(NamedTuple):
    """Where files, pieces and facts go."""

    data: DataDir
    ledger: Ledger
    lane: FetchLane


class Fetched(NamedTuple):
    """What came of it: the days whose files are in the log now, and why others are not, in words."""

    days: list[str]
    notes: list[str]


class _Download(NamedTuple):
    path: Path
    checksum: str | None


class ArchiveDays:
    """The daily files of one symbol.

    Parameters
    ----------
    place : for downloads, which run beside the decoding.
    wait : waits, and returns whether to stop; called often, and only by the thread that decodes.
    progress : told each day that is done with.
    """

    def __init__(
        self,
        adapter: VenueAdapter,
        base_url: str,
        whose: DaysOf,
        stores: Stores,
        place: Place,
        wait: Waiter,
        progress: Progress | None = None,
    ) -> None:
        if adapter.archive is None:
            raise UsageError(f"{adapter.name} publishes no files of past days")
        self._archive, self._whose = adapter.archive, whose
        self._data, self._ledger, self._lane = stores
        self._wait, self._progress = wait, progress
        self._about = f"{whose.venue} {whose.symbol}"
        self._cancelled = False
        asked = place.wait
        self._place = place._replace(wait=lambda seconds: self._cancelled or asked(seconds))
        self._client = ArchiveClient(base_url, self._about, self._place, adapter.judge)
        self._folder = stores.data.downloads / whose.venue / whose.symbol
        self._fact = f"archive:{whose.venue}:{whose.symbol}"
        self._known: dict[str, str] = json.loads(self._ledger.fact(self._fact) or "{}")
        self._begun, self._decoded, self._total = place.monotonic(), 0, 0

    def fetch(self, days: Iterable[str], now_ns: int) -> Fetched:
        """Fetch what is wanting of these days, as far as there are files.

        Raises
        ------
        Stopped : if told to stop; what is in the log is kept, a download goes on next time.
        LockHeld : if another process fetches files of this symbol.
        """
        wanted = self._wanting(days, now_ns)
        self._total, fetched = len(wanted), Fetched([], [])
        if not wanted:
            return fetched
        make_directory(self._folder, disk=self._place.disk)
        with FileLock.acquire(self._data.run / f"archive-{self._whose.venue}-{self._whose.symbol}.lock", self._files()):
            try:
                for number in range(PASSES):
                    wanted = self._pass(wanted, fetched)
                    if not wanted or number == PASSES - 1:
                        break
                    if self._wait(BETWEEN_PASSES_S):
                        raise Stopped(f"{self._about}: stopped before asking for files again")
            finally:
                self._cancelled = True
                self._client.close()
        return fetched

    def _files(self) -> str:
        return f"fetching of {self._about} from the archive"

    def _wanting(self, days: Iterable[str], now_ns: int) -> list[str]:
        """Return the days that may have a file by now and are not proved complete."""
        after_ns = int(self._archive.published_after_s * NS_PER_S)
        rows = self._ledger.day_report(now_ns, self._whose.venue, self._whose.symbol)
        complete = {row.day for row in rows if row.state in {"complete", "reconciled"}}
        return [day for day in days if day not in complete and day_start(day_after(day)) + after_ns <= now_ns]

    def _pass(self, days: Sequence[str], fetched: Fetched) -> list[str]:
        """Fetch files one after another; return the days worth another try."""
        again: list[str] = []
        coming = self._start(days[0])
        for place, day in enumerate(days):
            try:
                download = self._arrived(coming, day)
            except FrameError as error:
                self._note(fetched, f"{self._about} {day}: the archive's file is refused: {error}")
                again.append(day)
                download = None
            except VenueUnavailable as error:
                self._note(fetched, f"the archive does not answer: {error}")
                return [*again, *days[place:]]
            except Stopped:
                raise
            except VenueError as error:
                self._note(fetched, f"{self._about} {day}: the archive gives no file: {error}")
                download = None
            # Begun before this day is decoded: then a year takes as long as its download.
            following = days[place + 1] if place + 1 < len(days) else None
            coming = self._start(following) if following is not None else coming
            if download is not None:
                self._take(day, download, fetched)
            elif self._whose.asked is None and day not in again:
                self._note(fetched, f"{self._about} {day}: the archive has no file of it by now")
            self._decoded += 1
            self._show(day, 0.0)
        return again

    def _note(self, fetched: Fetched, words: str) -> None:
        log.warning("no trades from this file", reason=words)
        fetched.notes.append(words)

    # ---- downloads

    def _start(self, day: str) -> Callable[[], _Download | None]:
        """Begin to download a day's file; return what waits for it."""
        if self._place.network is not None:
            return lambda: self._download(day)
        call = Call(lambda: self._download(day))

        def left_s() -> float:
            if self._wait(0.0):
                self._cancelled = True
                raise Stopped(f"{self._about}: stopped while downloading")
            self._show(day, self._client.at / max(self._client.size, self._client.at, 1))
            return NO_WAIT_S  # a download ends by its own deadlines

        return lambda: call.within(left_s)

    def _arrived(self, coming: Callable[[], _Download | None], day: str) -> _Download | None:
        if self._wait(0.0):
            raise Stopped(f"{self._about}: stopped before {day}")
        return coming()

    def _download(self, day: str) -> _Download | None:
        """Return a day's file, checked; None if there is none, or it is in the log already."""
        file = self._archive.file(self._whose.venue_symbol, day)
        checksum = None
        if file.checksum_path is not None:
            body = self._client.small(file.checksum_path)
            if body is None:
                return None
            checksum = self._archive.read_checksum(body, file)
            if self._known.get(day) == checksum:
                self._forget(file.name)
                return None
        elif day in self._known and self._whose.asked is not None:
            return None
        path = self._folder / f"{file.name}.{(checksum or 'part')[:_NAMED_BY]}"
        self._forget(file.name, path)
        resumed = self._place.disk.exists(path)
        while True:
            if not self._client.download(file.path, path):
                self._place.disk.unlink(path)
                return None
            if checksum is None:
                return _Download(path, None)
            found = self._client.sha256(path)
            if found == checksum:
                return _Download(path, checksum)
            self._place.disk.unlink(path)
            if not resumed:
                raise FrameError("checksum", f"{file.name} has {found[:16]}…, and {checksum[:16]}… is published")
            resumed = False  # the part that was here may have been of another file

    def _forget(self, name: str, but: Path | None = None) -> None:
        """Remove other downloads of a file."""
        for found in self._place.disk.listdir(self._folder):
            if found.rpartition(".")[0] == name and (but is None or found != but.name):
                self._place.disk.unlink(self._folder / found)

    # ---- into the log

    def _take(self, day: str, download: _Download, fetched: Fetched) -> None:
        """Log and decode a file; remember it once all of it is."""
        disk = self._place.disk
        file = disk.open(download.path, "read")
        try:
            self._log(day, file.read)
        except FrameError as error:
            # The same bytes would be refused again. The rows before are trades all the same.
            self._note(fetched, f"{self._about} {day}: the archive's file is refused: {error}")
        else:
            fetched.days.append(day)
        finally:
            file.close()
        self._known[day] = download.checksum or "unknown"
        self._ledger.remember(self._fact, json.dumps(self._known, sort_keys=True))
        disk.unlink(download.path)

    def _log(self, day: str, read: Callable[[int, int], bytes]) -> None:
        venue, symbol, venue_symbol, asked = self._whose
        epoch, first, last = asked or (0, None, None)
        chunks, count = unpacked(read, self._archive.file(venue_symbol, day)), 0
        if asked is None:
            self._lane.fact(control.ListingBegins(venue, symbol, day))
        for rows in pieces(chunks, self._archive, symbol):
            if self._wait(0.0):
                raise Stopped(f"{self._about}: stopped within {day}")
            page = control.PageHeader(
                venue, "archive", symbol, first, last, "archive", epoch=epoch, day=day, size=len(rows)
            )
            self._lane.page(page, pack(rows))
            count += rows.count(b"\n") + (not rows.endswith(b"\n"))
        if asked is None:
            self._lane.fact(control.Listed(venue, symbol, day, count))

    # ---- for a person

    def _show(self, day: str, share: float) -> None:
        if self._progress is None:
            return
        seconds = max(self._place.monotonic() - self._begun, 1e-3)
        rate = self._client.received / seconds / 1e6
        done = (self._decoded + share) / max(self._total, 1)
        left = f", {clock_of(seconds / done * (1 - done))} left" if done > 0 else ""
        self._progress.show(f"{self._about} {day}: {rate:.1f} MB/s{left}")
