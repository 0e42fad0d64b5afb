"""Update indicators bar by bar: ``tp.stream``. Same values as `compute`; one symbol or many; state saved as bytes.

The steps are driver.py; frames are notebook.py.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, NamedTuple

import google_crc32c
import numpy as np

from trading_platform.analytics.driver import OneRow, Plan, State, day_starts, step_grid
from trading_platform.analytics.indicator_names import AnyColumn
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError, WorkError, shown
from trading_platform.domain.inputs.instants import instant_ns
from trading_platform.domain.timeframe import timeframe_ns

Values = dict[str, float | None]

_MAGIC = b"TPST"
_VERSION = 2
_HEADER = struct.Struct("<4sHI")
_CHECKSUM = struct.Struct("<I")
_MARKET = ("venue", "symbol", "timeframe")
_ONE = ""
"""The series that `update` steps; those of `update_many` bear their symbols."""


@dataclass
class _Series:
    """One symbol's way so far.

    Attributes
    ----------
    last_open : ns of the last bar, None before the first or without times.
    reached : on a grid, the ns up to which it has stepped.
    market : the venue, symbol and timeframe that its bars named.
    """

    state: State
    last_open: int | None = None
    reached: int | None = None
    market: dict[str, str] = field(default_factory=dict)


class _Bar(NamedTuple):
    """What was read of a bar; nothing has stepped yet."""

    numbers: dict[str, float]
    ts_open: int | None
    ts_close: int | None
    held: bool
    market: dict[str, str]


class Stream:
    """The same numbers as `compute`, one bar at a time.

    A stream pickles and copies; `state` and `restore` keep it across versions of Python and machines.

    Parameters
    ----------
    names : as in `compute`.
    grid : a timeframe such as ``"1m"``: intervals that get no bar are stepped as the lake does, as in `compute`.

    Examples
    --------
    >>> live = Stream(["sma_2"])
    >>> live.update({"close": 1.0}), live.update({"close": 3.0})
    ({'sma_2': None}, {'sma_2': 2.0})
    >>> Stream.restore(live.state()).update({"close": 5.0})
    {'sma_2': 4.0}
    >>> live.update_many({"BTC-USDT": {"close": 1.0}, "ETH-USDT": {"close": 2.0}})
    {'BTC-USDT': {'sma_2': None}, 'ETH-USDT': {'sma_2': None}}
    """

    def __init__(self, names: Sequence[str], *, grid: str | Literal[False] | None = None) -> None:
        self._plan = Plan(names, AnyColumn())
        self._row: OneRow | None = None
        self._grid = None if grid is False else grid
        self._width = None if self._grid is None else timeframe_ns(self._grid)
        self._series: dict[str, _Series] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names asked for."""
        return self._plan.names

    @property
    def outputs(self) -> tuple[str, ...]:
        """The keys of what `update` returns."""
        return self._plan.outputs

    @property
    def grid(self) -> str | None:
        """The timeframe whose empty intervals are stepped, None if none are."""
        return self._grid

    def update(self, bar: Any) -> Values:
        """Step over one bar; return one number per output, None where there is no value.

        Parameters
        ----------
        bar : a mapping, a row of a frame or an object with attributes: the columns the indicators use, and
            ``ts_open`` (``ts_close``) where something begins anew each day or a grid is stepped. None and NaN are
            missing: no step. On a grid a bar whose ``trade_count`` is 0 does not step.

        Raises
        ------
        UsageError : if a value that is needed is absent or no number, a bar does not open after the one before it, or
            it is of another symbol, venue or timeframe. Nothing has stepped then.
        """
        series = self._of(_ONE)
        read = self._read(bar, series)
        self._series[_ONE] = series
        return self._step(series, read)

    def update_many(self, bars: Mapping[str, Any]) -> dict[str, Values]:
        """Step over one bar each of several symbols, kept apart; return symbol → what `update` returns.

        Raises
        ------
        UsageError : as `update`, naming the symbol. No symbol has stepped then.
        """
        if not isinstance(bars, Mapping):
            raise UsageError(f"bars are a mapping of symbol to bar, not {type(bars).__name__}")
        work = []
        for symbol, bar in bars.items():
            if not isinstance(symbol, str) or not symbol:
                raise UsageError(f"a symbol is a text such as BTC-USDT, not {shown(symbol)}")
            series = self._of(symbol)
            try:
                read = self._read(bar, series)
                if read.market.get("symbol", symbol) != symbol:
                    raise UsageError(f"its bar is of {read.market['symbol'][:40]}")
            except UsageError as error:
                raise UsageError(f"{symbol[:40]}: {error}") from None
            work.append((symbol, series, read))
        self._series.update({symbol: series for symbol, series, _ in work})
        return {symbol: self._step(series, read) for symbol, series, read in work}

    def state(self) -> bytes:
        """Return everything that `restore` needs to go on, under a checksum."""
        series = [
            {"key": key, "last_open": one.last_open, "reached": one.reached, "market": one.market}
            for key, one in self._series.items()
        ]
        head = json.dumps({"names": self._plan.names, "grid": self._grid, "series": series}).encode()
        states = b"".join(self._plan.to_bytes(one.state) for one in self._series.values())
        body = _HEADER.pack(_MAGIC, _VERSION, len(head)) + head + states
        return body + _CHECKSUM.pack(google_crc32c.value(body))

    @classmethod
    def restore(cls, data: bytes) -> Stream:
        """Return the stream that `state` saved.

        Raises
        ------
        WorkError : if the bytes are no state of a stream, or not exactly those that were saved.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise UsageError(f"the state of a stream is bytes, not {type(data).__name__}")
        data = bytes(data)
        body, checksum = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
        if len(body) < _HEADER.size or data[:4] != _MAGIC:
            raise WorkError("not the state of a stream")
        version, length = _HEADER.unpack_from(body)[1:]
        if version != _VERSION:
            raise WorkError(f"the state of a stream is of version {version}, not {_VERSION}")
        if checksum != _CHECKSUM.pack(google_crc32c.value(body)):
            raise WorkError("the state of a stream is damaged: its checksum does not fit")
        try:
            return cls._restored(json.loads(body[_HEADER.size : _HEADER.size + length]), body[_HEADER.size + length :])
        except (ValueError, KeyError, TypeError) as error:
            raise WorkError(f"not the state of a stream that this version knows: {error}") from error

    @classmethod
    def _restored(cls, head: dict[str, Any], states: bytes) -> Stream:
        stream = cls(head["names"], grid=head["grid"])
        size = len(states) // max(len(head["series"]), 1)
        for at, kept in enumerate(head["series"]):
            state = stream._plan.from_bytes(states[at * size : (at + 1) * size])
            stream._series[kept["key"]] = _Series(state, kept["last_open"], kept["reached"], kept["market"])
        return stream

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        """Pickle and copy as the bytes of `state`."""
        return type(self).restore, (self.state(),)

    def _of(self, key: str) -> _Series:
        return self._series.get(key) or _Series(self._plan.start())

    def _read(self, bar: Any, series: _Series) -> _Bar:
        """Read what is needed of a bar and refuse what cannot follow; nothing is changed."""
        plan, get = self._plan, _getter(bar)
        numbers = {name: _number(get, name, plan) for name in plan.inputs}
        opened, closed = get("ts_open", None), get("ts_close", None)
        needs = plan.needs_times[0] if plan.needs_times else f"grid={self._grid!r}" if self._width else ""
        if opened is None and needs:
            raise UsageError(f"column 'ts_open' is missing; {needs} needs it")
        ts_open = None if opened is None else instant_ns(opened)
        ts_close = None if closed is None or ts_open is None else instant_ns(closed)
        if ts_open is not None:
            self._check_time(get, series, ts_open, ts_close)
        market = {name: value for name in _MARKET if (value := get(name, None)) is not None and isinstance(value, str)}
        for name, value in market.items():
            before = series.market.get(name, value)
            if before != value:
                raise UsageError(f"the bar is of {name} {value[:40]}, the last of {before[:40]}; use update_many")
        held = True
        if self._width:
            numbers["close"] = _number(get, "close", needs)
            count = 1.0 if get("trade_count", None) is None else _number(get, "trade_count", needs)
            held = count > 0 and np.isfinite(numbers["close"])
        return _Bar(numbers, ts_open, ts_close, bool(held), market)

    def _check_time(self, get: _Get, series: _Series, ts_open: int, ts_close: int | None) -> None:
        if ts_close is not None and ts_close <= ts_open:
            raise UsageError("the bar closes before it opens")
        last = series.last_open
        if last is not None and ts_open <= last and get("first_id", None) is None:
            how = "comes twice" if ts_open == last else "is out of order"
            raise UsageError(f"the bar that opens at {_told(ts_open)} {how}: the last one opened at {_told(last)}")
        if not self._width:
            return
        if ts_open % self._width or (ts_close is not None and ts_close - ts_open != self._width):
            raise UsageError(f"the bar that opens at {_told(ts_open)} is no {self._grid} bar of the UTC grid")

    def _step(self, series: _Series, bar: _Bar) -> Values:
        series.last_open = bar.ts_open
        if bar.market:
            series.market |= bar.market
        if self._width and bar.ts_open is not None:
            columns = {name: np.array([number]) for name, number in bar.numbers.items()}
            values = self._step_grid(series, columns, bar.ts_open, bar.held, self._width)
            found = [values[name].item() for name in self._plan.outputs]
        else:
            if bar.ts_open is not None:
                self._begin_day(series.state, bar.ts_open, bar.ts_close)
            self._row = self._row or OneRow(self._plan)
            found = self._row.step(series.state, list(bar.numbers.values()))
        names = self._plan.outputs
        return {name: x if x == x else None for name, x in zip(names, found, strict=True)}  # noqa: PLR0124  NaN

    def _begin_day(self, state: State, ts_open: int, ts_close: int | None) -> None:
        """Begin a day if this bar does, as `Plan.run` does."""
        if self._plan.uses_days and state.last_open // DAY_NS != ts_open // DAY_NS:
            closed = None if ts_close is None else np.array([ts_close])
            if len(day_starts(state.last_open, np.array([ts_open]), closed)):
                self._plan.start_day(state)
        state.last_open = ts_open

    def _step_grid(self, series: _Series, columns: dict[str, Any], ts_open: int, held: bool, width: int) -> Any:
        """Step over what lies between the last bar and this one, and this one, as `driver.run_days` does."""
        plan, state = self._plan, series.state
        day = ts_open // DAY_NS * DAY_NS
        if series.reached is None or series.reached <= day:
            if series.reached is not None and width < DAY_NS:
                midnight = -(-series.reached // DAY_NS) * DAY_NS  # the end of the last bar's day
                nothing = dict.fromkeys([*columns, "ts_open"], np.empty(0))
                step_grid(plan, state, nothing, np.empty(0, np.bool_),
                          begin_ns=series.reached, end_ns=midnight, timeframe_ns=width)  # fmt: skip
                plan.end_day(state)
            if width < DAY_NS:
                plan.start_day(state)
            series.reached = day
        end = ts_open + width
        row = columns | {"ts_open": np.array([ts_open])}
        values = step_grid(plan, state, row, np.array([held]),
                           begin_ns=series.reached, end_ns=end, timeframe_ns=width)  # fmt: skip
        series.reached = end
        return values


_ABSENT: Any = object()
_Get = Callable[[str, Any], Any]


def _getter(bar: Any) -> _Get:
    """Return what gives a value of a bar by its name, or else a default."""
    if type(bar) is dict:
        return bar.get

    def get(name: str, default: Any) -> Any:
        try:
            return bar.get(name, default) if hasattr(bar, "get") else getattr(bar, name, default)
        except Exception:  # noqa: BLE001  whatever an odd object says: it has no such value
            return default

    return get


def _number(get: _Get, name: str, by: Plan | str) -> float:
    value = get(name, _ABSENT)
    if isinstance(value, float):
        return float(value)
    if value is _ABSENT:
        raise UsageError(f"column {name!r} is missing; {by if isinstance(by, str) else by.user_of(name)} needs it")
    value = value.as_py() if type(value).__module__ == "pyarrow.lib" and hasattr(value, "as_py") else value
    if value is None or type(value).__name__ == "NAType":
        return float("nan")
    good = type(value) is not bool and isinstance(value, Real | Decimal)
    with suppress(OverflowError, ValueError):
        if good:
            return float(value)
    raise UsageError(f"{name} is {shown(value)}, no number")


def _told(ns: int) -> str:
    return f"{np.datetime64(ns, 'ns')}Z"
