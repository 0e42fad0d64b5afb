"""A published file that is damaged, changed or gone is found by whoever looks, and made again during recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quality.schemas import GATES
from tests.support.builders.platform_in_process import BOUNDS, SmallPlatform
from trading_platform.cli import main
from trading_platform.domain.errors import CorruptionError
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.ingest.replay.one_leaf import LeafRebuilder
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.verify import verify_store
from trading_platform.venues import VENUES

BTC = Leaf("ticks", "binance", "BTC-USDT", "2024-08-08")
ETH = BTC._replace(symbol="ETH-USDT")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def drop_row(path: Path) -> None:
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)


def change_price(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    at = table.column_names.index("price")
    price = table["price"].to_pylist()
    price[3] += 0.5
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(price, pa.float64())), path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "a row gone": drop_row,
    "a price changed": change_price,
    "the end gone": lambda path: os.truncate(path, path.stat().st_size - 9),
    "the file gone": Path.unlink,
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SmallPlatform]:
    """Two symbols over two days, published, the most in sealed segments; the lane is open and goes on."""
    platform = SmallPlatform(tmp_path / "data")
    platform.start()
    for start in range(60, 120, 5):
        platform.record(range(start, start + 5))
        platform.record(range(start, start + 4), venue_symbol="ETHUSDT")
    platform.process()
    platform.publish()
    assert len(platform.keep().sealed) > 5
    yield platform
    platform.close()


def rebuilder(platform: SmallPlatform) -> LeafRebuilder:
    return LeafRebuilder(platform.data, platform.ledger, VENUES, BOUNDS, GATES["ticks"])


def pipeline(platform: SmallPlatform) -> Pipeline:
    frames = ["1m"]
    return Pipeline(platform.data, platform.ledger, gates=GATES, timeframes=frames, heal=rebuilder(platform))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_refresh_finds_damage_and_makes_the_file_again(platform: SmallPlatform, kind: str) -> None:
    """The bytes are those from before, the report says what was wrong, and the next refresh finds nothing."""
    before = platform.lake_bytes()
    DAMAGE[kind](platform.data.lake / BTC.path)
    (first, second) = pipeline(platform).refresh("ticks", BTC.day).results
    assert (first.leaf, first.status, second.status, second.healed) == (BTC, "computed", "unchanged", "")
    assert str(BTC.path) in first.healed
    assert platform.lake_bytes() == before
    assert {result.status for result in pipeline(platform).refresh("ticks", BTC.day).results} == {"unchanged"}


def test_without_the_log_damage_is_refused_not_passed(platform: SmallPlatform) -> None:
    """A pipeline that cannot rebuild says so: it never reports a file as unchanged that is not."""
    flip(platform.data.lake / BTC.path)
    plain = Pipeline(platform.data, platform.ledger, gates=GATES)
    assert [result.status for result in plain.refresh("ticks", BTC.day).results] == ["refused", "unchanged"]
    assert [result.status for result in plain.published("ticks", BTC.day).results] == ["refused", "unchanged"]


def test_damaged_bars_say_that_they_were_made_again(platform: SmallPlatform) -> None:
    """What is computed anew because its file was damaged is told apart from what is new."""
    (fresh, _) = pipeline(platform).refresh("bars", BTC.day).results
    assert (fresh.status, fresh.healed) == ("computed", "")
    before = platform.lake_bytes()
    flip(platform.data.lake / fresh.leaf.path)
    (again, other) = pipeline(platform).refresh("bars", BTC.day).results
    assert (again.status, other.status) == ("computed", "unchanged")
    assert str(fresh.leaf.path) in again.healed
    assert platform.lake_bytes() == before


def test_the_publisher_goes_on_while_recording(platform: SmallPlatform) -> None:
    """New trades come while a file is damaged: the file is made again with them in it, nothing is lost or twice."""
    flip(platform.data.lake / BTC.path)
    platform.record(range(120, 130))
    platform.record([95, 96, 97, 98, 99])  # copies: parts of the damaged day
    platform.process()
    platform.record(range(130, 140))  # durable, not decoded yet: no business of the rebuilt file
    published = publish_staged(platform.data, platform.ledger, GATES["ticks"], heal=rebuilder(platform))
    assert BTC in {each.leaf for each in published if each.changed}
    assert platform.held().count(("BTC-USDT", 95)) == 1
    assert {number for symbol, number in platform.held() if symbol == "BTC-USDT"} == set(range(60, 130))
    assert staging.parts(platform.data) == {}
    assert verify_store(platform.data, platform.ledger, GATES).violations == ()


def test_a_damaged_leaf_keeps_none_of_the_others_waiting(platform: SmallPlatform) -> None:
    """Without a way to rebuild it the damaged leaf keeps its parts, and every other one is published."""
    flip(platform.data.lake / BTC.path)
    platform.record(range(90, 100))
    platform.record(range(116, 119), venue_symbol="ETHUSDT")
    platform.process()
    publish_staged(platform.data, platform.ledger, GATES["ticks"])
    assert set(staging.parts(platform.data)) == {BTC}
    eth = lake.read_leaf(platform.data, ETH._replace(day="2024-08-09"))
    assert eth is not None
    assert 118 in eth["trade_id"].to_pylist()


def test_a_damaged_part_is_made_again_too(platform: SmallPlatform) -> None:
    """A part is only what the log gave: it goes, and its trades come from the log."""
    platform.record(range(120, 125))
    platform.record([98])
    platform.process()
    (part,) = staging.parts_of(platform.data, BTC)
    flip(part)
    publish_staged(platform.data, platform.ledger, GATES["ticks"], heal=rebuilder(platform))
    assert staging.parts(platform.data) == {}
    assert {number for symbol, number in platform.held() if symbol == "BTC-USDT"} == set(range(60, 125))


def test_what_the_log_gave_up_is_not_made_from_the_rest(platform: SmallPlatform) -> None:
    """A day whose segments were deleted is refused: half of it would look like all of it."""
    platform.now_ns += 10**15
    platform.record([200])
    platform.process()
    platform.publish()
    assert platform.keep(retention_ns=10**12).retired
    flip(platform.data.lake / BTC.path)
    with pytest.raises(CorruptionError, match="restore it from a backup"):
        rebuilder(platform)(BTC)
    assert {result.status for result in pipeline(platform).refresh("ticks", BTC.day).results} == {
        "refused",
        "unchanged",
    }


def test_a_single_file_is_made_again_by_name(platform: SmallPlatform, capsys: pytest.CaptureFixture[str]) -> None:
    """`replay --leaf` takes the path as anyone has it, works beside a recorder, and refuses what is no file of ours."""
    pipeline(platform).refresh("bars", BTC.day)
    before = platform.lake_bytes()
    bars = platform.data.lake / BTC._replace(dataset="bars", timeframe="1m").path
    flip(platform.data.lake / BTC.path)
    flip(bars)
    words = ["replay", "--data-dir", str(platform.data.root), "--leaf"]
    assert main([*words, str(bars), "--leaf", f"lake/{BTC.path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["made again", "made again"]
    assert {name: platform.lake_bytes()[name] for name in before} == before
    assert main([*words, "ticks/venue=binance/BTC.parquet"]) == 2
    assert main([*words, str(BTC._replace(symbol="SOL-USDT").path)]) == 1
    assert main([*words, str(BTC.path), "--all"]) == 2
