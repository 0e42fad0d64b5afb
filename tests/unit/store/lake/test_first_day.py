"""The first day of the lake: told by one small file that only moves back, whoever publishes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.builders.lakes import SYMBOL, VENUE, Market, made_up
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake.first_day import first_day, note_first_day
from trading_platform.store.lake.publish import publish


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "data").create()


def test_it_moves_back_only(data: DataDir) -> None:
    """Nothing first, then the earliest day ever noted; noting later ones writes nothing."""
    assert first_day(data) is None
    for day, told in (("2024-08-09", "2024-08-09"), ("2024-08-10", "2024-08-09"), ("2024-02-29", "2024-02-29")):
        note_first_day(data, [day, "2024-12-31"])
        assert first_day(data) == told
    before = data.first_day_path.stat()
    note_first_day(data, ["2024-03-01"])
    note_first_day(data, [])
    assert data.first_day_path.stat() == before


def test_side_by_side_the_earliest_stays(data: DataDir) -> None:
    """Many publishers note at once; none overwrites an earlier day."""
    days = [f"2024-08-{number:02}" for number in range(31, 0, -1)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda day: note_first_day(data, [day]), days))
    assert first_day(data) == "2024-08-01"


def test_publishing_an_earlier_day_moves_it(tmp_path: Path) -> None:
    """Before the day can be seen in the lake; a publish that finds nothing staged moves nothing."""
    market = Market.open(tmp_path / "data")
    market.hold(made_up("2024-08-09", 2, 20, first_id=2000))
    assert first_day(market.data) == "2024-08-09"
    publish(market.data, Leaf("ticks", VENUE, SYMBOL, "2024-08-01"), ledger=market.ledger, gate=market.gate)
    assert first_day(market.data) == "2024-08-09"
    market.hold(made_up("2024-08-07", 1, 20, first_id=1000), lane="fetch-0")
    assert first_day(market.data) == "2024-08-07"
    market.ledger.close()


def test_without_the_file_or_with_a_damaged_one_the_lake_is_looked_through(data: DataDir) -> None:
    """After a lake of older code or a flipped bit the next publish writes the file again."""
    leaf = data.lake / Leaf("ticks", VENUE, SYMBOL, "2024-08-08").path
    leaf.parent.mkdir(parents=True)
    leaf.touch()
    (leaf.parents[1] / "date=2024-08-01").mkdir()  # an empty folder is no day
    (leaf.parents[1] / "date=none").mkdir()
    assert first_day(data) == "2024-08-08"
    note_first_day(data, ["2024-08-07"])
    content = data.first_day_path.read_bytes()
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        data.first_day_path.write_bytes(flipped)
        assert first_day(data) == "2024-08-08", bit
    note_first_day(data, ["2024-08-11"])
    assert data.first_day_path.read_bytes().startswith(b"2024-08-08\n")
