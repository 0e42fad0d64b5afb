"""Days of a venue whose ids prove nothing, from its daily files: equal to them, or honestly not proved."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from quality.schemas import GATES
from tests.support.builders.archive_world import ArchiveWorld
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.simulate.faults import Event
from trading_platform.simulate.synthetic_market import Profile, SyntheticMarket
from trading_platform.store.lake import publish as lake
from trading_platform.store.verify import verify_store

DAY, LAST = "2024-12-31", "2025-01-01"
PROFILES = {
    "BTC-USDT": Profile("BTC-USDT", 1, 62_000.0, 2, 0.004, 5, 600, 1.0, pauses=False),
    "BTC-USDT-PERP": Profile("BTC-USDT-PERP", 1, 62_000.0, 2, 0.004, 3, 600, 1.0, pauses=False),
}


def world_of(root: Path, symbol: str, *events: Event) -> ArchiveWorld:
    """Return a world of one symbol that trades from noon of the first day on."""
    market = SyntheticMarket(start_ns=day_start(DAY) + DAY_NS // 2, profiles=(PROFILES[symbol],))
    return ArchiveWorld(root, *events, venue="bybit", market=market, symbol=symbol)


def states(world: ArchiveWorld) -> dict[str, tuple[int, int | None, str]]:
    """Return what is known of each day."""
    now_ns = int(world.now_s * 1e9)
    return {row.day: (row.stored, row.expected, row.state) for row in world.ledger.day_report(now_ns)}


@pytest.mark.parametrize("symbol", PROFILES)
def test_whole_days_come_from_the_files(tmp_path: Path, symbol: str) -> None:
    """Each day holds the rows of its file, once each, and is reconciled; a second run asks for nothing."""
    world = world_of(tmp_path, symbol)
    outcome = world.fetch(DAY, LAST)
    assert (outcome.notes, outcome.problems, len(outcome.files)) == ((), (), 2)
    found = states(world)
    assert {day: row[2] for day, row in found.items()} == {DAY: "reconciled", LAST: "reconciled"}
    uids = world.rows("trade_uid")
    assert len(set(uids)) == len(uids) == sum(row[0] for row in found.values()) > 500
    assert verify_store(world.data, world.ledger, GATES).violations == ()
    asked = len(world.files_asked())
    world.fetch(DAY, LAST)
    assert len(world.files_asked()) == asked
    world.ledger.close()


def test_a_file_that_comes_late_leaves_its_day_unproven(tmp_path: Path) -> None:
    """No file, no proof: the note says so, and nothing is made up."""
    world = world_of(tmp_path, "BTC-USDT", Event(at_id=2, kind="archive_late", seconds=10**6))
    outcome = world.fetch(DAY, DAY)
    assert outcome.files == ()
    assert "no file" in outcome.notes[0]
    assert lake.leaves(world.data, "ticks") == []
    world.ledger.close()


def test_a_day_between_others_has_a_row(tmp_path: Path) -> None:
    """Nothing is held of it and it was not compared: nobody can tell that nothing was traded, so it is not proved."""
    world = world_of(tmp_path, "BTC-USDT")
    for day in (DAY, "2025-01-02"):
        world.fetch(day, day)
    assert list(states(world)) == [DAY, LAST, "2025-01-02"]
    assert states(world)[LAST] == (0, None, "unproven")
    world.ledger.close()


def test_recovery_takes_days_in_by_itself(tmp_path: Path) -> None:
    """Every day that is over since the first one is compared once its file is due, though nothing was heard of it."""
    world = world_of(tmp_path, "BTC-USDT")
    world.fetch(DAY, DAY)
    outcome = world.recover()
    assert [file[2] for file in outcome.files] == [LAST, "2025-01-02"] and not outcome.problems
    # REST was asked for the newest trades too: those are of the running day.
    over = {day: row[2] for day, row in states(world).items()}
    assert over == {DAY: "reconciled", LAST: "reconciled", "2025-01-02": "reconciled", "2025-01-03": "recording"}
    asked = len(world.files_asked())
    assert world.recover().files == ()
    assert len(world.files_asked()) == asked
    world.ledger.close()


def test_a_day_without_a_file_is_asked_for_again_later(tmp_path: Path) -> None:
    """Not at once: after an hour, some hours, days, and then no more; it stays unproven."""
    first = PROFILES["BTC-USDT"].first_id
    world = world_of(tmp_path, "BTC-USDT", Event(at_id=first, kind="archive_forget", count=3))
    world.change = lambda request, answer: httpx.Response(404) if LAST in request.url.path else answer
    world.fetch(DAY, DAY)
    asked = []
    for hours in (0, 0.5, 1, 3, 6, 24, 72, 7 * 24, 30 * 24):
        world.now_s += hours * 3600
        before = len(world.files_asked())
        outcome = world.recover()
        names = [name for name in world.files_asked()[before:] if LAST in name]
        asked.append(bool(names))
        assert bool(names) == any(f"{LAST}: the archive has no file" in note for note in outcome.notes)
    assert asked == [True, False, True, False, True, True, True, True, False]
    assert states(world)[LAST] == (0, None, "unproven")
    world.ledger.close()
