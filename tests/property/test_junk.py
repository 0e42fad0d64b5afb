"""Whatever is given to a public call, it answers or refuses in one sentence: no error of a library passes out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

import trading_platform as tp
from tests.support.builders.lakes import Market, made_up

START = pd.Timestamp("2024-08-08", tz="UTC")
ROWS = 12


class Rude:
    """An object that answers nothing."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}\nfor you")

    def __repr__(self) -> str:
        return "rude\nobject"


def junk() -> st.SearchStrategy[Any]:
    """Give values that no call can mean, and some that it might."""
    made: list[Callable[[], Any]] = [
        lambda: None, list, dict, lambda: 5, lambda: -1, lambda: 1.5, lambda: "x", lambda: "", lambda: b"x",
        object, lambda: (x for x in "ab"), lambda: True, lambda: float("nan"), lambda: float("inf"),
        lambda: 10**40, lambda: pd.Series([1.0, 2.0]), lambda: np.arange(4.0), lambda: np.array("x"), lambda: pd.NA,
        lambda: pd.NaT, lambda: pl.Series([1, 2]), lambda: pa.array([1, 2]), lambda: {"close": 1.0}, Rude,
        lambda: ["rsi_14"], lambda: "1m", lambda: "BTC-USDT", lambda: START, lambda: Decimal("NaN"), lambda: Path("x"),
        lambda: pl.LazyFrame({"close": [1.0]}).select("nothing"), pd.DataFrame, pl.DataFrame,
        lambda: pa.table({}), lambda: Rude, lambda: int, lambda: "2024-13-45", lambda: "\ud800", lambda: "a\0b",
    ]  # fmt: skip
    return st.sampled_from(made).map(lambda make: make())


def minutes() -> pd.DatetimeIndex:
    return pd.date_range(START, periods=ROWS, freq="1min")


def series(values: Any) -> pd.Series:
    try:
        return pd.Series(values)
    except OverflowError:  # pandas asks how large they are
        return pd.Series(values, dtype=object)


def columns() -> st.SearchStrategy[pd.Series]:
    """Give columns of any type, `ROWS` long."""
    whole = np.arange(ROWS)
    made: list[Callable[[], Any]] = [
        lambda: whole + 1.5, lambda: whole, lambda: whole.astype(np.uint64) + 2**63, lambda: whole % 2 == 0,
        lambda: [str(x) for x in whole], lambda: [Decimal(int(x)) for x in whole], lambda: [None] * ROWS,
        lambda: [Decimal("sNaN")] * ROWS, lambda: [10**400] * ROWS, lambda: [[1]] * ROWS, lambda: [{"a": 1}] * ROWS,
        lambda: [object()] * ROWS, lambda: [1, "a", None, 2.5] * 3, lambda: [1j] * ROWS, lambda: [b"x"] * ROWS,
        lambda: np.full(ROWS, np.inf), lambda: np.full(ROWS, np.nan), lambda: np.full(ROWS, 1e308),
        lambda: -whole - 0.5, minutes,
        lambda: minutes()[::-1], lambda: minutes().as_unit("ms").tz_convert("Asia/Tokyo"),
        lambda: pd.date_range("3000-01-01", periods=ROWS, freq="1D", unit="s"), lambda: [dt.date(2024, 8, 8)] * ROWS,
        lambda: [dt.datetime(9999, 1, 1, tzinfo=dt.UTC)] * ROWS, lambda: pd.to_timedelta(whole, unit="s"),
        lambda: pd.period_range("2024", periods=ROWS, freq="M"), lambda: pd.Categorical(["buy", "SELL", None] * 4),
        lambda: pd.Categorical(whole * 0.5), lambda: pd.array([1, None] * 6, dtype="Int64"),
        lambda: pd.array([1.5, None] * 6, dtype="Float64"), lambda: pd.array([True, None] * 6, dtype="boolean"),
        lambda: pd.array(["buy", None] * 6, dtype="string"), lambda: ["buy", "sell"] * 6, lambda: ["Buy", "hold"] * 6,
        lambda: pd.array(whole * 1.5, dtype=pd.ArrowDtype(pa.float32())),
        lambda: pd.array([Decimal(int(x)) for x in whole], dtype=pd.ArrowDtype(pa.decimal128(20, 3))),
        lambda: pd.array(pd.date_range(START, periods=ROWS), dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
        lambda: pd.arrays.SparseArray(whole * 1.0), lambda: pd.interval_range(0, ROWS), lambda: ["\ud800"] * ROWS,
        lambda: whole + START.value, lambda: whole + START.value // 10**9, lambda: np.float16(whole),
        lambda: [pd.NaT, *pd.date_range(START, periods=ROWS - 1)], lambda: ["A"] * ROWS, lambda: ["A", "B"] * 6,
    ]  # fmt: skip
    return st.sampled_from(made).map(lambda make: series(make()))


TICKS = ("ts_event", "trade_id", "epoch", "price", "quantity", "side", "symbol")
BARS = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "trade_count", "first_id", "symbol")


def good(names: tuple[str, ...]) -> pd.DataFrame:
    times = pd.date_range(START, periods=ROWS, freq="1min")
    values = {"ts_event": times, "ts_open": times, "ts_close": times + pd.Timedelta(minutes=1), "side": "buy",
              "symbol": "BTC-USDT", "trade_id": np.arange(ROWS), "epoch": 0, "trade_count": 3}  # fmt: skip
    return pd.DataFrame({name: values.get(name, np.arange(ROWS) + 1.5) for name in names if name != "first_id"})


def as_polars(frame: pd.DataFrame) -> Any:
    return pl.from_pandas(frame)


def as_objects(frame: pd.DataFrame) -> Any:
    return pl.DataFrame({name: pl.Series(frame[name].tolist(), dtype=pl.Object) for name in frame})


def twisted(frame: pd.DataFrame) -> Any:
    frame.columns = pd.MultiIndex.from_product([["BTC"], frame.columns])
    return frame


SHAPES: list[Callable[[pd.DataFrame], Any]] = [
    lambda frame: frame,
    lambda frame: frame[::-1],
    lambda frame: frame.head(0),
    lambda frame: pd.concat([frame, frame], axis=1),
    lambda frame: pd.concat([frame, frame]),
    lambda frame: frame.rename(columns={"close": 5, "price": None}),
    lambda frame: frame.set_index(frame.columns[0]),
    lambda frame: frame.set_index([*frame.columns[:2]]),
    twisted,
    as_polars,
    lambda frame: as_polars(frame).lazy(),
    lambda frame: as_polars(frame).lazy().with_columns(pl.col("nothing")),
    as_objects,
    pa.Table.from_pandas,
    pa.RecordBatch.from_pandas,
    lambda frame: pa.table([pa.array([1.0]), pa.array([2.0])], names=[frame.columns[0]] * 2),
    lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    lambda frame: frame.astype(object),
]


@st.composite
def frames(draw: st.DrawFn, names: tuple[str, ...]) -> Any:
    frame = good(names)
    for name in draw(st.sets(st.sampled_from(names), max_size=3)):
        frame[name] = draw(columns())
    for name in draw(st.sets(st.sampled_from(names), max_size=1)):
        frame = frame.drop(columns=name, errors="ignore")
    try:
        return draw(st.sampled_from(SHAPES))(frame)
    except Exception:  # noqa: BLE001
        return frame  # no such frame can be made


def answers(call: Callable[..., Any], *given: Any, **more: Any) -> None:
    """Call, and let pass a result or a refusal in one line, nothing else."""
    try:
        call(*given, **more)
    except (tp.UsageError, tp.WorkError) as error:
        assert "\n" not in str(error), str(error)
        assert str(error)


@settings(max_examples=60)
@given(frames(TICKS), st.sampled_from(["1m", "3t", "2v", "5d", "imbalance:2t"]) | junk())
def test_make_bars_answers_or_refuses(frame: Any, rule: Any) -> None:
    """Any frame, and any kind of bars."""
    answers(tp.make_bars, frame, rule)


NAMES = [["sma_2"], ["vwap", "rsi_2"], ["atr_2", "ema_2__volume"]]


@settings(max_examples=60)
@given(frames(BARS), st.sampled_from(NAMES) | junk(), st.sampled_from([False, True, "1m"]) | junk())
def test_compute_answers_or_refuses(frame: Any, names: Any, grid: Any) -> None:
    """Any frame, any names, any grid."""
    answers(tp.compute, frame, names, grid=grid)


@settings(max_examples=25)
@given(junk(), junk(), st.sampled_from(NAMES) | junk(), st.sampled_from([None, "1m"]) | junk(), frames(BARS))
def test_the_other_calls_on_junk(anything: Any, more: Any, names: Any, grid: Any, frame: Any) -> None:
    """Junk for a frame, a series, a bar, a state."""
    for call in (tp.make_bars, tp.compute, tp.order_flow):
        answers(call, anything, more)
    answers(tp.footprint, frame, "1m", step=anything, ratio=more)
    answers(tp.order_flow, frame, "1m", step=anything, value_area=more)
    answers(tp.fit_regimes, anything)
    answers(tp.fit_regimes, frame)
    answers(tp.fit_regimes, np.arange(30.0), anything, more)
    answers(tp.fit_regimes, np.arange(30.0), seed=anything, rounds=more)
    answers(tp.fit_regimes, np.arange(30.0), tolerance=anything)
    answers(tp.stream, names, grid=grid)
    answers(tp.stream.restore, anything)
    for one in (None, "1m"):
        live = tp.stream(["vwap", "sma_2"], grid=one)
        answers(live.update, anything)
        answers(live.update, dict.fromkeys(BARS, anything))
        answers(live.update, dict(zip(BARS, [more, anything] * 5, strict=True)))
        answers(live.update, frame)
        answers(live.update_many, anything)
        answers(live.update_many, {"A": anything, "B": more})


@settings(max_examples=20)
@given(columns(), columns())
def test_a_stream_answers_or_refuses_any_values(left: pd.Series, right: pd.Series) -> None:
    """Any values in a bar."""
    bar = good(BARS).iloc[0].to_dict()
    for name in bar:
        for values in (left, right):
            answers(tp.stream(["vwap", "sma_2"]).update, bar | {name: values[0]})
            answers(tp.stream(["vwap", "sma_2"], grid="1m").update, bar | {name: values[ROWS - 1]})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small lake."""
    market = Market.open(tmp_path_factory.mktemp("data"))
    market.hold(made_up("2024-08-08", 1, 20))
    market.ledger.close()
    return market.data.root


@settings(max_examples=30)
@given(st.data())
def test_readers_answer_or_refuse(root: Path, data: st.DataObject) -> None:
    """Any argument of a reader, one or two wrong at a time."""
    right: dict[str, Any] = {
        "symbol": "BTC-USDT", "start": "2024-08-08", "end": "2024-08-09", "venue": "binance", "engine": "pandas",
        "data_dir": root, "timeframe": "1m", "as_of": None,
    }  # fmt: skip
    for name in data.draw(st.sets(st.sampled_from([*right]), min_size=1, max_size=2)):
        right[name] = data.draw(junk())
    for call in (tp.read_ticks, tp.read_bars, tp.read_indicators, tp.read_regimes, tp.coverage):
        taken = {name: value for name, value in right.items() if name in call.__code__.co_varnames}
        answers(call, **taken)
    answers(tp.instruments, right["venue"], engine=right["engine"], data_dir=right["data_dir"])
