"""Order flow and microstructure of trades, per bar: ``tp.order_flow``, and per price level: ``tp.footprint``.

What bars already hold (delta, CVD, VPIN, Kyle's lambda, Amihud) is indicators/; folding trades into bars is
bars_from_frames.py. Volumes are plain float sums here. Every trade must have a side: a guess would be a number that
nobody measured.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics.checks import TradeRows, read_trades
from trading_platform.analytics.dataframes import Column, Frame
from trading_platform.domain.errors import UsageError, shown
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.domain.trades.sides import BUY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAX_LEVELS = 1 << 52
_LEAST = 1e-300
"""What counts as above 0."""


class _Bars(NamedTuple):
    """Trades in order of time, and the bars that hold them."""

    rows: TradeRows
    signed: Floats
    bins: Ints
    opens: Ints
    first: Ints

    def sums(self, values: Floats) -> Floats:
        """Return the sum of the trades' values, per bar."""
        return np.bincount(self.bins, values, len(self.opens)).astype(np.float64, copy=False)


def order_flow(ticks: Any, timeframe: str, *, step: float | None = None, value_area: float = 0.7) -> Any:
    """Say per bar what its trades tell beyond open, high, low, close.

    Parameters
    ----------
    ticks : pandas, polars or Arrow table with ``ts_event price quantity side``, in order; see `make_bars`.
    timeframe : ``"5m"``: the width of the bars.
    step : width of a price level. With it the volume profile's columns are given.
    value_area : share of the volume that the value area holds.

    Returns
    -------
    A frame of the same kind, a row per bar with trades, of these columns:

    ``ts_open ts_close trade_count``.

    ``buy_volume sell_volume delta`` : of takers, in base units; delta is buys less sells.

    ``min_delta max_delta`` : the least and greatest running delta after a trade of the bar.

    ``cvd`` : the running total of delta over all bars.

    ``imbalance`` : delta by volume, -1 to 1.

    ``sign_autocorrelation`` : mean product of the signs of neighbouring trades of the bar (1 buy, -1 sell).

    ``realized_variance bipower_variation`` : of the log returns from trade to trade within the bar: the sum of squares,
    and π / 2 times the sum of products of neighbours' sizes (Barndorff-Nielsen and Shephard 2004).

    ``poc value_area_low value_area_high`` : the price level with the largest volume (the lowest of equal ones), and
    the levels around it that hold `value_area` of the bar's volume: of the next traded level above and below, the
    one with more volume joins, the upper one of equal ones.

    What needs more trades than the bar has is missing. A quantity of 0 has a side but no volume.

    Raises
    ------
    UsageError : as `make_bars`; a side is unknown; `step` is not above 0, `value_area` not above 0 and at most 1.

    Examples
    --------
    >>> import pandas as pd
    >>> ticks = pd.DataFrame({"ts_event": pd.to_datetime([1, 2, 61], unit="s"), "price": [100.0, 101.0, 99.0],
    ...                       "quantity": [3.0, 1.0, 2.0], "side": ["buy", "sell", "sell"]})
    >>> flow = order_flow(ticks, "1m", step=1.0)
    >>> flow["delta"].tolist(), flow["cvd"].tolist(), flow["poc"].tolist()
    ([2.0, -2.0], [2.0, 0.0], [100.0, 99.0])
    """
    share = _number(value_area, "value_area is a share above 0 and at most 1", _LEAST, 1.0)
    frame = Frame(ticks)
    bars = _read(frame, timeframe, "order_flow")
    rows, quantity = bars.rows, bars.rows.quantity
    buys, sells = (
        bars.sums(np.where(bars.signed > 0, quantity, 0.0)),
        bars.sums(np.where(bars.signed > 0, 0.0, quantity)),
    )
    delta = buys - sells
    low, high = _running(bars)
    found = {
        "trade_count": bars.sums(np.ones(len(quantity))).astype(np.int64),
        "buy_volume": buys,
        "sell_volume": sells,
        "delta": delta,
        "min_delta": low,
        "max_delta": high,
        "cvd": np.cumsum(delta),
        "imbalance": _ratio(delta, buys + sells),
        **_between_trades(bars),
    }
    if step is not None:
        level, width = _levels(rows.price, step)
        found |= _profile(bars, level, width, share)
    return _answer(frame, bars.opens, timeframe, found)


def footprint(
    ticks: Any, timeframe: str, *, step: float, ratio: float = 3.0, least_volume: float = 0.0, of: str = "volume"
) -> Any:
    """Say per bar and price level what was bought and sold there.

    Parameters
    ----------
    ticks, timeframe : as in `order_flow`.
    step : width of a level; a trade belongs to the multiple of it that is nearest (of two equally near the even one).
    ratio : how many times one side must exceed the other, diagonally, to be an imbalance.
    least_volume : levels with less volume have no imbalance.
    of : ``"volume"`` or ``"trades"``: what is compared.

    Returns
    -------
    A frame of the same kind, a row per bar and traded level, levels ascending: ``ts_open ts_close price``, ``buy_volume
    sell_volume delta buy_count sell_count``, ``buy_imbalance`` (takers bought more than `ratio` times what was sold at
    this level) and ``sell_imbalance`` (they sold more than `ratio` times what was bought at the next traded level
    above; never at the highest). Freqtrade's conventions, with its ``bid`` and ``ask`` as ``sell`` and ``buy``.

    Raises
    ------
    UsageError : as `order_flow`.

    Examples
    --------
    >>> import pandas as pd
    >>> ticks = pd.DataFrame({"ts_event": pd.to_datetime([1, 2, 3], unit="s"), "price": [100.1, 100.4, 101.0],
    ...                       "quantity": [9.0, 1.0, 2.0], "side": ["sell", "buy", "buy"]})
    >>> made = footprint(ticks, "1m", step=1.0)
    >>> made["price"].tolist(), made["delta"].tolist(), made["sell_imbalance"].tolist()
    ([100.0, 101.0], [-8.0, 2.0], [True, False])
    """
    if of not in {"volume", "trades"}:
        raise UsageError(f"imbalances are of volume or of trades, not of {shown(of)}")
    times = _number(ratio, "ratio is a number above 0 and at most 1e9", _LEAST, 1e9)
    least = _number(least_volume, "least_volume is a number from 0 on", 0.0, np.finfo(np.float64).max)
    frame = Frame(ticks)
    bars = _read(frame, timeframe, "footprint")
    level, width = _levels(bars.rows.price, step)
    order, begin = _cells(bars.bins, level)
    bought = bars.signed[order] > 0
    quantity = bars.rows.quantity[order]
    cells = {
        "buy_volume": _added(np.where(bought, quantity, 0.0), begin),
        "sell_volume": _added(np.where(bought, 0.0, quantity), begin),
        "buy_count": _added(bought.astype(np.float64), begin),
        "sell_count": _added((~bought).astype(np.float64), begin),
    }
    of_bar = bars.bins[order][begin]
    what = "volume" if of == "volume" else "count"
    buys, sells = cells[f"buy_{what}"], cells[f"sell_{what}"]
    highest = np.ones(len(begin), dtype=np.bool_)
    highest[:-1] = of_bar[1:] != of_bar[:-1]
    above = np.append(buys[1:], 0.0)[: len(buys)]
    enough = cells["buy_volume"] + cells["sell_volume"] >= least
    found = {
        "price": level[order][begin] * width,
        **{name: cells[name] for name in ("buy_volume", "sell_volume")},
        "delta": cells["buy_volume"] - cells["sell_volume"],
        **{name: cells[name].astype(np.int64) for name in ("buy_count", "sell_count")},
        "buy_imbalance": enough & (buys > times * sells),
        "sell_imbalance": enough & ~highest & (sells > times * above),
    }
    return _answer(frame, bars.opens[of_bar], timeframe, found)


def _number(value: object, words: str, low: float, high: float) -> float:
    """Return a number of [low, high], else say in words what it should be."""
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with suppress(OverflowError):
            number = float(value)
            if low <= number <= high:
                return number
    raise UsageError(f"{words}, not {shown(value)}")


def _answer(frame: Frame, opens: Ints, timeframe: str, found: dict[str, Any]) -> Any:
    times = {"ts_open": Column(opens, instant=True), "ts_close": Column(opens + timeframe_ns(timeframe), instant=True)}
    return frame.like(times | {name: Column(values) for name, values in found.items()})


def _read(frame: Frame, timeframe: str, by: str) -> _Bars:
    width = timeframe_ns(timeframe)
    frame.need("side", by)
    rows = read_trades(frame, sides_by=by)
    if not (rows.ts_event[1:] >= rows.ts_event[:-1]).all():
        order = np.argsort(rows.ts_event, kind="stable")
        rows = TradeRows(*(None if column is None else column[order] for column in rows))  # type: ignore[arg-type]
    slots = rows.ts_event // width
    new = np.ones(len(slots), dtype=np.bool_)
    new[1:] = slots[1:] != slots[:-1]
    first = np.flatnonzero(new)
    signed = np.where(rows.side == BUY, 1.0, -1.0)
    return _Bars(rows, signed, np.cumsum(new) - 1, slots[first] * width, first)


def _levels(price: Floats, step: object) -> tuple[Ints, float]:
    """Return each price's level, and the width of a level."""
    width = _number(step, "step is the width of a price level, above 0", _LEAST, np.finfo(np.float64).max)
    if len(price) and price.max() / MAX_LEVELS > width:
        raise UsageError(f"step {width:g} is too small for prices of {price.max():g}")
    return np.round(price / width).astype(np.int64), width


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def _running(bars: _Bars) -> tuple[Floats, Floats]:
    """Return the least and the greatest running delta of each bar."""
    if not len(bars.first):
        return np.empty(0), np.empty(0)
    flow = bars.signed * bars.rows.quantity
    # Summed bar by bar: a sum over all trades less what was before the bar would carry its rounding into each.
    running = np.concatenate([np.cumsum(part) for part in np.split(flow, bars.first[1:])])
    return np.minimum.reduceat(running, bars.first), np.maximum.reduceat(running, bars.first)


def _between_trades(bars: _Bars) -> dict[str, Floats]:
    """Return what neighbouring trades of a bar say: signs, and returns."""
    later = bars.bins[1:] == bars.bins[:-1]
    count = len(bars.opens)

    def added(values: Floats, where: Flags, bins: Ints) -> tuple[Floats, Floats]:
        number = np.bincount(bins[where], minlength=count).astype(np.float64)
        return np.bincount(bins[where], values[where], count).astype(np.float64, copy=False), number

    signs, pairs = added(bars.signed[1:] * bars.signed[:-1], later, bars.bins[1:])
    moves = np.diff(np.log(bars.rows.price))
    squares, returns = added(moves * moves, later, bars.bins[1:])
    twice = later[1:] & later[:-1]
    products, couples = added(np.abs(moves[1:] * moves[:-1]), twice, bars.bins[2:])
    return {
        "sign_autocorrelation": _ratio(signs, pairs),
        "realized_variance": np.where(returns > 0, squares, np.nan),
        "bipower_variation": np.where(couples > 0, np.pi / 2 * products, np.nan),
    }


def _cells(bins: Ints, level: Ints) -> tuple[Ints, Ints]:
    """Return the trades in order of bar and level, and where each bar's level begins in it."""
    order = np.lexsort((level, bins))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (bins[order][1:] != bins[order][:-1]) | (level[order][1:] != level[order][:-1])
    return order, np.flatnonzero(new)


def _added(values: Floats, begin: Ints) -> Floats:
    return np.add.reduceat(values, begin) if len(begin) else np.empty(0)


def _profile(bars: _Bars, level: Ints, step: float, share: float) -> dict[str, Floats]:
    order, begin = _cells(bars.bins, level)
    volume, price = _added(bars.rows.quantity[order], begin), level[order][begin] * step
    edges = np.searchsorted(bars.bins[order][begin], np.arange(len(bars.opens) + 1))
    found = [_area(volume[a:b], share) for a, b in itertools.pairwise(edges)]
    at = np.array(found, dtype=np.int64).reshape(-1, 3) + edges[:-1, None]
    return {name: price[at[:, k]] for k, name in enumerate(("poc", "value_area_low", "value_area_high"))}


def _area(volume: Floats, share: float) -> tuple[int, int, int]:
    """Return the level of the largest volume, and the first and the last level of the value area."""
    top = int(np.argmax(volume))
    low = high = top
    held, wanted = volume[top], share * volume.sum()
    while held < wanted and (low > 0 or high + 1 < len(volume)):
        below = volume[low - 1] if low > 0 else -1.0
        above = volume[high + 1] if high + 1 < len(volume) else -1.0
        if above >= below:
            high += 1
            held += above
        else:
            low -= 1
            held += below
    return top, low, high
