"""Wider bars made from narrower ones are those made from the trades, bit for bit, in every column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

import trading_platform as tp

MONDAY = pd.Timestamp("2024-03-04", tz="UTC").value
S = 10**9


@st.composite
def trades(draw: st.DrawFn) -> pd.DataFrame:
    """Draw trades over some days, with silent hours, holes in the ids and unknown sides."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, days = draw(st.integers(1, 400)), draw(st.integers(1, 9))
    seconds = np.sort(rng.integers(0, days * 86_400, count))
    if draw(st.booleans()):
        seconds = seconds[(seconds // 7200) % 3 != 1]
    ids = np.cumsum(rng.choice([1, 1, 1, 1, 1, 2], len(seconds))) + 100
    side = rng.choice(np.array(["buy", "sell", None], dtype=object), len(seconds), p=[0.5, 0.48, 0.02])
    return pd.DataFrame(
        {
            "ts_event": MONDAY - 3 * 86_400 * S + seconds * S,
            "trade_id": ids,
            "price": np.round(60_000 + np.cumsum(rng.normal(0, 3, len(seconds))), 2),
            "quantity": rng.integers(1, 500_000, len(seconds)) / 100_000,
            "side": side,
        }
    )


@settings(max_examples=40)
@given(
    ticks=trades(),
    steps=st.sampled_from([("1s", "1m"), ("1m", "5m"), ("1m", "1h"), ("15m", "90m"), ("1h", "1d"), ("1d", "1w")]),
)
def test_wider_bars_are_those_of_the_trades(ticks: pd.DataFrame, steps: tuple[str, str]) -> None:
    """Whatever is silent, missing or unknown: sums, prices, completeness and proof are equal."""
    narrow, wide = steps
    if ticks.empty:
        return
    made, expected = tp.resample(tp.make_bars(ticks, narrow), wide), tp.make_bars(ticks, wide)
    pd.testing.assert_frame_equal(made, expected, check_exact=True)


@settings(max_examples=15)
@given(ticks=trades())
def test_in_two_steps_as_in_one(ticks: pd.DataFrame) -> None:
    """Minutes to hours to days are minutes to days."""
    if ticks.empty:
        return
    minutes = tp.make_bars(ticks, "1m")
    pd.testing.assert_frame_equal(tp.resample(tp.resample(minutes, "1h"), "1d"), tp.resample(minutes, "1d"))


def frame(*opens: int, complete: bool = True, width: int = 60) -> pd.DataFrame:
    """Return bars of one trade each that open so many seconds after a Monday's midnight."""
    at = pd.to_datetime([MONDAY + second * S for second in opens], utc=True)
    columns = {"ts_open": at, "ts_close": at + pd.Timedelta(seconds=width)}
    columns |= {name: [2.0] * len(opens) for name in ("open", "high", "low", "close", "volume", "quote_volume")}
    return pd.DataFrame({**columns, "trade_count": [1] * len(opens), "complete": [complete] * len(opens)})


def test_what_the_frame_does_not_tell_is_not_complete() -> None:
    """A frame that was cut within an hour does not tell of the hour; within the frame, an absent row is silence."""
    hours = tp.resample(frame(60, 3600, 3720, 7140), "1h")
    assert hours["complete"].tolist() == [False, True]
    assert tp.resample(frame(0, 3540, 3600), "1h")["complete"].tolist() == [True, False]
    assert tp.resample(frame(0, 3540, complete=False), "1h")["complete"].tolist() == [False]


def test_every_kind_of_frame_comes_back_as_its_own() -> None:
    """pandas, polars and Arrow; no rows are no rows."""
    bars = frame(0, 60, 120)
    assert isinstance(tp.resample(pl.from_pandas(bars), "1h"), pl.DataFrame)
    assert tp.resample(pa.Table.from_pandas(bars), "1h").num_rows == 1
    assert len(tp.resample(bars.iloc[:0], "1h")) == 0


@pytest.mark.parametrize(
    ("bars", "timeframe", "words"),
    [
        (frame(0, 60), "90s", "no multiple of the bars' 1m"),
        (frame(0, 60), "1m", "no multiple of the bars' 1m"),
        (frame(0, 60), "7m", "are no bars"),
        (frame(0, 60), "60m", "are no bars"),
        (frame(0, 60), "100t", "no bars of time"),
        (frame(60, 0), "1h", "out of order"),
        (frame(0, 60).assign(symbol=["A", "B"]), "1h", "2 symbols"),
        (frame(0, 60).assign(first_id=[1, 2]), "1h", "not of time"),
        (frame(0, 60).drop(columns="volume"), "1h", "column 'volume' is missing"),
        (frame(30, 90), "1h", "UTC grid"),
    ],
)
def test_what_cannot_be_meant_is_refused(bars: pd.DataFrame, timeframe: str, words: str) -> None:
    """One sentence each."""
    with pytest.raises(tp.UsageError, match=words):
        tp.resample(bars, timeframe)
