"""Downloads go on, begin again or are given up; no server holds one up, fills the disk or chooses what is written."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.faults.hostile_rest import Behaviour, HostileRest, drip_body, drip_headers, hang
from trading_platform.domain.errors import FrameError, RequestRefused, VenueUnavailable
from trading_platform.ingest.recovery import archive_client
from trading_platform.ingest.recovery.archive_client import ArchiveClient, Place
from trading_platform.ingest.recovery.rest_client import Stopped
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.venues.answers import Answer, AnswerVerdict, judged

WHOLE = bytes(range(256)) * 40
PATH = "/data/day.zip"
Say = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers with what is planned, in order, the last one for ever; remembers the ranges that were asked for."""

    def __init__(self, *answers: httpx.Response | Say) -> None:
        self._answers = list(answers)
        self.ranges: list[str | None] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.ranges.append(request.headers.get("range"))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(request) if callable(answer) else answer

    def client(self, judge: Callable[[Answer], AnswerVerdict] = judged) -> ArchiveClient:
        def wait(seconds: float) -> bool:
            if seconds:
                self.waits.append(seconds)
            return False

        place = Place(REAL_DISK, wait, lambda: 0.0, random.Random(1), httpx.MockTransport(self))
        return ArchiveClient("http://archive.invalid", "binance BTC-USDT", place, judge)


def ranged(request: httpx.Request) -> httpx.Response:
    """Serve the file, whole or from where it is asked for."""
    at = int(request.headers.get("range", "bytes=0-")[6:-1])
    if not at:
        return httpx.Response(200, content=WHOLE)
    told = {"content-range": f"bytes {at}-{len(WHOLE) - 1}/{len(WHOLE)}"}
    return httpx.Response(206, content=WHOLE[at:], headers=told)


def broken_after(count: int) -> Say:
    def say(request: httpx.Request) -> httpx.Response:
        whole = ranged(request).content

        def body() -> Iterator[bytes]:
            yield whole[:count]
            raise httpx.ReadError("cut")

        return httpx.Response(200 if "range" not in request.headers else 206, content=body(), headers=told(request))

    def told(request: httpx.Request) -> dict[str, str]:
        return {key: value for key, value in ranged(request).headers.items() if key == "content-range"}

    return say


def test_a_broken_download_goes_on(tmp_path: Path) -> None:
    """Each time from where it ended."""
    server = Server(broken_after(1000), broken_after(500), ranged)
    assert server.client().download(PATH, tmp_path / "day")
    assert (tmp_path / "day").read_bytes() == WHOLE
    assert server.ranges == [None, "bytes=1000-", "bytes=1500-"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=WHOLE),
        httpx.Response(206, content=b"wrong", headers={"content-range": "bytes 5-9/10"}),
        httpx.Response(206, content=b"wrong"),
    ],
)
def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path, answer: httpx.Response) -> None:
    """A part that is not the one asked for is never put behind what is there."""
    (tmp_path / "day").write_bytes(b"old part")
    assert Server(answer, ranged).client().download(PATH, tmp_path / "day")
    assert (tmp_path / "day").read_bytes() == WHOLE


def test_a_file_that_is_whole_already_is_not_downloaded(tmp_path: Path) -> None:
    """The server has nothing behind its end."""
    (tmp_path / "day").write_bytes(WHOLE)
    assert Server(httpx.Response(416)).client().download(PATH, tmp_path / "day")
    assert (tmp_path / "day").read_bytes() == WHOLE


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    """404: no file of that day."""
    client = Server(httpx.Response(404)).client()
    assert not client.download(PATH, tmp_path / "day")
    assert client.small(PATH) is None


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (httpx.Response(403), RequestRefused, "HTTP 403"),
        (httpx.Response(302, headers={"location": "http://elsewhere.invalid"}), RequestRefused, "HTTP 302"),
        (httpx.Response(503), VenueUnavailable, "HTTP 503"),
        (httpx.Response(429, headers={"retry-after": "100000"}), VenueUnavailable, "HTTP 429"),
        (httpx.Response(200, content=b"1", headers={"content-length": str(1 << 40)}), FrameError, "more than 2 GiB"),
        (httpx.Response(200, content=b"", headers={"content-encoding": "br"}), FrameError, "is sent as 'br'"),
    ],
)
def test_what_cannot_be_had_is_said_in_words(
    tmp_path: Path, answer: httpx.Response, error: type[Exception], says: str
) -> None:
    """Refused at once, or after bounded attempts; redirects are not followed."""
    server = Server(lambda _: httpx.Response(answer.status_code, content=answer.content, headers=answer.headers))
    with pytest.raises(error, match=says):
        server.client().download(PATH, tmp_path / "day")
    assert len(server.ranges) <= archive_client.ATTEMPTS


def test_what_an_answer_means_is_for_the_venue_to_say(tmp_path: Path) -> None:
    """Where 403 is a ban the archive is asked once and left alone; where it means no such file, so be it."""
    meant: Any
    for meant in ("banned", "absent"):
        server = Server(httpx.Response(403))
        seen: list[Answer] = []

        def judge(answer: Answer, meant: Any = meant, seen: list[Answer] = seen) -> AnswerVerdict:
            seen.append(answer)
            return AnswerVerdict(meant, reason="as we say")

        client = server.client(judge)
        if meant == "absent":
            assert not client.download(PATH, tmp_path / "day")
        else:
            with pytest.raises(VenueUnavailable, match="as we say"):
                client.download(PATH, tmp_path / "day")
        assert [(answer.status, answer.to) for answer in seen] == [(403, "file")]


def test_a_wait_that_is_asked_for_is_waited(tmp_path: Path) -> None:
    """Retry-After of two minutes."""
    server = Server(httpx.Response(429, headers={"retry-after": "120"}), ranged)
    assert server.client().download(PATH, tmp_path / "day")
    assert max(server.waits) >= 120


def test_a_checksum_file_is_small() -> None:
    """More than a few lines are no checksum."""
    assert Server(httpx.Response(200, content=b"ab")).client().small(PATH) == b"ab"
    with pytest.raises(FrameError, match="a checksum file of more than"):
        Server(httpx.Response(200, content=b"a" * 9999)).client().small(PATH)
    assert Server(broken_after(3000), httpx.Response(200, content=b"ab")).client().small(PATH) == b"ab"


@pytest.mark.parametrize("behaviour", [hang, drip_headers, drip_body])
def test_no_server_holds_a_download_up(tmp_path: Path, behaviour: Behaviour) -> None:
    """Whatever hangs or drips is given up by deadlines, and so many times; a stop is heard in between."""
    ticks = itertools.count(step=20.0)  # a clock that runs so fast that nothing is waited for
    with HostileRest(behaviour) as server:
        place = Place(REAL_DISK, lambda seconds: False, lambda: next(ticks), random.Random(1))
        client = ArchiveClient(server.url, "binance BTC-USDT", place, judged)
        with pytest.raises(VenueUnavailable, match="it was too slow"):
            client.download(PATH, tmp_path / "day")
        client.close()
        stop = threading.Event()
        stop.set()
        told = ArchiveClient(
            server.url, "binance BTC-USDT", place._replace(wait=stop.wait, monotonic=lambda: 0.0), judged
        )
        with pytest.raises(Stopped):
            told.download(PATH, tmp_path / "day")
        told.close()
