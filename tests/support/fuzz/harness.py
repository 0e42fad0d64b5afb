"""Shared parts of the fuzzing tests: damage bytes in bulk, and measure what reading them costs a process.

Where to cut and what to change is drawn with numpy, many at a time; a seed gives the same bytes everywhere.
"""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_GROWTH = 64 << 20
BIG = b"9" * 5000
DEEP = b"[" * 100_000

TOKENS: tuple[bytes, ...] = (
    *(b"NaN Infinity -Infinity 1e400 -0 0 -1 1E+999999999 1_000 0x10 1.5 1e2 1. .5 01 +1 true false null".split()),
    *(b'"NaN" "Infinity" "1e400" "-0" "-1" "0" "0.0" "1_000" "1e18" "1e19" "1E-18" "1." ".5" "+1" "" "1e5"'.split()),
    b'" 1"', b'"1 "', b'"1 2"',
    *('"１２３" "٣" "1\u200b" "１"'.encode().split()),
    *(b'"1\\u0000" "\\u0031" "\\ud800" "\\udc00\\ud800" "9999999999999999999999999" "123456789.123456789"'.split()),
    *(b"9223372036854775807 9223372036854775808 18446744073709551616 -9223372036854775808 170".split()),
    *(b"1451606399999 1451606400000 4102444799999 4102444800000 1723161255 1723161255342123".split()),
    *(b'{} [] [1] {"a":1} 1.0 1723161255342.0 tru nul "x'.split()),
    b"\xef\xbb\xbf", b"\0", b'"\xff"', b'"\xed\xa0\x80"', b'"\x01"', b"", b" ", b"\t1\n", b"[" * 60 + b"]" * 60,
)  # fmt: skip
"""What a field may be given in place of its value."""
PIECES: tuple[bytes, ...] = (
    *(b'{ } [ ] : , " \\ "" null NaN 0 9 . - e E \\u0074 \\u0000 /**/ //'.split()),
    *(b'"t":1, "e":"trade", "E":1,"E":2, "x":{"t":1,"t":2}, "p":"1", "id":7, "price":"3", "m":true,'.split()),
    *('"é":1, ﻿'.encode().split()),
    b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\r\n", b"\xef\xbb\xbf", b" " * 40,
)  # fmt: skip
"""What may be put in anywhere."""


class Mutator:
    """Makes wrong inputs of right ones.

    Parameters
    ----------
    corpus : right inputs.
    fields : for each of them where its values lie, as (first, end).
    tokens : what a value may become.
    """

    def __init__(
        self,
        corpus: Sequence[bytes],
        fields: Callable[[bytes], list[tuple[int, int]]],
        seed: int,
        tokens: Sequence[bytes] = TOKENS,
    ) -> None:
        self._corpus, self._tokens = list(corpus), tokens
        self._fields = [fields(whole) or [(0, len(whole))] for whole in corpus]
        self._random = np.random.default_rng(seed)

    def make(self, count: int) -> list[bytes]:  # noqa: C901  a list of mutations
        """Return so many inputs, hardly one of them as it should be."""
        draw = self._random.integers
        which = draw(0, len(self._corpus), count).tolist()
        kinds = draw(0, 100, count).tolist()
        places = self._random.random((count, 4)).tolist()
        junk = draw(0, 256, (count, 4), np.uint8)
        steps = draw(1, 13, count).tolist()
        raw = junk.tobytes()
        made = []
        for n, (number, kind, place, step) in enumerate(zip(which, kinds, places, steps, strict=True)):
            whole = self._corpus[number]
            size = len(whole)
            at = int(place[0] * size)
            if kind < 30:  # bytes changed, one to three
                wrong = bytearray(whole)
                for k in range(1 + kind % 3):
                    wrong[int(place[k] * size)] = raw[4 * n + k] if kind < 15 else 48 + raw[4 * n + k] % 10
                made.append(bytes(wrong))
            elif kind < 40:  # one bit
                made.append(whole[:at] + bytes([whole[at] ^ 1 << raw[4 * n] % 8]) + whole[at + 1 :])
            elif kind < 50:
                made.append(whole[:at] + whole[at + step :])
            elif kind < 58:
                made.append(whole[:at] + PIECES[int(place[1] * len(PIECES))] + whole[at:])
            elif kind < 62:
                made.append(whole[:at] + raw[4 * n : 4 * n + 1 + step % 4] + whole[at:])
            elif kind < 68:
                made.append(whole[:at])
            elif kind < 74:  # two spliced
                other = self._corpus[int(place[1] * len(self._corpus))]
                made.append(whole[:at] + other[int(place[2] * len(other)) :])
            elif kind < 78:  # a stretch again
                made.append(whole[: at + step * 4] + whole[at:])
            else:
                first, end = self._fields[number][int(place[1] * len(self._fields[number]))]
                made.append(whole[:first] + self._value(whole[first:end], kind, place, step) + whole[end:])
        return made

    def _value(self, value: bytes, kind: int, place: list[float], step: int) -> bytes:
        if kind < 95:
            return self._tokens[int(place[2] * len(self._tokens))]
        if kind < 97:  # one digit more or less
            at = int(place[2] * len(value))
            return value[:at] + b"0123456789.-e"[step : step + 1] * (step % 3) + value[at + 1 :]
        if kind < 99 or place[3] > 0.01:
            return value + value[1:]
        return (BIG, b'"%b"' % BIG, DEEP, b'{"a":' * 3000)[step % 4]


def values(whole: bytes) -> list[tuple[int, int]]:
    """Return where the values of flat JSON lie: behind each colon, up to the next comma or bracket."""
    found = []
    for at in (n for n, byte in enumerate(whole) if byte == ord(":")):
        if whole[at + 1 : at + 2] in {b"{", b"["}:
            continue
        end = at + 1
        while end < len(whole) and whole[end] not in b",}]":
            end += 1
        found.append((at + 1, end))
    return found


def resident_bytes() -> int:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Growth:
    """How far resident memory rose above where it stood at the beginning; asked once a batch."""

    def __init__(self) -> None:
        gc.collect()
        self._first = resident_bytes()
        self.most = 0

    def look(self) -> None:
        """Take a reading."""
        self.most = max(self.most, resident_bytes() - self._first)


def cpu_s() -> float:
    """Return the CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def add(total: dict[str, Any], found: dict[str, Any]) -> None:
    """Add counts; what begins with "most" is a greatest."""
    for name, value in found.items():
        total[name] = max(total.get(name, 0), value) if name.startswith("most") else total.get(name, 0) + value
