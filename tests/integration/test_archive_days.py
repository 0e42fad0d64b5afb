"""Days that are over come from daily files: whole, with holes, published again, damaged, absent, resumed."""

from __future__ import annotations

import io
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.builders.archive_world import BOUNDS, FIRST, LAST, SYMBOL, VENUE, ArchiveWorld, day_rows
from tests.support.judges.identity import judge
from trading_platform.domain.days import day_range
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.decoder.archive import pieces as decoded_pieces
from trading_platform.ingest.processor.log_maintenance import LogMaintenance
from trading_platform.ingest.recovery.rest_client import Stopped
from trading_platform.ingest.replay.replay import replay
from trading_platform.simulate.faults import Event
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.telemetry.progress import Progress
from trading_platform.venues import VENUES

DAYS = list(day_range(FIRST, LAST))
ALL = [row for day in DAYS for row in day_rows(day)]
LAST_OF_2024 = "2024-12-31"
INSIDE = day_rows(LAST_OF_2024)[20].trade_id

Worlds = Callable[..., ArchiveWorld]


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    """Make worlds: ``worlds(event, …)``."""
    made: list[ArchiveWorld] = []

    def make(*events: Event, **more: str) -> ArchiveWorld:
        made.append(ArchiveWorld(tmp_path / f"data-{len(made)}", *events, **more))
        return made[-1]

    yield make
    for world in made:
        world.ledger.close()


def whole(world: ArchiveWorld) -> bool:
    """Tell whether every trade of the four days is published, once, and nothing is open."""
    ids = [row.trade_id for row in ALL]
    held = [number for number in world.rows() if number <= ids[-1]]
    return held == ids and not world.missing()


def test_days_come_from_files(worlds: Worlds) -> None:
    """Four days around the turn of a year, ms before and µs after it, without a page of trades but for their ends."""
    world = worlds()
    outcome = world.fetch()
    assert [day for _, _, day in outcome.files] == DAYS
    assert (outcome.problems, outcome.notes, outcome.not_fetched) == ((), (), ())
    assert whole(world)
    assert world.pages_asked() == 2
    sources = world.rows("source")
    assert sources.count("archive") >= len(ALL) - 4
    assert len(sources) - sources.count("archive") <= 4
    micros = {row.trade_id: (row.time if row.time >= 10**14 else row.time * 1000) for row in ALL}
    times = dict(zip(world.rows(), world.rows("ts_event"), strict=True))
    of_2025 = {row.trade_id for day in DAYS[2:] for row in day_rows(day)}
    for number, told in micros.items():
        unit = 1 if number in of_2025 else 1000
        assert int(times[number].value) // 1000 // unit == told // unit


def test_what_is_held_is_not_fetched_again(worlds: Worlds) -> None:
    """A second run asks for no file: days are proved complete, or the checksum is that of the file in the log."""
    world = worlds()
    world.fetch()
    before, times = len(world.files_asked()), world.rows("ts_recv")
    outcome = world.fetch()
    assert not outcome.files
    assert len(world.files_asked()) == before
    assert world.rows("ts_recv") == times


def test_holes_stay_open_and_rest_fills_them(worlds: Worlds) -> None:
    """Ids that a file lacks are asked for over REST, and only those."""
    world = worlds(Event(kind="archive_forget", at_id=INSIDE, count=5))
    outcome = world.fetch()
    assert len(outcome.files) == len(DAYS)
    assert whole(world)
    by_id = dict(zip(world.rows(), world.rows("source"), strict=True))
    assert {by_id[number] for number in range(INSIDE, INSIDE + 5)} == {"rest"}
    assert by_id[INSIDE - 1] == by_id[INSIDE + 5] == "archive"


def test_a_file_published_again_is_fetched_if_the_day_lacks_something(worlds: Worlds) -> None:
    """Neither the file nor REST had some trades; once the file is published again with them, it is taken."""
    forgotten = Event(kind="rest_forget", at_id=INSIDE, count=5)
    world = worlds(Event(kind="archive_republish", at_id=INSIDE, count=5, seconds=3600.0), forgotten)
    outcome = world.fetch()
    assert [(gap.first_missing, gap.last_missing) for gap in outcome.not_fetched] == [(INSIDE, INSIDE + 4)]
    before, kept = len(world.asked), dict(zip(world.rows(), world.rows("ts_recv"), strict=True))
    world.fetch()
    assert not any(path.endswith(".zip") for path, _ in world.asked[before:])  # its checksum has not changed
    world.now_s += 3700
    outcome = world.fetch()
    assert [day for _, _, day in outcome.files] == [LAST_OF_2024]
    assert whole(world)
    after = dict(zip(world.rows(), world.rows("ts_recv"), strict=True))
    assert {number: after[number] for number in kept} == kept
    assert not world.ledger.conflicts()


def test_rows_that_differ_are_conflicts(worlds: Worlds) -> None:
    """A file that tells another price of a trade that is held changes nothing of it: it is on record as a conflict."""
    world = worlds(Event(kind="rest_conflict", at_id=INSIDE))
    world.change = absent
    world.fetch()
    kept = dict(zip(world.rows(), world.rows("price"), strict=True))
    world.change = lambda request, answer: answer
    world.ledger.remember(f"archive:{VENUE}:{SYMBOL}", "{}")
    world.now_s += 60
    world.ledger.day_report = lambda *_: []  # as if nothing were proved
    outcome = world.fetch()
    assert len(outcome.files) == len(DAYS)
    assert dict(zip(world.rows(), world.rows("price"), strict=True)) == kept
    assert [conflict.trade_id for conflict in world.ledger.conflicts()] == [INSIDE]


def absent(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    return httpx.Response(404) if "/data/" in request.url.path else answer


def test_days_without_a_file_come_over_rest(worlds: Worlds) -> None:
    """404, or not published yet: REST, for those days alone; no word of it is needed."""
    late = Event(kind="archive_late", at_id=INSIDE, seconds=30 * 86_400.0)
    world = worlds(late, now="2025-01-03T00:30:00")
    outcome = world.fetch()
    assert [day for _, _, day in outcome.files] == [FIRST, "2025-01-01"]
    assert (outcome.problems, outcome.notes) == ((), ())
    assert not any(LAST in path for path in world.files_asked())
    assert whole(world)


def test_a_damaged_download_is_tried_again_later(worlds: Worlds) -> None:
    """A checksum that does not match: the file is refused in one line, and fetched again after all others."""
    world = worlds()
    world.exchange.archive.damage(1)
    outcome = world.fetch()
    assert [day for _, _, day in outcome.files] == [*DAYS[1:], FIRST]
    (note,) = outcome.notes
    assert note.startswith(f"{VENUE} {SYMBOL} {FIRST}: the archive's file is refused: checksum: ")
    assert "\n" not in note
    assert whole(world)


def test_what_stays_damaged_comes_over_rest(worlds: Worlds) -> None:
    """Refused twice, the day is fetched over REST; nothing of the file is in the log."""
    world = worlds()

    def spoil(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        spoiled = request.url.path.endswith(f"{FIRST}.zip")
        return httpx.Response(200, content=b"PK\3\4 and nothing") if spoiled else answer

    world.change = spoil
    outcome = world.fetch()
    assert [day for _, _, day in outcome.files] == DAYS[1:]
    assert len(outcome.notes) == 2
    assert whole(world)


def test_an_archive_that_does_not_answer_is_done_without(worlds: Worlds) -> None:
    """Errors of the archive's host alone: asked once more at the end, then everything comes over REST."""
    world = worlds()
    world.change = lambda request, answer: httpx.Response(503) if "/data/" in request.url.path else answer
    outcome = world.fetch()
    assert not outcome.files
    assert all(note.startswith("the archive does not answer") for note in outcome.notes)
    assert whole(world)


def test_a_download_goes_on_where_it_was_interrupted(worlds: Worlds) -> None:
    """A part that a killed process left is not downloaded again: the rest is asked for by Range."""
    world = worlds()
    world.cut(700)
    with pytest.raises(Stopped):
        world.fetch()
    (part,) = world.data.downloads.rglob("*.zip.*")
    assert part.stat().st_size == 700
    world.told_to_stop, world.change = False, lambda request, answer: answer
    before = len(world.asked)
    world.fetch()
    assert next(told for path, told in world.asked[before:] if path.endswith(".zip")) == "bytes=700-"
    assert whole(world)
    assert not list(world.data.downloads.rglob("*.zip.*"))


def test_a_part_of_something_else_begins_again(worlds: Worlds) -> None:
    """A download that a power cut left incomplete fails the checksum and is downloaded again at once."""
    world = worlds()
    world.cut(700)
    with pytest.raises(Stopped):
        world.fetch()
    (part,) = world.data.downloads.rglob("*.zip.*")
    part.write_bytes(b"\0" * 900)
    world.told_to_stop, world.change = False, lambda request, answer: answer
    outcome = world.fetch()
    assert len(outcome.files) == len(DAYS)
    assert not outcome.notes
    assert whole(world)


@pytest.mark.parametrize("threshold", [0, 1 << 40])
def test_replay_gives_the_same(worlds: Worlds, monkeypatch: pytest.MonkeyPatch, threshold: int) -> None:
    """From the log alone come the same files, byte for byte, and the same account; a judge from outside agrees."""
    monkeypatch.setattr(decoded_pieces, "SCAN_FROM_BYTES", threshold)
    world = worlds(Event(kind="archive_forget", at_id=INSIDE, count=5))
    world.fetch()
    world.fetch()  # a lane's newest segment is never sealed
    before, account = world.files(), world.ledger.state(VENUE, SYMBOL)
    assert not judge(world.data.root, world.truth())
    keeper = LogMaintenance(world.data, world.ledger, VENUES, BOUNDS, retention_ns=None, now_ns=time.time_ns)
    assert keeper.keep().sealed
    scratch = Ledger.open(DataDir(world.data.root / "run" / "scratch").create())
    days = lambda day: True  # noqa: E731
    replay(world.data, world.ledger, VENUES, BOUNDS, pass_all, days=days, scratch=scratch, on_lane=lambda lane: None)
    scratch.close()
    assert world.files() == before
    assert world.ledger.state(VENUE, SYMBOL) == account


def test_a_person_sees_the_rate_and_what_is_left(worlds: Worlds) -> None:
    """Of files, and of pages over REST for what files lack."""
    out = io.StringIO()
    out.isatty = lambda: True
    ticks = itertools.count(step=0.2)
    with Progress("fetching", stream=out, clock=lambda: next(ticks)) as progress:
        worlds(Event(kind="archive_forget", at_id=INSIDE, count=5)).fetch(progress=progress)
    assert re.search(rf"fetching {VENUE} {SYMBOL} {FIRST}: [0-9.]+ MB/s, 0:00:0\d left", out.getvalue())
    assert f"fetching {VENUE} {SYMBOL}: 1 of 1 pages over REST, 0:00:00 left" in out.getvalue()
