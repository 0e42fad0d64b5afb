"""tp.read_*: rows of [start, end), typed also when empty, in the engine asked for."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import trading_platform as tp
from tests.support.builders.fakes import DAY, NOON, Copy, MemoryLedger, ticks
from tests.support.builders.lakes import Market, at
from trading_platform.domain.errors import CorruptionError, SymbolError, UsageError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema as shapes, staging

SECOND = 10**9
NEXT = "2024-08-09"
MIDNIGHT = NOON + 12 * 3600 * SECOND


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Make a lake with ten trades either side of midnight, and one bar each."""
    data = DataDir(tmp_path_factory.mktemp("data")).create()
    ledger = MemoryLedger()
    for day, times in ((DAY, range(-10, 0)), (NEXT, range(10))):
        trades = [Copy(100 + i, ts_event=MIDNIGHT + i * SECOND, ts_recv=MIDNIGHT + (i * 3) * SECOND) for i in times]
        staging.write_part(data, "binance", "BTC-USDT", day, "live", Position(0, 0), Position(0, 1), ticks(trades))
        lake.publish(data, Leaf("ticks", "binance", "BTC-USDT", day), ledger=ledger, gate=pass_all)
        row = {"ts_open": trades[0].ts_event // (60 * SECOND) * 60 * SECOND, "open": 1.5, "trade_count": 10}
        table = pa.table({f.name: pa.array([row.get(f.name)], f.type) for f in shapes.BARS}, schema=shapes.BARS)
        bars = Leaf("bars", "binance", "BTC-USDT", day, "1m")
        lake.write_leaf(data, bars, table, ledger=ledger, gate=pass_all, input_hash="x")
    return data.root


def test_a_span_across_midnight_is_half_open(root):
    """Rows from start on, none at the end, over as many files as it takes."""
    frame = tp.read_ticks("BTC-USDT", "2024-08-08T23:59:58", pd.Timestamp("2024-08-09 00:00:02"), data_dir=root)
    assert frame["trade_id"].tolist() == [98, 99, 100, 101]
    assert str(frame["ts_event"].dtype) == "datetime64[ns, UTC]"
    assert frame.columns.tolist() == shapes.TICKS.names
    everything = tp.read_ticks("BTC-USDT", dt.date(1970, 1, 1), dt.date(2200, 1, 1), data_dir=str(root), engine="arrow")
    assert everything.num_rows == 20
    assert everything.schema.equals(shapes.TICKS)


def test_as_of_shows_what_we_had_then(root):
    """A trade received after that instant is left out."""
    frame = tp.read_ticks("BTC-USDT", NEXT, "2024-08-10", as_of=MIDNIGHT + 6 * SECOND, data_dir=root, engine="polars")
    assert frame["trade_id"].to_list() == [100, 101, 102]


def test_every_engine_gives_its_own_frame(root):
    """pandas, polars and Arrow, with the same rows."""
    ask = ("BTC-USDT", DAY, "2024-08-10")
    frames = [tp.read_bars(*ask, engine=engine, data_dir=root) for engine in ("pandas", "polars", "arrow")]
    assert [type(f) for f in frames] == [pd.DataFrame, pl.DataFrame, pa.Table]
    assert [len(f) for f in frames] == [2, 2, 2]
    assert frames[1].schema["ts_open"] == pl.Datetime("ns", "UTC")
    assert frames[0]["trade_count"].tolist() == [10, 10]
    assert frames[0]["proof"].isna().all()


def test_an_empty_answer_is_typed(root):
    """Where nothing of a stored symbol lies in the span the columns are there, with their types."""
    ask = ("BTC-USDT", "2025-01-01", "2025-01-02")
    for read, shape in ((tp.read_ticks, shapes.TICKS), (tp.read_bars, shapes.BARS), (tp.read_regimes, shapes.REGIMES)):
        table = read(*ask, engine="arrow", data_dir=root)
        assert table.num_rows == 0
        assert table.schema.equals(shape)
        assert read(*ask, data_dir=root).columns.tolist() == shape.names
    assert tp.read_indicators(*ask, engine="arrow", data_dir=root).schema.names[:3] == [
        "ts_open",
        "ts_close",
        "complete",
    ]
    assert tp.instruments("binance", engine="arrow", data_dir=root).schema.equals(shapes.INSTRUMENTS)
    assert tp.read_ticks("BTC-USDT", NEXT, NEXT, data_dir=root).empty


def test_a_symbol_that_is_only_recorded_is_known(tmp_path):
    """What the ledger has begun to count is no misspelling, though nothing is published yet."""
    market = Market.open(tmp_path)
    market.hold(at((1, NOON), (2, NOON + 1)), symbol="ETH-USDT", publish=False)
    market.ledger.close()
    assert tp.read_bars("ETH-USDT", DAY, NEXT, data_dir=tmp_path).empty
    assert tp.coverage("ETH-USDT", DAY, NEXT, engine="arrow", data_dir=tmp_path).schema.equals(shapes.COVERAGE)
    with pytest.raises(SymbolError, match="nearest: ETH-USDT"):
        tp.coverage("ETH-USD", DAY, NEXT, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({"symbol": "BTC-USTD"}, "binance has no 'BTC-USTD' in .*; nearest: BTC-USDT"),
        ({"symbol": "BTCUSDT"}, "'BTCUSDT' is not a symbol; .*nearest: BTC-USDT"),
        ({"symbol": "btc-usdt"}, "nearest: BTC-USDT"),
        ({"venue": "binanse"}, "nothing of venue 'binanse' is stored in .*; nearest: binance"),
        ({"venue": "Binance"}, "'Binance' is not a venue; .*nearest: binance"),
        ({"venue": "../binance"}, "is not a venue; .*nearest: binance"),
        ({"symbol": None}, "a symbol is a text"),
        ({"venue": ["binance"]}, "a venue is a text"),
    ],
)
def test_a_name_that_is_not_stored_is_refused_with_the_nearest(root, ask, words):
    """A misspelt symbol or venue is no empty market: every call says so and names what is nearest."""
    for read in (tp.read_ticks, tp.read_bars, tp.read_indicators, tp.read_regimes, tp.coverage):
        with pytest.raises(SymbolError, match=words):
            read(**{"symbol": "BTC-USDT", "start": DAY, "end": NEXT, "data_dir": root} | ask)
    if "venue" in ask:
        with pytest.raises(SymbolError, match=words):
            tp.instruments(ask["venue"], data_dir=root)


def test_a_timeframe_that_is_not_stored_is_refused(root):
    """Where bars of other timeframes are stored, those are named, the nearest first."""
    with pytest.raises(UsageError, match="no bars of binance BTC-USDT are stored in timeframe 5m; stored: 1m"):
        tp.read_bars("BTC-USDT", DAY, NEXT, timeframe="5m", data_dir=root)
    for wrong in ("7m", None, ["1m"], 60):
        with pytest.raises(UsageError, match="is not a timeframe; known: 1s 1m"):
            tp.read_bars("BTC-USDT", DAY, NEXT, timeframe=wrong, data_dir=root)


def test_coverage_without_a_ledger_is_refused(root):
    """A lake that was copied without its ledger does not say that nothing was recorded."""
    with pytest.raises(UsageError, match=r"told from the ledger, and .*ledger\.sqlite is not there"):
        tp.coverage("BTC-USDT", DAY, NEXT, data_dir=root)


def test_ids_beside_nulls_stay_exact():
    """A null id does not turn the others into floats."""
    from trading_platform.api.readers import _frame

    frame = _frame(ticks([Copy(2**62 + 1), Copy(None, trade_uid="x")]), "pandas")
    assert frame["trade_id"].tolist()[0] == 2**62 + 1
    assert frame["trade_id"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("arguments", "more", "error"),
    [
        (("../../x", DAY, NEXT), {}, SymbolError),
        (("BTCUSDT", DAY, NEXT), {}, SymbolError),
        (("BTC-USDT", DAY, NEXT), {"venue": "../x"}, SymbolError),
        (("BTC-USDT", NEXT, DAY), {}, UsageError),
        (("BTC-USDT", "soon", DAY), {}, UsageError),
        (("BTC-USDT", DAY, NEXT), {"engine": "excel"}, UsageError),
        (("BTC-USDT", DAY, NEXT), {"timeframe": "7m"}, UsageError),
    ],
)
def test_wrong_arguments_are_one_clear_line(root, arguments, more, error):
    """Symbols, venues, times, engines and timeframes are checked before any file is touched."""
    with pytest.raises(error) as caught:
        tp.read_bars(*arguments, **more, data_dir=root)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_never_served(root, tmp_path):
    """A flipped bit in a published file is an error that names it, not a number."""
    import shutil

    copy = shutil.copytree(root, tmp_path / "copy")
    path = next(copy.glob("lake/ticks/**/ticks.parquet"))
    content = bytearray(path.read_bytes())
    content[200] ^= 8
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=r"ticks\.parquet"):
        tp.read_ticks("BTC-USDT", DAY, "2024-08-10", data_dir=copy)


def test_a_directory_that_is_not_there_is_refused_and_not_made(root):
    """A misspelt data directory is named with the nearest one beside it; reading makes nothing."""
    calls = (tp.read_ticks, tp.read_bars, tp.read_indicators, tp.read_regimes, tp.coverage)
    wrong = root.with_name(root.name + "x")
    for call in calls:
        with pytest.raises(UsageError, match=f"data directory {wrong} does not exist; nearest: {root}"):
            call("BTC-USDT", DAY, NEXT, data_dir=wrong)
    with pytest.raises(UsageError, match="does not exist"):
        tp.instruments(data_dir=wrong)
    assert not wrong.exists()
    for odd in ("x" * 5000, "a\0b", wrong / "deeper", 5, b"data", [root]):
        with pytest.raises(UsageError, match=r"^[^\n]*$"):
            tp.read_ticks("BTC-USDT", DAY, NEXT, data_dir=odd)


def test_a_directory_without_a_lake_is_refused(root, tmp_path):
    """An empty folder is no data directory, and the lake's own folder is named with the one above it."""
    with pytest.raises(UsageError, match=r"is no data directory, it holds no lake$"):
        tp.read_bars("BTC-USDT", DAY, NEXT, data_dir=tmp_path)
    with pytest.raises(UsageError, match=f"it holds no lake; its data directory is {root}"):
        tp.read_bars("BTC-USDT", DAY, NEXT, data_dir=root / "lake")
    assert list(tmp_path.iterdir()) == []
