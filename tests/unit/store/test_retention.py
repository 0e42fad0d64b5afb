"""Old segments go only when all they gave is published and checked; what they gave never goes after them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders.platform_in_process import BOUNDS, LANE, S, SmallPlatform
from trading_platform.domain.errors import CorruptionError, LockHeld
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.replay.replay import Replayed, replay
from trading_platform.store.fs.disk import REAL_DISK
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.fs.locks import FileLock
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import sealing
from trading_platform.store.log.segment_files import Mark, sealed_numbers, segment_numbers
from trading_platform.store.log.writer import recover_lane
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Eighty trades of two symbols over two days, closed in order."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    for start in range(70, 130, 5):
        platform.record(range(start, start + 5))
        platform.record(range(start, start + 2), venue_symbol="ETHUSDT")
    platform.stop()
    yield platform
    platform.close()


def replay_all(platform: SmallPlatform, scratch: Ledger | None = None) -> Replayed:
    """Rebuild everything from what is left of the log."""
    return replay(
        platform.data,
        platform.ledger,
        VENUES,
        BOUNDS,
        pass_all,
        days=lambda day: True,
        scratch=scratch,
        on_lane=lambda lane: None,
    )


def segments(platform: SmallPlatform) -> list[int]:
    """Return the numbers of the live lane's segments."""
    return segment_numbers(platform.data.lane(LANE), REAL_DISK)


def verified(platform: SmallPlatform) -> None:
    """Check that nothing stored contradicts itself."""
    assert verify_store(platform.data, platform.ledger, {"ticks": pass_all}).violations == ()


def test_old_segments_go_once_published(platform: SmallPlatform) -> None:
    """Before publishing nothing goes; after it all but the newest sealed one and those not sealed; the lake stays."""
    platform.process()
    before = segments(platform)
    kept = platform.keep(retention_ns=0)
    assert kept.retired == []
    assert "is not published" in kept.objections[0]
    platform.publish()
    held, files = platform.held(), platform.lake_bytes()
    kept = platform.keep(retention_ns=0)
    assert kept.objections == []
    assert [number for _, number in kept.retired] == before[: len(kept.retired)]
    assert segments(platform) == before[len(kept.retired) :]
    assert len(sealed_numbers(platform.data.lane(LANE), REAL_DISK)) == 1
    assert len(kept.retired) > 3
    assert platform.keep(retention_ns=0).retired == []
    assert (platform.held(), platform.lake_bytes()) == (held, files)
    verified(platform)


def test_what_cannot_be_read_is_neither_sealed_nor_retired(platform: SmallPlatform) -> None:
    """Power was lost, and with it how far the lane is durable: only a recovered lane tells what a segment gave.

    Found by the long form of the store's model: such segments were sealed as empty ones, and empty ones may go.
    """
    platform.process()
    platform.publish()
    directory = platform.data.lane(LANE)
    before = segments(platform)
    mark = Mark.open(directory, REAL_DISK)
    for _ in range(2):  # into both of its places: it is never synced, so an old one may come back
        mark.write(Position(2, 0))
    mark.close()
    kept = platform.keep(retention_ns=0)
    assert {number for _, number in kept.sealed} <= {0, 1}
    assert any("cannot be read to its end" in objection for objection in kept.objections)
    assert segments(platform) == before[len(kept.retired) :]
    recover_lane(directory)
    assert platform.keep(retention_ns=0).retired
    held, files = platform.held(), platform.lake_bytes()
    replay_all(platform)
    assert (platform.held(), platform.lake_bytes()) == (held, files)


def test_young_segments_stay(platform: SmallPlatform) -> None:
    """Age is that of a segment's newest record; without a retention nothing ever goes."""
    platform.process()
    platform.publish()
    assert platform.keep(retention_ns=None).retired == []
    assert platform.keep(retention_ns=10**6 * S).retired == []
    some = platform.keep(retention_ns=20 * S).retired
    every = some + platform.keep(retention_ns=0).retired
    assert 0 < len(some) < len(every)


@pytest.mark.parametrize("rebuild_ledger", [False, True], ids=["lake", "ledger too"])
def test_a_replay_after_retention_changes_nothing(
    platform: SmallPlatform, tmp_path: Path, *, rebuild_ledger: bool
) -> None:
    """What is left of the log is merged into the days that lost segments: same files, same account, nothing fewer."""
    platform.process()
    platform.publish()
    files, held = platform.lake_bytes(), platform.held()
    accounts = {row: platform.ledger.state(row.venue, row.symbol) for row in platform.ledger.sequences()}
    report = platform.ledger.day_report(platform.now_ns)
    assert platform.keep(retention_ns=0).retired
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create()) if rebuild_ledger else None
    done = replay_all(platform, scratch)
    if scratch is not None:
        scratch.close()
    assert 0 < done.trades < len(held)
    assert platform.lake_bytes() == files
    assert {row: platform.ledger.state(row.venue, row.symbol) for row in platform.ledger.sequences()} == accounts
    assert platform.ledger.day_report(platform.now_ns) == report
    verified(platform)


def test_without_pins_a_replay_would_lose_what_was_retired(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same replay that does not look at pins publishes fewer trades."""
    platform.process()
    platform.publish()
    held = platform.held()
    platform.keep(retention_ns=0)
    monkeypatch.setattr("trading_platform.ingest.replay.tasks.is_pinned", lambda data, leaf: False)
    replay_all(platform)
    assert len(platform.held()) < len(held)


def test_a_replay_of_sealed_segments_gives_the_same_files(platform: SmallPlatform, tmp_path: Path) -> None:
    """Sealed but not retired: lake and ledger are rebuilt from compressed segments byte for byte."""
    platform.process()
    platform.publish()
    files = platform.lake_bytes()
    sequences = platform.ledger.sequences()
    assert platform.keep().sealed
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create())
    done = replay_all(platform, scratch)
    scratch.close()
    assert done.trades == len(platform.acknowledged)
    assert platform.lake_bytes() == files
    assert platform.ledger.sequences() == sequences
    verified(platform)


def test_a_replay_keeps_sealing_out(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """While segments are being sealed or retired a replay waits, and then says who works on the lane."""
    platform.process()
    platform.publish()
    monkeypatch.setattr("trading_platform.ingest.replay.replay.SEALING_WAIT_S", 0.0)
    lock = sealing.sealing_lock(platform.data, LANE)
    with FileLock.acquire(lock, "the lane"), pytest.raises(LockHeld, match=f"sealing of {LANE}"):
        replay_all(platform)


@pytest.mark.parametrize("harm", ["flipped", "missing", "parts", "fewer ids"])
def test_nothing_goes_while_a_leaf_is_in_doubt(platform: SmallPlatform, harm: str) -> None:
    """A published file that is damaged, gone, behind its parts, or lacks an id keeps every segment that made it."""
    platform.process()
    platform.publish()
    leaf = Leaf("ticks", "binance", "BTC-USDT", "2024-08-08")
    path = platform.data.lake / leaf.path
    match harm:
        case "flipped":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(bytes(content))
        case "missing":
            path.unlink()
        case "parts":
            platform.start()
            platform.record([64])
            platform.stop()
            platform.process()
        case "fewer ids":
            table = lake.read_leaf(platform.data, leaf).slice(3)
            lake.remove_leaf(platform.data, leaf, ledger=platform.ledger)
            from trading_platform.domain.position import Position
            from trading_platform.store.lake import staging

            staging.write_part(
                platform.data, "binance", "BTC-USDT", leaf.day, LANE, Position(0, 0), Position(0, 1), table
            )
            platform.publish()
    kept = platform.keep(retention_ns=0)
    assert kept.retired == []
    assert len(kept.objections) == 1
    assert 0 in segments(platform)


def test_a_damaged_sealed_segment_stays(platform: SmallPlatform) -> None:
    """What cannot be checked is not thrown away."""
    platform.process()
    platform.publish()
    platform.keep()
    path = platform.data.lane(LANE) / "00000000.seg.zst"
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(bytes(content))
    kept = platform.keep(retention_ns=0)
    assert kept.retired == []
    assert "fails its checksum" in kept.objections[0]
    with pytest.raises(CorruptionError):
        replay_all(platform)


def test_recording_goes_on_after_retention(platform: SmallPlatform) -> None:
    """New trades, late ones of a pinned day included, are recorded, decoded and published as ever."""
    platform.process()
    platform.publish()
    platform.keep(retention_ns=0)
    platform.start()
    platform.record([*range(130, 140), 69])
    platform.stop()
    platform.process()
    platform.publish()
    assert sorted(platform.held()) == sorted(platform.acknowledged)
    files = platform.lake_bytes()
    platform.keep(retention_ns=0)
    replay_all(platform)
    assert platform.lake_bytes() == files
    verified(platform)
