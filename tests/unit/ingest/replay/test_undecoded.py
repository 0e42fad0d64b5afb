"""A replay that comes upon records nobody has decoded or staged yet leaves lake and ledger in one mind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders.platform_in_process import BOUNDS, SmallPlatform
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.replay.replay import replay
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Six trades of two days that are durable, and nothing more."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    platform.record(range(97, 103))
    platform.stop()
    yield platform
    platform.close()


def rebuild(platform: SmallPlatform, days: tuple[str, ...], scratch: Ledger | None) -> None:
    wanted = {"days": lambda day: day in days, "scratch": scratch, "on_lane": lambda lane: None}
    replay(platform.data, platform.ledger, VENUES, BOUNDS, pass_all, **wanted)


def test_what_is_published_is_in_the_ledger(recorded: SmallPlatform) -> None:
    """Without a rebuilt account the ledger is told of what it had not heard of before it is published."""
    rebuild(recorded, ("2024-08-08", "2024-08-09"), None)
    assert len(recorded.held()) == 6
    assert verify_store(recorded.data, recorded.ledger, {"ticks": pass_all}).violations == ()


def test_a_day_that_is_not_wanted_waits_as_before(recorded: SmallPlatform, tmp_path: Path) -> None:
    """A rebuilt account does not say that trades are staged which this replay passed over."""
    scratch = Ledger.open(DataDir(tmp_path / "scratch").create())
    rebuild(recorded, ("2024-08-08",), scratch)
    scratch.close()
    assert len(recorded.held()) == 3
    recorded.process()
    recorded.publish()
    assert [number for _, number in recorded.held()] == list(range(97, 103))
    assert verify_store(recorded.data, recorded.ledger, {"ticks": pass_all}).violations == ()
