"""Run indicator steps over rows with a state that can be saved: batch, stream and resume share this driver.

A `Plan` is a list of names made executable; a `State` is what it carries from row to row. Whatever way the rows are
cut into calls, the outputs have the same bits. The rules of stored datasets (which grid intervals step, which rows
are unknown) are `run_day`; frames for notebooks are analytics/notebook.py.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import threading
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.analytics import loops
from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicator_names import COLUMNS, Parsed, parse
from trading_platform.domain.days import DAY_NS
from trading_platform.domain.errors import UsageError, WorkError, shown

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STATE_VERSION = 5
ROWS_FOR_TWO = 100_000
"""From so many rows on a plan's nodes are stepped in two threads; a thread costs what some hundred rows do."""
_MAGIC = b"TPIS"
_HEADER = struct.Struct("<4sH8sqdI")
_NEVER = np.iinfo(np.int64).min
_NONE = np.empty(0, dtype=np.int64)


@dataclass
class State:
    """What a plan carries from row to row: every node's numbers, the last row's opening, the last close."""

    values: Floats
    last_open: int = _NEVER
    last_close: float = float("nan")

    def copy(self) -> State:
        """Return an independent copy."""
        return State(self.values.copy(), self.last_open, self.last_close)


class Node(NamedTuple):
    """One indicator of a plan: where its inputs come from, where its outputs and state go."""

    indicator: Indicator
    constants: tuple[float, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    begin: int
    end: int
    restarts_daily: bool


class Plan:
    """Indicator names made executable.

    Parameters
    ----------
    columns : what an indicator can be taken of besides bars and other indicators, see `parse`.

    Attributes
    ----------
    outputs : column names in the order asked for, without repeats.
    inputs : bar columns that are needed.
    lookbacks : column name → rows before the first value.
    needs_times : names that mean nothing without ``ts_open``: they begin anew at 00:00 UTC.
    uses_days : whether anything changes where a day begins, if only how a window is stored.

    Examples
    --------
    >>> plan = Plan(["sma_2", "ema_2__sma_2"])
    >>> state = plan.start()
    >>> {k: v.tolist() for k, v in plan.run(state, {"close": np.array([1.0, 3.0, 5.0])}).items()}
    {'sma_2': [nan, 2.0, 4.0], 'ema_2__sma_2': [nan, nan, 3.0]}
    """

    def __init__(self, names: Sequence[str], columns: Container[str] = COLUMNS) -> None:
        self.names = _listed(names)
        parsed = [parse(name, columns) for name in self.names]
        self.outputs = tuple(dict.fromkeys(column for one in parsed for column in one.columns))
        self.lookbacks = {column: one.lookback for one in parsed for column in one.columns}
        self.nodes: list[Node] = []
        self._made: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._size = 0
        self._keys: dict[str, str] = {}
        for one in parsed:
            keys = self._add(one, nested=False)
            for output in one.indicator.outputs:
                self._keys[one.column(output)] = keys[one.indicator.outputs.index(output)]
        made = {key for node in self.nodes for key in node.outputs}
        self.inputs = tuple(dict.fromkeys(key for node in self.nodes for key in node.inputs if key not in made))
        session = [node for node in self.nodes if node.restarts_daily and node.indicator.needs_times]
        self.needs_times = tuple(node.outputs[0] for node in session)
        self.uses_days = any(node.restarts_daily or node.indicator.day_boundary for node in self.nodes)
        self._constants = np.array([x for node in self.nodes for x in node.constants], dtype=np.float64)
        self._compiled: Ints | None = None
        self.fingerprint = hashlib.sha256(repr((STATE_VERSION, self.names)).encode()).digest()[:8]

    def _add(self, one: Parsed, *, nested: bool) -> tuple[str, ...]:
        """Add the nodes of a name, sources first; return the keys of its outputs."""
        name = one.column("")
        nested = nested and one.indicator.restarts_daily  # else it is the same wherever it stands
        if made := self._made.get((name, nested)):
            return made
        if one.source is None:
            inputs = one.indicator.inputs
        elif isinstance(one.source, str):
            inputs = (one.source,)
        else:
            keys = self._add(one.source, nested=True)
            inputs = (keys[one.source.indicator.outputs.index(one.source.output or "")],)
        restarts = one.indicator.restarts_daily and not nested
        keys = tuple(one.column(output) + (" inside" if nested else "") for output in one.indicator.outputs)
        size = one.indicator.words + one.indicator.window(*one.values)
        node = Node(
            one.indicator, one.indicator.constants(*one.values), inputs, keys, self._size, self._size + size, restarts
        )
        self.nodes.append(node)
        self._size += size
        self._made[name, nested] = keys
        return keys

    def start(self) -> State:
        """Return the state before the first row."""
        return State(np.zeros(self._size))

    def run(
        self,
        state: State,
        columns: Mapping[str, Floats],
        ts_open: Ints | None = None,
        ts_close: Ints | None = None,
    ) -> dict[str, Floats]:
        """Step over the rows, changing `state`; return one float64 array per output.

        Parameters
        ----------
        columns : the plan's `inputs`, all of one length. A row with an input that is not finite does not step
            and gives NaN.
        ts_open, ts_close : ns; with `ts_open` what restarts daily does so where the UTC day changes, unless the
            bars are a day long or longer.

        Raises
        ------
        UsageError : if a column is missing, or the lengths differ.
        """
        return self.run_checked(state, self._columns(columns), ts_open, ts_close)

    def run_checked(
        self, state: State, series: dict[str, Floats], ts_open: Ints | None, ts_close: Ints | None
    ) -> dict[str, Floats]:
        """Do what `run` does with columns that are known to be the plan's: float64, contiguous, of one length."""
        rows = len(next(iter(series.values()))) if series else 0
        starts = _NONE
        if ts_open is not None and len(ts_open):
            if self.uses_days:
                starts = day_starts(state.last_open, ts_open, ts_close)
            state.last_open = int(ts_open[-1])
        series.update({key: np.empty(rows) for node in self.nodes for key in node.outputs})
        keys = [key for node in self.nodes for key in (*node.inputs, *node.outputs)]
        columns = np.array([address_of(series[key]) for key in keys], dtype=np.int64)
        if rows < ROWS_FOR_TWO or len(self._halves) < 2:
            self.drive(state.values, columns, np.empty_like(columns), starts, rows)
        else:
            self._drive_both(state.values, columns, starts, rows)
        return {name: series[self._keys[name]] for name in self.outputs}

    @property
    def shown(self) -> tuple[str, ...]:
        """For each of `outputs` the key of the node's output that it shows."""
        return tuple(self._keys[name] for name in self.outputs)

    def drive(self, values: Floats, columns: Ints, moved: Ints, starts: Ints, rows: int) -> None:
        """Step every node over the rows whose columns lie at these addresses; a day begins before rows `starts`."""
        loops.drive(self._table, values, self._constants, columns, moved, starts, rows)

    def _drive_both(self, values: Floats, columns: Ints, starts: Ints, rows: int) -> None:
        """Do what `drive` does, a half of the nodes in a thread: they share no state, so the bits are the same."""
        one, other = self._halves
        loops.drive.dispatcher()
        rest = (values, self._constants, columns)
        beside = threading.Thread(target=loops.drive, args=(other, *rest, np.empty_like(columns), starts, rows))
        beside.start()
        try:
            loops.drive(one, *rest, np.empty_like(columns), starts, rows)
        finally:
            beside.join()

    @cached_property
    def _halves(self) -> list[Ints]:
        """The table in one or two parts of about equal work, none of which reads what another writes."""
        table = self._table.reshape(-1, loops.TABLE_WIDTH)
        # A guess from the node's words: each window has some, and takes longer than a mean.
        work = [
            3 + node.indicator.words * (3 if node.end - node.begin > node.indicator.words else 1) for node in self.nodes
        ]
        halves = loops.halves([(node.inputs, node.outputs) for node in self.nodes], work)
        return [table[half].reshape(-1) for half in halves]

    @property
    def _table(self) -> Ints:
        """The nodes as `loops` reads them; made with the first rows, for that compiles."""
        if self._compiled is None:
            rows, constants, columns = [], 0, 0
            for node in self.nodes:
                one, boundary = node.indicator, 0
                if node.restarts_daily:
                    boundary = -1
                elif one.at_midnight is not None:
                    boundary = one.at_midnight.address
                window = node.end - node.begin - one.words
                rows.append((one.run.address, boundary, node.begin, one.words, window, constants, columns))
                constants += len(node.constants)
                columns += len(node.inputs) + len(node.outputs)
            self._compiled = np.array(rows, dtype=np.int64).reshape(-1)
        return self._compiled

    def _columns(self, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        missing = [name for name in self.inputs if name not in columns]
        if missing:
            raise UsageError(f"column {missing[0]!r} is missing; {', '.join(self.names)[:80]} needs it")
        series = {name: np.ascontiguousarray(columns[name], dtype=np.float64) for name in self.inputs}
        if len({len(values) for values in series.values()}) > 1:
            raise UsageError("the columns differ in length")
        return series

    def user_of(self, column: str) -> str:
        """Return the name of an indicator that needs a column, for saying so."""
        return next(node.outputs[0] for node in self.nodes if column in node.inputs)

    def to_bytes(self, state: State) -> bytes:
        """Return the state as bytes, the same for the same state on any machine."""
        head = _HEADER.pack(
            _MAGIC, STATE_VERSION, self.fingerprint, state.last_open, state.last_close, len(state.values)
        )
        return head + state.values.astype("<f8").tobytes()

    def from_bytes(self, data: bytes) -> State:
        """Return the state that `to_bytes` wrote.

        Raises
        ------
        WorkError : if the bytes are not a state of this very plan.
        """
        if len(data) >= _HEADER.size:
            magic, version, fingerprint, last_open, last_close, count = _HEADER.unpack_from(data)
            right = (magic, version, fingerprint, count) == (_MAGIC, STATE_VERSION, self.fingerprint, self._size)
            if right and len(data) == _HEADER.size + 8 * count:
                values = np.frombuffer(data, dtype="<f8", offset=_HEADER.size).astype(np.float64)
                return State(values, last_open, last_close)
        raise WorkError(f"not a state of {', '.join(self.names)[:80]} (version {STATE_VERSION})")

    def start_day(self, state: State) -> None:
        """Begin a UTC day: restart what restarts daily, bring windows into their one form."""
        if self.uses_days:
            loops.begin_day(self._table, state.values, self._constants, _NONE)

    def end_day(self, state: State) -> None:
        """End a UTC day of the grid: bring windows into their one form, which depends only on what they hold."""
        if self.uses_days:
            table = self._table.reshape(-1, loops.TABLE_WIDTH).copy()
            table[table[:, 1] < 0, 1] = 0
            loops.begin_day(table.reshape(-1), state.values, self._constants, _NONE)


class OneRow:
    """Steps a plan over single rows through one fixed row of numbers: no array is made for a bar.

    Examples
    --------
    >>> plan = Plan(["sma_2"])
    >>> state, one = plan.start(), OneRow(plan)
    >>> one.step(state, [1.0]), one.step(state, [3.0])
    ([nan], [2.0])
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        keys = list(
            dict.fromkeys([*plan.inputs, *(key for node in plan.nodes for key in (*node.inputs, *node.outputs))])
        )
        self._row = np.zeros(len(keys))
        self._cells: Any = memoryview(self._row)  # type: ignore[arg-type]  # an array is a buffer
        base, slot = address_of(self._row), {key: k for k, key in enumerate(keys)}
        order = [key for node in plan.nodes for key in (*node.inputs, *node.outputs)]
        self._columns = np.array([base + 8 * slot[key] for key in order], dtype=np.int64)
        self._moved = np.empty_like(self._columns)
        self._shown = [slot[key] for key in plan.shown]

    def step(self, state: State, numbers: Sequence[float]) -> list[float]:
        """Step over a row of the plan's inputs; return its outputs, NaN where there is none."""
        cells = self._cells
        for k, number in enumerate(numbers):
            cells[k] = number
        self._plan.drive(state.values, self._columns, self._moved, _NONE, 1)
        row = self._row.tolist()
        return [row[k] for k in self._shown]


def _listed(names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(names, str | bytes):
        with suppress(TypeError):
            return tuple(names)
    raise UsageError(f"indicators are a list of names such as ['rsi_14'], not {shown(names)}")


def plan(names: Sequence[str]) -> Plan:
    """Make names executable; the same as ``Plan(names)``."""
    return Plan(names)


def address_of(values: Floats) -> int:
    """Return where an array's numbers are."""
    return int(values.__array_interface__["data"][0])


def day_starts(last_open: int, ts_open: Ints, ts_close: Ints | None = None) -> Ints:
    """Return the rows before which a UTC day begins.

    Bars of a day or longer begin none: told by their width, or without `ts_close` by two in a row that open at
    midnight.

    >>> hour = 3_600_000_000_000
    >>> day_starts(22 * hour, np.array([23, 24, 25, 47, 49]) * hour).tolist()
    [1, 4]
    """
    if not len(ts_open):
        return _NONE
    opens = np.concatenate(([np.int64(ts_open[0] if last_open == _NEVER else last_open)], ts_open))
    days = opens // DAY_NS
    changed = days[1:] != days[:-1]
    if ts_close is not None:
        long = (ts_close - ts_open) >= DAY_NS
    else:
        midnight = opens == days * DAY_NS
        long = midnight[1:] & midnight[:-1]
    return np.flatnonzero(changed & ~long)


def run_day(
    plan: Plan, state: State, bars: Mapping[str, npt.ArrayLike], *, day_start_ns: int, timeframe_ns: int, end_ns: int
) -> tuple[dict[str, Floats], npt.NDArray[np.bool_], State]:
    """Step over one symbol-day on the full UTC grid, as stored indicators do.

    Parameters
    ----------
    state : the state after the previous day; not changed.
    bars : the day's rows ascending: ``ts_open``, ``trade_count``, ``open high low close volume`` and whatever else
        the plan needs. Prices of rows without a trade may be NaN.
    end_ns : where the grid ends: 24:00, on the running day the close of its last row's interval.

    Returns
    -------
    outputs : one array per output, a value for each row of `bars`.
    unknown : rows that hold no trade; their outputs are NaN, and null once stored.
    state : the state after the day, in the one form that depends only on what it holds.

    Notes
    -----
    An interval without a row is known to be empty: it enters as the previous close with volume 0 and has no output.
    A row without a trade does not step. Before a symbol's first trade nothing steps.
    """
    held = np.asarray(bars["trade_count"], dtype=np.int64) > 0
    after = state.copy()
    if timeframe_ns < DAY_NS:
        plan.start_day(after)
    values = step_grid(plan, after, bars, held, begin_ns=day_start_ns, end_ns=end_ns, timeframe_ns=timeframe_ns)
    if timeframe_ns < DAY_NS:
        plan.end_day(after)
    after.last_open = day_start_ns
    return values, ~held, after


def step_grid(
    plan: Plan,
    state: State,
    bars: Mapping[str, npt.ArrayLike],
    held: npt.NDArray[np.bool_],
    *,
    begin_ns: int,
    end_ns: int,
    timeframe_ns: int,
) -> dict[str, Floats]:
    """Step over every interval of [begin, end) within one UTC day, changing `state`: the one piece of code for it.

    Stored days, `tp.compute(…, grid=True)` and `tp.stream(…, grid="1m")` all go through here, so they have the same
    bits. Where the day begins and ends is the caller's to say: `Plan.start_day` and `Plan.end_day`.

    Parameters
    ----------
    bars : the rows that there are, ascending; see `run_day`.
    held : which of them hold a trade.

    Returns
    -------
    dict : one array per output, a value for each row of `bars`; NaN where none is held.
    """
    ts_open, close = np.asarray(bars["ts_open"], dtype=np.int64), np.asarray(bars["close"], dtype=np.float64)
    grid = Grid(ts_open, held, close, state.last_close,
                day_start_ns=begin_ns, timeframe_ns=timeframe_ns, end_ns=end_ns)  # fmt: skip
    columns = {name: grid.spread(np.asarray(bars[name], dtype=np.float64), name) for name in plan.inputs}
    values = plan.run(state, columns)
    state.last_close = grid.last_close
    return {name: value[grid.slots] for name, value in values.items()}


def run_days(
    plan: Plan, bars: Mapping[str, npt.ArrayLike], held: npt.NDArray[np.bool_], *, timeframe_ns: int
) -> dict[str, Floats]:
    """Step over rows of any number of days as the lake does from a symbol's first bar on: day by day.

    A day without a row is passed over; every day but the last is stepped to 24:00.

    Parameters
    ----------
    bars, held : as in `step_grid`.
    timeframe_ns : the width of every row; divides a day.

    Examples
    --------
    >>> minute = 60_000_000_000
    >>> bars = {"ts_open": np.array([0, 3]) * minute, "close": np.array([1.0, 7.0])}
    >>> run_days(Plan(["sma_2"]), bars, np.array([True, True]), timeframe_ns=minute)["sma_2"].tolist()
    [nan, 4.0]
    """
    ts_open = np.asarray(bars["ts_open"], dtype=np.int64)
    state, parts = plan.start(), [dict.fromkeys(plan.outputs, np.empty(0))]
    days = ts_open // DAY_NS
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for first, last in itertools.pairwise(edges if len(days) else []):
        start = int(days[first]) * DAY_NS
        end = start + DAY_NS if last < len(days) else int(ts_open[-1]) + timeframe_ns
        day = {name: np.asarray(values)[first:last] for name, values in bars.items()} | {
            "trade_count": held[first:last]
        }
        values, _, state = run_day(plan, state, day, day_start_ns=start, timeframe_ns=timeframe_ns, end_ns=end)
        parts.append(values)
    return {name: np.concatenate([part[name] for part in parts]) for name in plan.outputs}


class Grid:
    """One day's intervals: which of them hold a row, and what the others carry forward.

    Attributes
    ----------
    slots : for each row its interval.
    close : for each interval the close that steps: its own, the previous one if it is known to be empty, NaN if it
        is unknown or nothing was ever traded.
    last_close : the close after the day.
    """

    def __init__(
        self, ts_open: Ints, held: npt.NDArray[np.bool_], close: Floats, last_close: float,
        *, day_start_ns: int, timeframe_ns: int, end_ns: int,
    ) -> None:  # fmt: skip
        count = (end_ns - day_start_ns) // timeframe_ns
        self.slots = (ts_open - day_start_ns) // timeframe_ns
        if len(self.slots) and (int(self.slots.min()) < 0 or int(self.slots.max()) >= count):
            raise UsageError("a bar lies outside the day")
        self._held_rows = np.flatnonzero(held)
        self._traded = self.slots[held]
        source = np.zeros(count, dtype=np.int64)
        source[self._traded] = np.arange(1, len(self._traded) + 1)
        known = np.concatenate(([last_close], close[held]))
        filled = known[np.maximum.accumulate(source)] if count else np.empty(0)
        self.last_close = float(known[-1])
        self._unknown = self.slots[~held]
        filled[self._unknown] = np.nan
        self.close: Floats = filled

    def spread(self, values: Floats, name: str) -> Floats:
        """Return a column on the grid: prices of empty intervals are the previous close, everything else is 0.

        Before anything was traded there is nothing, not even a volume of 0.
        """
        priced = name in {"open", "high", "low", "close", "vwap"}
        spread = self.close.copy() if priced else np.where(np.isnan(self.close), np.nan, 0.0)
        spread[self._traded] = values[self._held_rows]
        spread[self._unknown] = np.nan
        return spread
