"""Download a daily file to disk: a part that is there goes on by Range, failures are tried again, the sum is checked.

Which files are wanted is archive_days.py, what they hold archive_files.py. Time, waiting, randomness, disk and network
are handed in. On a real network each request runs on a thread of its own (call_deadline.py), as in rest_client.py.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx

from trading_platform.domain.backoff import doubled
from trading_platform.domain.errors import FrameError, RequestRefused, VenueUnavailable
from trading_platform.ingest.rate_limits import retry_after
from trading_platform.ingest.recovery.archive_files import MOST_FILE_BYTES
from trading_platform.ingest.recovery.rest_client import Stopped, Waiter
from trading_platform.processes.call_deadline import Call, GivenUp
from trading_platform.store.fs.disk import Disk
from trading_platform.telemetry.logs import get_logger
from trading_platform.venues.answers import Answer, AnswerVerdict

log = get_logger(__name__)

ATTEMPTS = 8
"""Without a mebibyte of progress between."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
LONGEST_ASKED_WAIT_S = 150.0
TIMEOUT_S = 10.0
"""For one step on the socket: connecting, or the next bytes."""
HEADERS_WITHIN_S = 15.0
STEP_BYTES, STEP_WITHIN_S = 1 << 20, 120.0
"""A server that sends more slowly than this is given up, and asked again for what is missing."""
MOST_CHECKSUM_BYTES = 4096
_READ_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_PART, _BEYOND = 206, 416
"""Statuses of a Range, which are HTTP's own; what any other means the venue's adapter says."""


class Place(NamedTuple):
    """Where a download is written, and with what: disk, clock, waiting and chance."""

    disk: Disk
    wait: Waiter
    monotonic: Callable[[], float]
    rng: random.Random
    network: httpx.BaseTransport | None = None


class _Lost(Exception):
    """The connection ended early, or took too long."""


class ArchiveClient:
    """Downloads from one archive.

    Parameters
    ----------
    judge : says what an answer means: `VenueAdapter.judge`.

    Attributes
    ----------
    at, size : how much of the current file is here, and how large it is (0: unknown). Read by whoever shows progress.
    received : bytes since the beginning.
    """

    def __init__(self, base_url: str, about: str, place: Place, judge: Callable[[Answer], AnswerVerdict]) -> None:
        self._base_url, self._about, self._place, self._judge = base_url, about, place, judge
        self._http: httpx.Client | None = None
        self._deadline = 0.0
        self._step = 0
        self.at = self.size = self.received = 0

    def close(self) -> None:
        """Close the connections; a request that is under way ends with an error."""
        if self._http is not None:
            self._http.close()
        self._http = None

    def small(self, path: str) -> bytes | None:
        """Return a small file, None if it is not there.

        Raises
        ------
        FrameError : if it is not small.
        VenueUnavailable, RequestRefused : as `download`.
        """
        parts: list[bytes] = []

        def take(part: bytes, at: int) -> None:
            parts.append(part)
            if at + len(part) > MOST_CHECKSUM_BYTES:
                raise FrameError("checksum", f"a checksum file of more than {MOST_CHECKSUM_BYTES:,} bytes")

        there = self._persist(path, lambda: 0, take, parts.clear)
        return b"".join(parts) if there else None

    def download(self, path: str, target: Path) -> bool:
        """Download a file, going on with what is there of it; return False if the archive does not have it.

        Raises
        ------
        VenueUnavailable : after so many failures without progress.
        RequestRefused : if the archive will not give it.
        FrameError : if it is larger than any file may be.
        Stopped : if told to stop; what came is kept.
        StorageError : if the disk refuses.
        """
        disk = self._place.disk
        file = disk.open(target, "update" if disk.exists(target) else "create")
        try:
            return self._persist(path, file.size, file.write, lambda: file.truncate(0))
        finally:
            file.close()

    def sha256(self, target: Path) -> str:
        """Return the SHA-256 of a file, in small hexadecimal digits."""
        hasher = hashlib.sha256()
        file = self._place.disk.open(target, "read")
        try:
            at = 0
            while part := file.read(_READ_BYTES, at):
                self._check_stopped()
                hasher.update(part)
                at += len(part)
        finally:
            file.close()
        return hasher.hexdigest()

    def _persist(
        self, path: str, size: Callable[[], int], take: Callable[[bytes, int], None], restart: Callable[[], None]
    ) -> bool:
        """Ask for a file until it is whole; return False if it is not there."""
        failures, reason, best = 0, "", size()
        while failures < ATTEMPTS:
            self._check_stopped()
            at, asked_s = size(), None
            if at == 0:
                restart()
            try:
                answer = self._once(path, at, take, restart)
            except (_Lost, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
                if size() >= best + STEP_BYTES:
                    best, failures = size(), 0
            else:
                if (there := self._is_there(answer, path)) is not None:
                    return there
                reason, asked_s = answer.reason, answer.retry_after_s
                if answer.kind == "banned" or (asked_s or 0.0) > LONGEST_ASKED_WAIT_S:
                    break
            failures += 1
            wait = max(asked_s or 0.0, self._place.rng.uniform(0, doubled(FIRST_WAIT_S, failures, LONGEST_WAIT_S)))
            log.warning("download interrupted", about=self._about, path=path, reason=reason, wait_s=round(wait, 1))
            if self._place.wait(wait):
                raise Stopped(f"{self._about}: stopped while downloading")
        raise VenueUnavailable(f"{self._about}: no end of {path}, the last: {reason}")

    def _is_there(self, answer: AnswerVerdict, path: str) -> bool | None:
        """Tell whether the file is there; None: ask again later."""
        if answer.kind in {"ok", "absent"}:
            return answer.kind == "ok"
        if answer.kind == "refused":
            raise RequestRefused(f"{self._about}: {answer.reason} for {path}")
        return None

    def _once(
        self, path: str, at: int, take: Callable[[bytes, int], None], restart: Callable[[], None]
    ) -> AnswerVerdict:
        place = self._place
        if self._http is None:
            # trust_env: a proxy or a .netrc of the user's must not see what we ask, nor answer for the venue.
            self._http = httpx.Client(
                base_url=self._base_url, timeout=TIMEOUT_S, trust_env=False, transport=place.network
            )
        http = self._http
        self._deadline, self._step = (
            place.monotonic() + HEADERS_WITHIN_S,
            STEP_BYTES,
        )  # more time from the first byte on
        if place.network is not None:
            return self._stream(http, path, at, take, restart)

        def left_s() -> float:
            self._check_stopped()
            return self._deadline - place.monotonic()

        # A request that was given up must not write once another one has begun.
        writing, current = threading.Lock(), True

        def while_current(write: Callable[..., None]) -> Callable[..., None]:
            def guarded(*args: object) -> None:
                with writing:
                    if not current:
                        raise _Lost("given up")
                    write(*args)

            return guarded

        call = Call(lambda: self._stream(http, path, at, while_current(take), while_current(restart)))
        try:
            return call.within(left_s)
        except (GivenUp, Stopped) as error:
            with writing:
                current = False
            self.close()
            if isinstance(error, GivenUp):
                raise _Lost("it was too slow") from None
            raise

    def _stream(
        self, http: httpx.Client, path: str, at: int, take: Callable[[bytes, int], None], restart: Callable[[], None]
    ) -> AnswerVerdict:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={at}-"} if at else {})
        with http.stream("GET", path, headers=headers) as answer:
            asked_s = retry_after.seconds(answer.headers.get("Retry-After"), answer.headers.get("Date"))
            told_headers = {name.lower(): value for name, value in answer.headers.items()}
            verdict = self._judge(Answer(answer.status_code, told_headers, b"", asked_s, "file"))
            if answer.status_code == _BEYOND and at > 0:
                return AnswerVerdict("ok")  # all of it is here
            if verdict.kind != "ok":
                return verdict
            if at and not _goes_on(answer, at):
                restart()
                if answer.status_code == _PART:
                    raise _Lost("another part than the one asked for")
                at = 0
            if (coding := answer.headers.get("Content-Encoding", "identity")) != "identity":
                raise FrameError("archive", f"{path} is sent as {coding[:40]!r}, and was asked for as it is")
            told = answer.headers.get("Content-Length", "")
            self.size = at + (int(told) if _LENGTH.fullmatch(told) else 0)
            for part in answer.iter_bytes():
                if max(self.size, at + len(part)) > MOST_FILE_BYTES:
                    raise FrameError("archive", f"{path} has more than {MOST_FILE_BYTES >> 30} GiB")
                take(part, at)
                at += len(part)
                self._progressed(at, len(part))
        return verdict

    def _progressed(self, at: int, more: int) -> None:
        self.at = at
        self.received += more
        self._step += more
        if self._step >= STEP_BYTES:
            self._step = 0
            self._deadline = self._place.monotonic() + STEP_WITHIN_S

    def _check_stopped(self) -> None:
        if self._place.wait(0.0):
            raise Stopped(f"{self._about}: stopped while downloading")


def _goes_on(answer: httpx.Response, at: int) -> bool:
    """Tell whether an answer is what is behind `at`."""
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return answer.status_code == _PART and told is not None and int(told[1]) == at
