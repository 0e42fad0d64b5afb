"""A processor that cannot begin frees its lane; one that follows a lane rests, judges silence, and stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders.log_lanes import open_lane
from tests.support.builders.platform_in_process import LANE, SmallPlatform
from trading_platform.domain.errors import StorageError
from trading_platform.ingest.decoder.bounds import Bounds
from trading_platform.ingest.processor.processor import Processor, follow
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.venues import VENUES

BOUNDS = Bounds.of("2016-01-01")


def test_a_processor_that_cannot_begin_frees_its_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger does not answer just then: a prober that lives on would find its own lane taken for ever."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    open_lane(data.lane("fetch-0")).close()

    def unanswered(lane: str) -> None:
        raise StorageError("the ledger does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "lane", unanswered)
        with pytest.raises(StorageError):
            Processor(data, "fetch-0", ledger, VENUES, BOUNDS)
    Processor(data, "fetch-0", ledger, VENUES, BOUNDS).close()
    ledger.close()


class Lane:
    """A lane that always holds something more; a step takes as long as told, time moves with steps and waits alone."""

    def __init__(self, steps: list[tuple[bool, bool, float]], stage_s: float = 0.0) -> None:
        self.stage_s = stage_s
        self.steps, self.behind, self.now_s = steps, False, 0.0
        self.done: list[str] = []

    def step(self) -> bool:
        found, self.behind, took = self.steps.pop(0)
        self.now_s += took
        self.done.append("step")
        return found

    def stage(self) -> None:
        self.now_s += self.stage_s
        self.done.append("stage")

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        self.done.append(f"wait {seconds:g}")
        return not self.steps

    def follow(self) -> list[str]:
        follow(
            self,
            judge=lambda: self.done.append("judge"),
            staged=lambda: self.done.append("staged"),
            wait=self.wait,
            monotonic=lambda: self.now_s,
        )
        return self.done


def test_silence_is_judged_on_a_lane_that_is_never_quiet() -> None:
    """There is something new at each look: one deaf symbol among busy ones must be found all the same."""
    assert Lane([(True, False, 0.01)] * 3).follow() == ["step", "judge", "wait 0.1"] * 3


def test_whoever_has_fallen_behind_neither_rests_nor_judges() -> None:
    """What is not decoded yet may hold the very trade that is missed; after it, all is as before."""
    done = Lane([(True, True, 0.5), (True, False, 0.5), (False, False, 0.0)]).follow()
    assert done == ["step", "wait 0", "step", "judge", "wait 0.5", "step", "judge", "wait 0.02"]


def test_what_is_decoded_is_staged_every_few_seconds() -> None:
    """However busy the lane is."""
    done = Lane([(True, True, 3.0)] * 5).follow()
    assert done == ["step", "wait 0", "step", "wait 0", "stage", "staged"] * 2 + ["step", "wait 0"]


def test_a_stop_stages_once() -> None:
    """What was told to stop drains next, which stages everything: 500 symbols are not staged twice in a stop."""
    assert Lane([(True, True, 30.0)]).follow() == ["step", "wait 0"]


def test_staging_that_takes_long_is_done_less_often() -> None:
    """Parts of 500 symbols take seconds: after two of them nothing is staged for twenty, never for more than sixty."""
    done = Lane([(True, True, 3.0)] * 11, stage_s=2.0).follow()
    assert [done[:at].count("step") for at, what in enumerate(done) if what == "stage"] == [2, 9]
    done = Lane([(True, True, 10.0)] * 9, stage_s=100.0).follow()
    assert [done[:at].count("step") for at, what in enumerate(done) if what == "stage"] == [1, 8]


def test_a_stop_without_time_to_stage_leaves_the_lane_to_the_next_start(tmp_path: Path) -> None:
    """All is decoded and nothing counts as staged: the next one decodes it again, and every trade is published once."""
    platform = SmallPlatform(tmp_path)
    platform.start()
    platform.record(range(100, 110))
    processor = Processor(platform.data, LANE, platform.ledger, VENUES, BOUNDS, over=lambda: True)
    assert not processor.drain()
    assert processor.unstaged == 10
    processor.close()
    stored = [row.stored for row in platform.ledger.days("binance", "BTC-USDT")]
    assert sum(stored) == 10
    platform.process()
    platform.publish()
    assert platform.held() == platform.acknowledged
    assert [row.stored for row in platform.ledger.days("binance", "BTC-USDT")] == stored
    platform.stop()
    platform.close()
