"""Read trades out of the rows of a daily file, many at a time, to exact numbers. Pure: no I/O, no clock.

As trade_scanner.py does with frames: a row is taken only if every byte of it has the declared form, its numbers are
exact in float64 (at most 15 significant digits) and its values within the limits; any other is for the venue's own
`read_row`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.decoder.trade_scanner import FLOAT_TENS, TENS
from trading_platform.jit.digits import (
    before,
    eight_digits,
    half,
    others,
    read_decimal,
    same_bytes,
    short_decimal,
    some_digits,
    word,
)
from trading_platform.jit.kernel import kernel
from trading_platform.venues.archive import RowForm

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

FIELDS = ("", "id", "price", "quantity", "time", "buyer_is_maker", "number", "bool")
"""What a place of the form holds, by the code the kernel knows it by; code 0 is a literal."""

OFFSET, ROWS = 0, 1
"""Places in `told`: where the next row begins, how many rows were taken."""


class TimeLimits(NamedTuple):
    """Times (ns, both inclusive) outside of which a row is left to the venue's own reader."""

    earliest_ns: int
    latest_ns: int


class RowScanner:
    """Reads rows of one form."""

    def __init__(self, form: RowForm) -> None:
        program: list[int] = []
        literals = b""
        for part in form.parts:
            if isinstance(part, bytes):
                program += [0, len(literals), len(part)]
                literals += part
            else:
                program += [FIELDS.index(part), 0, 0]
        self._program = np.asarray(program, np.int64)
        self._literals = np.frombuffer(literals, np.uint8)
        self._times = np.asarray(form.times, np.int64).ravel()
        self._told = np.zeros(2, np.int64)
        self._number = np.zeros(1, np.float64)

    def scan(self, rows: bytes, at: int, limits: TimeLimits, columns: TradeColumns, row: int) -> tuple[int, int]:
        """Write the trades of rows from `at` on into `columns` from `row` on, up to the first row of another form.

        Receive times and sources are not written.

        Returns
        -------
        Where the next row begins, and the first free row.
        """
        told = self._told
        told[OFFSET], told[ROWS] = at, row
        scan_rows(
            np.frombuffer(rows, np.uint8),
            told,
            self._program,
            self._literals,
            self._times,
            *limits,
            TENS,
            FLOAT_TENS,
            self._number,
            columns.trade_id,
            columns.ts_event,
            columns.price,
            columns.quantity,
            columns.side,
        )
        return int(told[OFFSET]), int(told[ROWS])


@kernel(
    "void(const u1[::1], i8[::1], const i8[::1], const u1[::1], const i8[::1], i8, i8, const i8[::1], const f8[::1],"
    " f8[::1], i8[::1], i8[::1], f8[::1], f8[::1], i1[::1])",
    allocates=False,
)
def scan_rows(  # noqa: C901, PLR0912, PLR0913, PLR0915  one compiled loop over one form: a call costs time
    data: Bytes,
    told: Ints,
    program: Ints,
    literals: Bytes,
    times: Ints,
    earliest: int,
    latest: int,
    tens: Ints,
    float_tens: Floats,
    number: Floats,
    id_out: Ints,
    ts_out: Ints,
    price_out: Floats,
    quantity_out: Floats,
    side_out: Codes,
) -> None:
    """Take rows of the declared form into columns until one is not; see RowScanner.scan."""
    begin = told[0]
    row = told[1]
    parts = program.shape[0] // 3
    end = data.shape[0]
    while begin < end and row < id_out.shape[0]:
        at = begin
        good = True
        for part in range(parts):
            code = program[3 * part]
            if code == 0:
                length = program[3 * part + 2]
                if end - at < length:
                    good = False
                    break
                if not same_bytes(data, at, literals, program[3 * part + 1], length):
                    good = False
                    break
                at += length
            elif code == 2 or code == 3:  # noqa: PLR1714  (numba has no set of literals)
                stop = short_decimal(data, at, end, number, tens, float_tens)
                if stop < 0:
                    stop = read_decimal(data, at, end, number, tens, float_tens)
                if stop < 0 or number[0] >= 1e18:
                    good = False
                    break
                at = stop
                if code == 2:
                    price_out[row] = number[0]
                else:
                    quantity_out[row] = number[0]
            elif code == 5 or code == 7:  # noqa: PLR1714
                if end - at < 5:
                    good = False
                    break
                letters = half(data, at) | np.uint64(0x20)  # the first letter may be a capital
                yes = letters == np.uint64(0x65757274)  # "true"
                if not (yes | ((letters == np.uint64(0x736C6166)) & (data[np.uint64(at + 4)] == 101))):  # "false"
                    good = False
                    break
                if code == 5:
                    side_out[row] = 1 - 2 * int(yes)
                at += 5 - int(yes)
            elif code == 6:
                stop = at
                while stop < end and 48 <= data[np.uint64(stop)] <= 57:
                    stop += 1
                if stop == at:
                    good = False
                    break
                if stop < end and data[np.uint64(stop)] == 46:
                    point = stop
                    stop += 1
                    while stop < end and 48 <= data[np.uint64(stop)] <= 57:
                        stop += 1
                    if stop == point + 1:
                        good = False
                        break
                at = stop
            else:
                value = 0
                stop = at
                while stop - at < 16 and end - stop >= 8:
                    eight = word(data, stop)
                    marks = others(eight)
                    if marks != np.uint64(0):
                        taken = before(marks)
                        if taken > 0:
                            value = value * tens[taken] + some_digits(eight, taken)
                            stop += taken
                        break
                    value = value * 100_000_000 + eight_digits(eight)
                    stop += 8
                while stop < end and 48 <= data[np.uint64(stop)] <= 57 and stop - at < 19:
                    value = value * 10 + (int(data[np.uint64(stop)]) - 48)
                    stop += 1
                # 18 digits always fit.
                if stop == at or stop - at > 18:
                    good = False
                    break
                at = stop
                if code == 1:
                    id_out[row] = value
                else:
                    good = False
                    for unit in range(0, times.shape[0], 3):
                        if times[unit] <= value < times[unit + 1]:
                            ts_out[row] = value * times[unit + 2]
                            good = earliest <= ts_out[row] <= latest
                            break
                    if not good:
                        break
        if not good:
            break
        row += 1
        begin = at
    told[0] = begin
    told[1] = row
