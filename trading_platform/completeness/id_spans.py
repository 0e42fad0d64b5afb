"""Id ranges and days of many sequences as columnar arrays. Reading them from the ledger is store/ledger/snapshot.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading_platform.domain.id_ranges import Range

Int64 = npt.NDArray[np.int64]


class IdSpans(NamedTuple):
    """Closed id ranges by sequence, ascending: those of sequence `n` are rows ``[at[n], at[n + 1])``."""

    at: Int64
    first: Int64
    last: Int64

    @classmethod
    def of(cls, sequences: int, sequence: Int64, first: Int64, last: Int64) -> IdSpans:
        """Make spans of rows ordered by sequence, then first id."""
        return cls(np.searchsorted(sequence, np.arange(sequences + 1)).astype(np.int64), first, last)

    def sequence(self) -> Int64:
        """Return the sequence of each range."""
        return np.repeat(np.arange(len(self.at) - 1), np.diff(self.at))

    def total(self) -> Int64:
        """Return how many ids each sequence has in these ranges."""
        sums = np.concatenate(([0], np.cumsum(self.last - self.first + 1)))
        return sums[self.at[1:]] - sums[self.at[:-1]]

    def counts(self) -> Int64:
        """Return how many ranges each sequence has."""
        return np.diff(self.at)

    def ranges(self, number: int) -> list[Range]:
        """Return one sequence's ranges."""
        mine = slice(int(self.at[number]), int(self.at[number + 1]))
        return list(zip(self.first[mine].tolist(), self.last[mine].tolist(), strict=True))


class Days(NamedTuple):
    """The days that hold trades, by sequence and day; `at` as in `IdSpans`, `ordinal` is `date.toordinal`."""

    at: Int64
    ordinal: Int64
    first: Int64
    last: Int64
    stored: Int64

    def sequence(self) -> Int64:
        """Return the sequence of each day."""
        return np.repeat(np.arange(len(self.at) - 1), np.diff(self.at))
