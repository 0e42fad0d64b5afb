"""A trade whose copies were printed on either side of midnight is one row of one day, whatever came first."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from quality.schemas import GATES
from tests.support.builders.fakes import Copy, copies, ticks
from tests.support.builders.ingest_process import run
from tests.support.builders.platform_in_process import BOUNDS, MIDNIGHT as SMALL_MIDNIGHT, SmallPlatform
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.recovery.fetch_lane import FetchLane
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import day_boundary as midnight, merge_slices as slices, publish as lake, staging
from trading_platform.store.ledger import Batch, Ledger, Seen, SequenceKey
from trading_platform.store.log import control_records as control
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

MIDNIGHT = day_start("2024-08-09")
MS = 10**6
DAYS = ("2024-08-08", "2024-08-09")
BEFORE, AFTER = MIDNIGHT - MS, MIDNIGHT + MS
# Id 5 in two channels: over REST a moment after midnight, received last.
STREAMED = [
    Copy(number, ts_event=MIDNIGHT + (number - 6) * 1000 * MS, ts_recv=MIDNIGHT + number) for number in (3, 4, 6, 7)
]
EARLY = Copy(5, ts_event=BEFORE, ts_recv=MIDNIGHT + 50, source="ws", price=1.0)
LATE = Copy(5, ts_event=AFTER, ts_recv=MIDNIGHT + 60, source="rest", price=2.0)
LATE_WINS = LATE._replace(ts_recv=MIDNIGHT + 40)


class Place:
    """A data directory that is told copies one by one."""

    def __init__(self, root: Path) -> None:
        self.data = DataDir(root).create()
        self.ledger = Ledger.open(self.data)
        self._told = 0

    def tell(self, *told: Copy) -> None:
        """Account for copies, stage each in its day, publish."""
        for copy in told:
            self._told += 1
            seen = Seen(ids=np.array([copy.trade_id]), ts=np.array([copy.ts_event]))
            end = Position(0, self._told)
            key = SequenceKey("binance", "BTC-USDT")
            self.ledger.apply(Batch("live-binance", Position(0, self._told - 1), end, {key: seen}), advance)
            ends = Position(0, self._told - 1), end
            staging.write_part(
                self.data, "binance", "BTC-USDT", day_of(copy.ts_event), "live-binance", *ends, ticks([copy])
            )
        publish_staged(self.data, self.ledger, pass_all)

    def rows(self) -> list[Copy]:
        """Return every published row."""
        return [row for leaf in lake.leaves(self.data, "ticks") for row in copies(lake.read_leaf(self.data, leaf))]

    def close(self) -> None:
        """Let go."""
        self.ledger.close()


@pytest.fixture
def place(tmp_path: Path):
    """Give an empty data directory."""
    found = Place(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("late", [LATE, LATE_WINS], ids=["stream-first", "listing-first"])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_copy_received_first_keeps_the_trade(place: Place, late: Copy, order: tuple[int, ...]) -> None:
    """In any order of arrival, alone or together, the least copy's day has the row; the other is in dispute."""
    told = [STREAMED, [EARLY], [late]]
    for number in order:
        place.tell(*told[number])
    winner = min(EARLY, late, key=lambda copy: copy.ts_recv)
    assert sorted(place.rows()) == sorted([*STREAMED, winner])
    ((kept, other),) = {(dispute.kept, dispute.other) for dispute in place.ledger.conflicts()}
    assert f'"price":{winner.price}' in kept and f'"price":{winner.price}' not in other
    assert verify_store(place.data, place.ledger, GATES).violations == ()


FAR = EARLY._replace(ts_event=BEFORE + 5 * DAY_NS, ts_recv=MIDNIGHT + 60, source="rest")
"""A copy whose time is days off, as no two channels' roundings are: a unit error, or a venue's slip."""
BETWEEN = [Copy(number, ts_event=MIDNIGHT + (number // 10) * DAY_NS, ts_recv=MIDNIGHT + 99) for number in (10, 20, 30)]


@pytest.mark.parametrize("late", [FAR, FAR._replace(ts_recv=MIDNIGHT + 40)], ids=["first-wins", "far-wins"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_copies_whose_days_are_no_neighbours_are_one_row(place: Place, late: Copy, order: tuple[int, ...]) -> None:
    """However far apart the days are, in any order of arrival, and however many days lie between."""
    told = [[*STREAMED, *BETWEEN], [EARLY], [late]]
    for number in order:
        place.tell(*told[number])
    winner = min(EARLY, late, key=lambda copy: copy.ts_recv)
    assert sorted(place.rows()) == sorted([*STREAMED, *BETWEEN, winner])
    assert verify_store(place.data, place.ledger, GATES).violations == ()


def test_a_publish_reads_no_day_but_those_that_may_hold_what_is_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest day goes on without a look at the others, and an id in question opens two files only."""
    place.tell(*STREAMED, EARLY, *BETWEEN)
    asked: list[Path] = []
    within = slices.ids_within
    monkeypatch.setattr(slices, "ids_within", lambda path, spans: (asked.append(path), within(path, spans))[1])
    place.tell(BETWEEN[-1]._replace(trade_id=31))
    assert asked == []
    place.tell(FAR)
    assert sorted(path.parent.name for path in asked) == ["date=2024-08-08", "date=2024-08-13"]


def test_a_stop_before_days_are_settled_leaves_the_parts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever publishes next finds what is new once more, and settles it: no row is left twice."""
    place.tell(*STREAMED, EARLY)

    def stopped(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(midnight, "resolve_shared", stopped)
        with pytest.raises(KeyboardInterrupt):
            place.tell(FAR)
    assert [violation.check for violation in verify_store(place.data, place.ledger, GATES).violations] == ["duplicates"]
    place.tell()
    assert sorted(place.rows()) == sorted([*STREAMED, EARLY])
    assert verify_store(place.data, place.ledger, GATES).violations == ()


def test_together_in_one_publish(place: Place) -> None:
    """Both copies staged before anything is published end the same."""
    place.tell(*STREAMED, EARLY, LATE)
    assert sorted(place.rows()) == sorted([*STREAMED, EARLY])
    assert verify_store(place.data, place.ledger, GATES).violations == ()


def test_a_day_that_held_nothing_else_is_gone(place: Place) -> None:
    """If the row it loses was its only one, the day has no file."""
    place.tell(EARLY)
    place.tell(LATE_WINS)
    assert place.rows() == [LATE_WINS]
    assert [leaf.day for leaf in lake.leaves(place.data, "ticks")] == ["2024-08-09"]
    assert verify_store(place.data, place.ledger, GATES).violations == ()


def test_a_third_copy_is_judged_like_the_others(place: Place) -> None:
    """What lost is forgotten, and a later copy that is less than all takes the trade to its day again."""
    place.tell(*STREAMED, EARLY, LATE)
    first = EARLY._replace(ts_event=AFTER, ts_recv=MIDNIGHT + 1, price=3.0)
    place.tell(first)
    assert sorted(place.rows()) == sorted([*STREAMED, first])
    assert verify_store(place.data, place.ledger, GATES).violations == ()


def test_from_the_log_to_the_lake_and_again(tmp_path: Path) -> None:
    """Streamed before midnight, listed after it: one row after publishing, and the same files after a replay."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    platform.record(range(90, 110))
    platform.stop()
    platform.process()
    row = {"id": 99, "price": "1.5", "qty": "0.5", "time": SMALL_MIDNIGHT // MS + 1, "isBuyerMaker": False}
    with FetchLane(platform.data, platform.ledger, VENUES, BOUNDS) as lane:
        lane.page(control.PageHeader("binance", "trades", "BTC-USDT"), json.dumps([row]).encode())
    platform.publish()
    assert [number for _, number in platform.held()] == list(range(90, 110))
    assert len(platform.ledger.conflicts()) == 1
    before = {path: content for path, content in platform.lake_bytes().items() if path.startswith("ticks")}
    platform.close()
    assert run("replay", "--ledger", data_dir=tmp_path / "data").returncode == 0
    assert run("verify", data_dir=tmp_path / "data").returncode == 0
    again = SmallPlatform(tmp_path / "data")
    assert {path: content for path, content in again.lake_bytes().items() if path.startswith("ticks")} == before
    again.close()


def test_days_that_share_no_id_are_left_alone(place: Place) -> None:
    """Ids that cross midnight out of order are no duplicates: nothing is rewritten."""
    place.tell(*STREAMED, EARLY._replace(trade_id=8))
    before = {path: path.stat().st_ino for path in place.data.lake.rglob("*.parquet")}
    assert midnight.resolve_shared(place.data, Leaf("ticks", "binance", "BTC-USDT", DAYS[0]), ledger=place.ledger) == []
    assert {path: path.stat().st_ino for path in before} == before


def test_verify_tells_when_nobody_settles(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without settling, one trade lies in two days and `verify` says so."""
    monkeypatch.setattr(midnight, "resolve_shared", lambda *_, **__: [])
    place.tell(*STREAMED, EARLY, LATE)
    assert [violation.check for violation in verify_store(place.data, place.ledger, GATES).violations] == ["duplicates"]
