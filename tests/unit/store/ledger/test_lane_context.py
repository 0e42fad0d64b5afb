"""What a decoder knew where a lane is staged is kept under a checksum."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import Position
from trading_platform.store.fs.checked_file import sealed
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Ledger, database, tables as t

CONTEXT = '{"connections":{"1":{"BTCUSDT":"BTC-USDT"}}}'
END = Position(0, 1)


@pytest.fixture
def ledger(tmp_path: Path):
    """Give a ledger that knows a lane."""
    made = Ledger.open(DataDir(tmp_path).create())
    made.apply(Batch("live-binance", Position(0, 0), END), advance)
    made.mark_staged("live-binance", END, CONTEXT)
    yield made
    made.close()


def put(ledger: Ledger, text: str) -> None:
    """Let the row say this."""
    with ledger.database.writing() as db:
        db.execute(t.sinks.update().values(context=text))


def test_a_changed_character_is_refused(ledger: Ledger) -> None:
    """Another symbol for a stream would put trades under a wrong name."""
    assert ledger.lane("live-binance") == (END, END, CONTEXT)
    with ledger.database.reading() as db:
        stored = db.execute(t.sinks.select()).one().context
    put(ledger, stored.replace("BTC-USDT", "BTC-USDC"))
    with pytest.raises(CorruptionError, match="context of live-binance in the ledger is damaged"):
        ledger.lane("live-binance")


@pytest.mark.parametrize("moved", [{"segment": 1}, {"byte_offset": 3}, {"lane": "live-binancf"}])
@pytest.mark.parametrize("context", ["", CONTEXT])
def test_a_changed_position_is_refused(ledger: Ledger, context: str, moved: dict[str, object]) -> None:
    """Decoding on from elsewhere would leave trades out, or take a frame's middle for its beginning."""
    ledger.mark_staged("live-binance", END, context)
    assert ledger.damaged_sinks() == []
    with ledger.database.writing() as db:
        db.execute(t.sinks.update().values(**moved))
    lane = str(moved.get("lane", "live-binance"))
    with pytest.raises(CorruptionError, match=f"context of {lane} in the ledger is damaged"):
        ledger.lane(lane)
    assert [found[0] for found in ledger.damaged_sinks()] == [lane]


def test_a_checksum_of_the_context_alone_is_read(ledger: Ledger) -> None:
    """Rows were written so for a day."""
    put(ledger, sealed(CONTEXT.encode()).decode())
    assert ledger.lane("live-binance")[2] == CONTEXT


@pytest.mark.parametrize("text", ["", CONTEXT])
def test_a_row_of_older_code_is_read(ledger: Ledger, text: str) -> None:
    """It bears no checksum."""
    put(ledger, text)
    assert ledger.lane("live-binance")[2] == text


def test_a_ledger_of_one_sink_keeps_where_it_was(ledger: Ledger, tmp_path: Path) -> None:
    """Staging's position before there were sinks is staging's position now, and so back."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with ledger.database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    with ledger.database.reading() as db:
        old = db.exec_driver_sql("SELECT lane, staged_segment, staged_offset, context FROM lanes").one()
    assert old[:3] == ("live-binance", *END) and old[3].startswith(CONTEXT)
    again = Ledger.open(DataDir(tmp_path))
    assert again.lane("live-binance") == (END, END, CONTEXT)
    assert again.lane_positions() == {"live-binance": (END, END)}
    again.close()


@pytest.mark.parametrize("column", ["decoded_segment", "decoded_offset", "checksum"])
def test_a_flipped_bit_of_how_far_a_lane_is_decoded_is_found(ledger: Ledger, column: str) -> None:
    """Whatever bit it is: nothing else in the ledger tells the position."""
    ledger.apply(Batch("live-binance", END, Position(3, 4096)), advance)
    assert ledger.damaged_sinks() == []
    with ledger.database.reading() as db:
        value = db.execute(t.lanes.select()).one()._mapping[column]
    for bit in range(31):
        with ledger.database.writing() as db:
            db.execute(t.lanes.update().values({column: value ^ (1 << bit)}))
        assert [found[0] for found in ledger.damaged_sinks()] == ["live-binance"]


def test_a_lane_of_another_name_is_found(ledger: Ledger) -> None:
    """The name is under the checksum, too."""
    with ledger.database.writing() as db:
        db.execute(t.lanes.update().values(lane="live-binancf"))
    assert [found[0] for found in ledger.damaged_sinks()] == ["live-binancf"]
