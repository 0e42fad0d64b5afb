"""Day folding against the decimal twin and the exchange's own candles."""

from __future__ import annotations

import csv
import functools
import gzip
import json

import numpy as np
import pytest

from tests.support.judges.naive import bars as naive
from trading_platform.analytics.folding import bars, exact
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import UsageError
from trading_platform.domain.timeframe import TIMEFRAMES
from trading_platform.domain.trades import sides

SECOND = 1_000_000_000
MASK = (1 << 25) - 1


@functools.cache
def read(*paths):
    """The recorded trades as printed, in order of id."""
    found = []
    for path in paths:
        with gzip.open(path) as lines:
            for line in lines:
                if b'@trade"' in line:
                    data = json.loads(line.split(b" ", 1)[1])["data"]
                    found.append((data["t"], naive.Print(data["T"] * 1_000_000, data["p"], data["q"], not data["m"])))
    return [one for _, one in sorted(found)]


@pytest.fixture(scope="module")
def prints(shared_data):
    root = "trades/hftbacktest/spot/btcusdt_202408"
    return read(shared_data(f"{root}08.gz"), shared_data(f"{root}09.gz"))


def fold(prints, day, width):
    start = day_start(day)
    held = [one for one in prints if start <= one.ts_event < start + DAY_NS]
    columns = (
        [one.ts_event for one in held],
        [float(one.price) for one in held],
        [float(one.quantity) for one in held],
        [sides.BUY if one.buy else sides.SELL for one in held],
    )
    return held, bars.fold_day(*columns, day_start_ns=start, timeframe_ns=width)


def rows(columns):
    names = [name for name in columns._fields if name not in {"ts_open", "ts_close"}]
    return {
        int(ts_open): {name: getattr(columns, name)[i].item() for name in names}
        for i, ts_open in enumerate(columns.ts_open)
    }


@pytest.mark.parametrize("timeframe", list(TIMEFRAMES))
@pytest.mark.parametrize("day", ["2024-08-08", "2024-08-09"])
def test_every_bar_of_the_recording_equals_the_decimal_twin(prints, day, timeframe):
    """Every field of every bar is the float64 nearest to the decimal twin's."""
    held, folded = fold(prints, day, TIMEFRAMES[timeframe])
    assert rows(folded) == naive.fold(held, TIMEFRAMES[timeframe])
    assert (folded.ts_close - folded.ts_open == TIMEFRAMES[timeframe]).all()


@pytest.mark.parametrize(("day", "at"), [("2024-08-08", 86_100), ("2024-08-09", 0)])
def test_five_minute_bars_equal_the_exchanges_candles(prints, shared_data, day, at):
    """The two fully recorded five-minute bars equal the exchange's candles in every shared field."""
    ts_open = day_start(day) + at * SECOND
    with shared_data("klines/skytree-btcusdt-5m/BTCUSDT-5m-2024-08.csv").open() as file:
        candle = next(row for row in csv.reader(file) if int(row[0]) * 1_000_000 == ts_open)
    names = "open high low close volume".split()
    expected = {name: float(value) for name, value in zip(names, candle[1:6], strict=True)}
    expected |= {
        "quote_volume": float(candle[7]),
        "trade_count": int(candle[8]),
        "taker_buy_volume": float(candle[9]),
        "taker_buy_quote_volume": float(candle[10]),
    }
    found = rows(fold(prints, day, 300 * SECOND)[1])[ts_open]
    assert {name: found[name] for name in expected} == expected


def test_float_sums_would_be_wrong(prints):
    """Summing the float64 values, even exactly, misses the nearest float in many one-second bars."""
    held = [one for one in prints if one.ts_event >= day_start("2024-08-09")]
    groups = {}
    for one in held:
        groups.setdefault(one.ts_event // SECOND, []).append(float(one.price) * float(one.quantity))
    exactly = [row["quote_volume"] for row in naive.fold(held, SECOND).values()]
    wrong = sum(a != sum(b) for a, b in zip(exactly, groups.values(), strict=True))
    assert wrong > len(groups) // 10


def test_order_decides_open_and_close_where_time_runs_backwards():
    """Trades come in order of id; one that is stamped earlier than its neighbours counts where it is stamped."""
    ts = np.array([5, 61, 3, 62]) * SECOND
    folded = bars.fold_day(ts, [1.0, 2.0, 3.0, 4.0], [1.0] * 4, [0] * 4, day_start_ns=0, timeframe_ns=60 * SECOND)
    assert folded.open.tolist() == [1.0, 2.0]
    assert folded.close.tolist() == [3.0, 4.0]
    assert folded.trade_count.tolist() == [2, 2]


def test_a_trade_of_another_day_is_refused():
    """A trade outside the day raises instead of landing in a wrong bar."""
    with pytest.raises(UsageError, match="another day"):
        bars.fold_day([DAY_NS], [1.0], [1.0], [1], day_start_ns=0, timeframe_ns=SECOND)
    with pytest.raises(UsageError, match="another day"):
        bars.fold_day([-1], [1.0], [1.0], [1], day_start_ns=0, timeframe_ns=SECOND)


def test_columns_of_different_lengths_are_refused():
    """Columns must be of one length."""
    with pytest.raises(UsageError, match="differ in length"):
        bars.fold_day([1, 2], [1.0], [1.0], [1], day_start_ns=0, timeframe_ns=SECOND)


def test_a_day_without_trades_has_no_bars():
    """Nothing folds to nothing."""
    assert len(bars.fold_day([], [], [], [], day_start_ns=0, timeframe_ns=SECOND).ts_open) == 0


@pytest.mark.parametrize("price", [exact.GREATEST, -exact.GREATEST, (1 << 50) - 1])
@pytest.mark.parametrize("quantity", [exact.GREATEST, -exact.GREATEST, (1 << 50) - 1])
def test_so_many_trades_add_up_in_a_bar_without_overflow(price, quantity):
    """The words of a bar hold `MOST` of the greatest trades: the last 4,095 are added to all the others."""
    last = 4095
    before = exact.MOST - last
    volume, product = before * quantity, before * price * quantity
    volume_words = [volume >> 25, volume & MASK]
    words = [product >> 75, product >> 50 & MASK, product >> 25 & MASK, product & MASK]
    totals = np.array([*volume_words, *volume_words, *words, *words, before], dtype=np.int64)
    rows = (np.full(last, number, dtype) for number, dtype in ((price, np.int64), (quantity, np.int64), (1, np.int8)))
    ends = (np.full(1, -1), np.full(1, -1), np.empty(1), np.empty(1))
    bars.fold_trades(np.zeros(last, np.int64), np.ones(last), *rows, *ends, totals)
    found = [int(word) for word in totals]
    assert found[12] == exact.MOST
    for high, low in (found[0:2], found[2:4]):
        assert (high << 25) + low == exact.MOST * quantity
    for top, hi, mid, lo in (found[4:8], found[8:12]):
        assert (top << 75) + (hi << 50) + (mid << 25) + lo == exact.MOST * price * quantity


def test_more_trades_than_add_up_are_refused():
    """One trade more than `MOST` is refused before anything is read."""
    with pytest.raises(UsageError, match="274877906944 numbers are more than can be added exactly"):
        bars.Trades(np.broadcast_to(np.int64(0), exact.MOST + 1), [], [], [])


@pytest.mark.parametrize(
    ("price", "quantity"), [(1e308, 1e308), (1.7976931348623157e308, 1.0), (1e300, 123456789.12345679)]
)
def test_turnover_beyond_float64_is_refused(price, quantity):
    """What would be infinite is refused in one sentence."""
    given = ([1, 2], [price] * 2, [quantity] * 2, [1, 1])
    with pytest.raises(UsageError, match=r"^a sum is beyond the largest float64, 1\.8e308; check the units[^\n]*$"):
        bars.fold_day(*given, day_start_ns=0, timeframe_ns=SECOND)


def test_the_smallest_floats_are_summed_exactly():
    """Sums of subnormal numbers beside the largest ones equal the twin; a product below them all rounds to 0."""
    numbers = [("5e-324", "1e-10"), ("1e308", "5e-324"), ("2.5e-320", "3"), ("1e-200", "1e-200")]
    prints = [naive.Print(1, price, quantity, True) for price, quantity in numbers]
    columns = ([1] * 4, [float(p) for p, _ in numbers], [float(q) for _, q in numbers], [1] * 4)
    folded = bars.fold_day(*columns, day_start_ns=0, timeframe_ns=SECOND)
    expected = naive.repeated(prints, 4)
    assert {name: getattr(folded, name)[0].item() for name in expected} == expected


def test_twenty_digits_take_the_slow_road_and_are_exact():
    """Numbers beyond 15 digits sum by their shortest text, exactly."""
    values = [0.1 + 0.2, 1e-17, 123456789.12345679]
    folded = bars.fold_day([1, 2, 3], values, values, [1, -1, 1], day_start_ns=0, timeframe_ns=SECOND)
    expected = naive.bar(
        [naive.Print(1, repr(x), repr(x), side > 0) for x, side in zip(values, [1, -1, 1], strict=True)]
    )
    assert {name: getattr(folded, name)[0].item() for name in expected} == expected
