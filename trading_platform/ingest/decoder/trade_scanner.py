"""Read trades out of raw frames of one usual form, many at a time, to exact numbers. Pure: no I/O, no clock.

A venue declares the form its trade frames usually have, byte by byte (venues/trade_frame.py). A frame is taken only
if every byte of it is as declared, its numbers are exact in float64 (at most 15 significant digits) and its values
within the limits; for any other the venue's own decoder decides. So this may refuse what it does not know, but never
takes anything that the venue's decoder would take otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trading_platform.ingest.decoder.trade_buffer import TradeBuffer
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
from trading_platform.venues.trade_frame import TradeFrame

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

FIELDS = ("", "stream_symbol", "symbol", "id", "price", "quantity", "time", "buyer_is_maker", "integer", "bool")
"""What a place of the form holds, by the code the kernel knows it by; code 0 is a literal."""

FRAME, OFFSET, ROWS = 0, 1, 2
"""Places in `told`: which frame comes next, where it begins, how many rows there are."""

TENS = 10 ** np.arange(19, dtype=np.int64)
FLOAT_TENS = 10.0 ** np.arange(23)


class SymbolTable:
    """The symbols of a connection, found by the bytes of their name in lower case.

    Parameters
    ----------
    names : the venue's spellings; where two differ only in case, or one is longer in small letters, none is found.

    Examples
    --------
    >>> SymbolTable(["BTCUSDT", "ETHUSDT"]).names
    ('BTCUSDT', 'ETHUSDT')
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        exact, lower = [name.encode() for name in names], [name.lower().encode() for name in names]
        slots = 16
        while slots < 4 * len(names):
            slots *= 2
        self.slots = np.full(slots, -1, np.int64)
        self.starts = np.zeros(len(names) + 1, np.int64)
        # One table of places serves both: a name that has another length in small letters is in neither.
        fits = [len(a) == len(b) for a, b in zip(exact, lower, strict=True)]
        self.exact = np.frombuffer(b"".join(exact) + b"\0", np.uint8)
        pairs = zip(exact, lower, fits, strict=True)
        self.lower = np.frombuffer(b"".join(b if fit else a for a, b, fit in pairs) + b"\0", np.uint8)
        for number, name in enumerate(names):
            self.starts[number + 1] = self.starts[number] + len(exact[number])
            if name and fits[number] and lower.count(lower[number]) == 1:
                at = _hash(lower[number]) & (slots - 1)
                while self.slots[at] >= 0:
                    at = (at + 1) & (slots - 1)
                self.slots[at] = number


def _hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


class Scanner:
    """Reads frames of one form.

    Parameters
    ----------
    form : what the venue declares.
    earliest_ns : an earlier trade is left to the venue's decoder.
    ahead_ns : and so is one further ahead of its receive time.
    """

    def __init__(self, form: TradeFrame, earliest_ns: int, ahead_ns: int) -> None:
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
        self._earliest_ns, self._ahead_ns = earliest_ns, ahead_ns
        self._told = np.zeros(3, np.int64)
        self._number = np.zeros(1, np.float64)

    def scan(  # noqa: PLR0913  a packed record and the columns that it goes into
        self,
        body: bytes,
        table_at: int,
        count: int,
        at: tuple[int, int],
        ts_recv: int,
        symbols: SymbolTable,
        keys: Ints,
        newest: Ints,
        trades: TradeBuffer,
    ) -> tuple[int, int]:
        """Append the trades of frames from `at` on to `trades`, up to the first frame of another form.

        Parameters
        ----------
        body : has the lengths of `count` frames (u32) at `table_at`, and then the frames.
        at : number and place of the first frame.
        keys : for each symbol of the table, the number of its key in `trades`.
        newest : for each key number the greatest receive time so far; raised.

        Returns
        -------
        Number and place of the frame where it stopped.
        """
        key_of_row, columns, first = trades.reserve(count)
        told = self._told
        told[FRAME], told[OFFSET], told[ROWS] = *at, first
        scan_frames(
            np.frombuffer(body, np.uint8),
            table_at,
            count,
            told,
            self._program,
            self._literals,
            self._times,
            self._earliest_ns,
            min(ts_recv + self._ahead_ns, (1 << 63) - 1),
            symbols.slots,
            symbols.starts,
            symbols.lower,
            symbols.exact,
            keys,
            newest,
            ts_recv,
            TENS,
            FLOAT_TENS,
            self._number,
            key_of_row,
            columns.trade_id,
            columns.ts_event,
            columns.price,
            columns.quantity,
            columns.side,
        )
        trades.fill(int(told[ROWS]), ts_recv, "ws")
        return int(told[FRAME]), int(told[OFFSET])


@kernel(
    "void(const u1[::1], i8, i8, i8[::1], const i8[::1], const u1[::1], const i8[::1], i8, i8,"
    " const i8[::1], const i8[::1], const u1[::1], const u1[::1], const i8[::1], i8[::1], i8, const i8[::1],"
    " const f8[::1], f8[::1], i8[::1], i8[::1], i8[::1], f8[::1], f8[::1], i1[::1])",
    allocates=False,
)
def scan_frames(  # noqa: C901, PLR0912, PLR0913, PLR0915  one compiled loop over one form: a call costs time
    data: Bytes,
    table_at: int,
    count: int,
    told: Ints,
    program: Ints,
    literals: Bytes,
    times: Ints,
    earliest: int,
    latest: int,
    slots: Ints,
    starts: Ints,
    lower: Bytes,
    exact: Bytes,
    keys: Ints,
    newest: Ints,
    ts_recv: int,
    tens: Ints,
    float_tens: Floats,
    number: Floats,
    key_out: Ints,
    id_out: Ints,
    ts_out: Ints,
    price_out: Floats,
    quantity_out: Floats,
    side_out: Codes,
) -> None:
    """Take frames of the declared form into columns until one is not; see Scanner.scan."""
    frame = told[0]
    begin = told[1]
    row = told[2]
    parts = program.shape[0] // 3
    mask = slots.shape[0] - 1
    while frame < count:
        place = table_at + 4 * frame
        size = (
            int(data[place]) | (int(data[place + 1]) << 8) | (int(data[place + 2]) << 16) | (int(data[place + 3]) << 24)
        )
        end = begin + size
        if end > data.shape[0]:
            break
        at = begin
        good = True
        symbol = -1
        for part in range(parts):
            code = program[3 * part]
            if code == 0:
                first = program[3 * part + 1]
                length = program[3 * part + 2]
                if end - at < length:
                    good = False
                    break
                if not same_bytes(data, at, literals, first, length):
                    good = False
                    break
                at += length
            elif code == 1:
                # The name goes on to the first byte that no name has; the literal after it is checked next.
                value = 0
                stop = at
                while stop < end and data[np.uint64(stop)] != 64 and data[np.uint64(stop)] != 34:
                    value = (value * 31 + int(data[np.uint64(stop)])) & 0xFFFFFFFF
                    stop += 1
                slot = value & mask
                symbol = -1
                while slots[slot] >= 0:
                    candidate = slots[slot]
                    name = starts[candidate]
                    if starts[candidate + 1] - name == stop - at and same_bytes(data, at, lower, name, stop - at):
                        symbol = candidate
                        break
                    slot = (slot + 1) & mask
                if symbol < 0:
                    good = False
                    break
                at = stop
            elif code == 2:
                if symbol < 0:
                    good = False
                    break
                name = starts[symbol]
                length = starts[symbol + 1] - name
                if end - at < length:
                    good = False
                    break
                if not same_bytes(data, at, exact, name, length):
                    good = False
                    break
                at += length
            elif code == 4 or code == 5:  # noqa: PLR1714  (numba has no set of literals)
                stop = short_decimal(data, at, end, number, tens, float_tens)
                if stop < 0:
                    stop = read_decimal(data, at, end, number, tens, float_tens)
                if stop < 0 or number[0] >= 1e18:
                    good = False
                    break
                at = stop
                if code == 4:
                    price_out[row] = number[0]
                else:
                    quantity_out[row] = number[0]
            elif code == 7 or code == 9:  # noqa: PLR1714
                if end - at < 5:
                    good = False
                    break
                letters = half(data, at)
                yes = letters == np.uint64(0x65757274)  # "true"
                if not (yes | ((letters == np.uint64(0x736C6166)) & (data[np.uint64(at + 4)] == 101))):  # "false"
                    good = False
                    break
                if code == 7:
                    side_out[row] = 1 - 2 * int(yes)
                at += 5 - int(yes)
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
                # JSON has no leading zeros; 18 digits always fit.
                if stop == at or stop - at > 18 or (data[at] == 48 and stop - at > 1):
                    good = False
                    break
                at = stop
                if code == 3:
                    id_out[row] = value
                elif code == 6:
                    good = False
                    for unit in range(0, times.shape[0], 3):
                        if times[unit] <= value < times[unit + 1]:
                            ts_out[row] = value * times[unit + 2]
                            good = earliest <= ts_out[row] <= latest
                            break
                    if not good:
                        break
        if not good or at != end:
            break
        key = keys[symbol]
        key_out[row] = key
        newest[key] = max(newest[key], ts_recv)
        row += 1
        frame += 1
        begin = end
    told[0] = frame
    told[1] = begin
    told[2] = row
