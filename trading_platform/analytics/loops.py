"""Compiled loops: `run` applies one indicator's step to rows, `drive` runs a whole plan over them in one pass.

`run` is written for each shape (inputs, outputs, words of state) as text, for numba has no loop over arguments. A row
with an input that is not finite does not step and gives NaN, so that one bad row never poisons the rows after it. The
state's words are copied into registers around the loop: kept in an array, RSI cost 4.2 instead of 2.1 ns a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

from trading_platform.jit.kernel import Kernel, specialise
from trading_platform.jit.native import INTRINSICS, Native

CHUNK = 2048
"""Rows that a plan's nodes step before the next ones: what a node wrote is still in cache when another reads it."""

TABLE_WIDTH = 7
"""Columns of a plan's table, a row for each node: the addresses of its loop and of its day's boundary (0: nothing to
do, -1: restart), where its state begins, its words, the size of its window, where constants and columns begin."""

address: Any = None
call: Any = None
day: Any = None


def run_source(inputs: int, outputs: int, words: int, constants: int) -> str:
    """Return the text of the loop for so many columns and words.

    >>> print(run_source(1, 1, 8, 2))
    def run(state_words, window_words, constant_words, columns, rows):
        state = registers(state_words, 8)
        window = view(window_words, 1 << 40)
        constants = registers(constant_words, 2)
        x0 = column(columns, 0, rows)
        y0 = column(columns, 1, rows)
        for i in range(rows):
            a0 = x0[i]
            if a0 - a0 == 0.0:
                y0[i] = step(state, window, constants, a0)
            else:
                y0[i] = nan
        put_back(state, state_words, 8)
    <BLANKLINE>
    """
    read, written = range(inputs), range(outputs)
    results = ", ".join(f"y{k}[i]" for k in written)
    body = [
        *(f"    x{k} = column(columns, {k}, rows)" for k in read),
        *(f"    y{k} = column(columns, {inputs + k}, rows)" for k in written),
        "    for i in range(rows):",
        *(f"        a{k} = x{k}[i]" for k in read),
        f"        if {' and '.join(f'a{k} - a{k} == 0.0' for k in read)}:",
        f"            {results} = step(state, window, constants, {', '.join(f'a{k}' for k in read)})",
        "        else:",
        f"            {' = '.join(f'y{k}[i]' for k in written)} = nan",
    ]
    return _around(body, words, constants)


def boundary_source(words: int, constants: int) -> str:
    """Return the text of what is run where a day begins."""
    return _around(["    day_boundary(state, window, constants)"], words, constants)


def _around(body: list[str], words: int, constants: int) -> str:
    lines = [
        "def run(state_words, window_words, constant_words, columns, rows):",
        f"    state = registers(state_words, {words})",
        "    window = view(window_words, 1 << 40)",
        f"    constants = registers(constant_words, {constants})",
        *body,
        f"    put_back(state, state_words, {words})",
    ]
    return "\n".join(lines) + "\n"


def halves(nodes: Sequence[tuple[Sequence[str], Sequence[str]]], work: Sequence[int]) -> list[list[int]]:
    """Share nodes, given as their inputs and outputs, between one or two threads, none reading what the other writes.

    >>> halves([(["close"], ["a"]), (["a"], ["b"]), (["close"], ["c"])], [1, 1, 3])
    [[2], [0, 1]]
    """
    of: dict[str, int] = {}
    groups: list[list[int]] = []
    for at, (inputs, outputs) in enumerate(nodes):
        group = next((of[key] for key in inputs if key in of), len(groups))  # of another node it reads one at most
        if group == len(groups):
            groups.append([])
        groups[group].append(at)
        of.update(dict.fromkeys(outputs, group))
    found: list[list[int]] = [[], []]
    load = [0, 0]
    for members in sorted(groups, key=lambda g: -sum(work[at] for at in g)):
        lighter = int(load[1] < load[0])
        found[lighter] += members
        load[lighter] += sum(work[at] for at in members)
    return [sorted(half) for half in found if half]


def native(source: str, name: str, **bound: Kernel) -> Native:
    """Return a source as a kernel that calls the given ones by their names."""
    scope: dict[str, Any] = {"nan": nan, "__name__": __name__}
    # The text is made above, of whole numbers only; numba keeps its cache where the file's name is.
    exec(compile(source, __file__, "exec"), scope)  # noqa: S102
    return Native(scope["run"], name, {**INTRINSICS, **bound})


def _begin_day(table: Any, state: Any, constants: Any, columns: Any) -> None:
    """Begin a UTC day: restart what restarts daily, bring windows into their one form."""
    for row in range(0, table.shape[0], TABLE_WIDTH):
        first = table[row + 2]
        window = first + table[row + 3]
        if table[row + 1] > 0:
            call(table[row + 1], address(state) + 8 * first, address(state) + 8 * window,
                 address(constants) + 8 * table[row + 5], address(columns), 0)  # fmt: skip
        elif table[row + 1] < 0:
            for k in range(first, window + table[row + 4]):
                state[k] = 0.0


def _drive(table: Any, state: Any, constants: Any, columns: Any, moved: Any, starts: Any, rows: int) -> None:
    """Step every node of a plan over the rows.

    `columns` are the addresses of each node's inputs and outputs, `moved` room for as many; a UTC day begins before
    each row of `starts`.
    """
    begin = 0
    at = 0
    while begin < rows:
        if at < starts.shape[0] and starts[at] == begin:
            day(table, state, constants, columns)
            at += 1
        end = min(begin + CHUNK, rows)
        if at < starts.shape[0]:
            end = min(end, starts[at])
        for k in range(columns.shape[0]):
            moved[k] = columns[k] + 8 * begin
        for row in range(0, table.shape[0], TABLE_WIDTH):
            first = address(state) + 8 * table[row + 2]
            call(table[row], first, first + 8 * table[row + 3], address(constants) + 8 * table[row + 5],
                 address(moved) + 8 * table[row + 6], end - begin)  # fmt: skip
        begin = end


_CALLS = {name: INTRINSICS[name] for name in ("address", "call")}
_PLAN = "const i8[::1], f8[::1], const f8[::1], const i8[::1]"

begin_day = specialise(_begin_day, f"void({_PLAN})", f"{__name__}.begin_day", allocates=False, **_CALLS)
"""``begin_day(table, state, constants, columns)``."""
drive = specialise(
    _drive, f"void({_PLAN}, i8[::1], const i8[::1], i8)", f"{__name__}.drive", allocates=False, day=begin_day, **_CALLS
)
"""``drive(table, state, constants, columns, moved, starts, rows)``."""
