"""Write what was merged into one file, slice by slice, judged as it goes by.

How copies become rows is store/lake/merge.py, where they come from store/lake/merge_slices.py; what becomes of the file
store/lake/publish.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.id_ranges import Range
from trading_platform.domain.verdict import Failure, Gate, Verdict
from trading_platform.store.lake import merge, merge_slices as slices, parquet, schema as shapes
from trading_platform.store.used_up import UsedUp, without

_SPANS = 8


class Merge(NamedTuple):
    """What merging and writing gave.

    Attributes
    ----------
    ids : the least and the greatest, None without any.
    new : spans that hold every id of a copy that was not published yet.
    remembered : how many copies a later merge may need.
    """

    written: parquet.Written
    verdict: Verdict
    ids: tuple[int | None, int | None]
    new: list[Range]
    disputes: list[merge.Dispute]
    remembered: int


def write_merged(
    fresh: Path,
    copies: Path,
    sources: Sequence[slices.Source],
    gate: Gate,
    groups: Sequence[slices.Group] = (),
    *,
    used_up: UsedUp = MappingProxyType({}),
) -> Merge:
    """Write the merged rows to `fresh`, the copies to remember to `copies`, slice by slice.

    Parameters
    ----------
    used_up : ids that hold no trade, whatever was served for them; neither rows nor copies of theirs are kept.
    """
    verdict, disputes, ids, new = Verdict(), [], _Ids(), list[Range]()
    copies.unlink(missing_ok=True)  # a crash may have left some, and they are not written if there are none
    with (
        parquet.refusal(fresh),
        parquet.RowWriter(fresh, shapes.TICKS) as rows,
        parquet.RowWriter(copies, shapes.TICKS, hashed=False) as remembered,
    ):
        for part in slices.slices(sources, groups=groups):
            trades = without(part, used_up)
            if not trades.num_rows:
                continue
            merged = merge.merge(trades)
            verdict = _join(verdict, gate(merged.rows))
            rows.add(merged.rows)
            remembered.add(merged.remembered)
            ids.see(merged.rows)
            new += spans(trades)
            disputes += merged.disputes
        if remembered.rows:
            remembered.finish()
        return Merge(rows.finish(), verdict, (ids.least, ids.greatest), new, disputes, remembered.rows)


def spans(copies: pa.Table) -> list[Range]:
    """Return a few spans of ids that hold all of the copies that are new, the widest stretches without one left out.

    >>> ids = pa.array([1, 2, 3, 900, 901])
    >>> spans(merge.mark(pa.table({"trade_id": ids}), merge.NEW))
    [(1, 3), (900, 901)]
    """
    if not copies.num_rows or copies.column("trade_id").null_count:
        return []
    ids = np.sort(copies.column("trade_id").to_numpy()[copies.column(merge.ORIGIN).to_numpy() == merge.NEW])
    if not len(ids):
        return []
    apart = np.diff(ids)
    cuts = np.flatnonzero(apart > 1)
    if len(cuts) >= _SPANS:
        cuts = np.sort(cuts[np.argsort(apart[cuts], kind="stable")[-_SPANS + 1 :]])
    first, last = ids[np.concatenate(([0], cuts + 1))], ids[np.concatenate((cuts, [len(ids) - 1]))]
    return list(zip(first.tolist(), last.tolist(), strict=True))


class _Ids:
    """The least and the greatest id of what went by, and whether it went by in order."""

    least: int | None = None
    greatest: int | None = None
    _key: tuple[int, int] | None = None

    def see(self, rows: pa.Table) -> None:
        """Look at the next merged slice.

        Raises
        ------
        CorruptionError : if it does not lie behind the one before.
        """
        ids, epochs = rows.column("trade_id"), rows.column("epoch")
        first, last = ids[0].as_py(), ids[-1].as_py()
        if self._key is not None and (first is None or self._key >= (epochs[0].as_py(), first)):
            # Slices are cut by the row groups' statistics, which no checksum protects.
            raise CorruptionError("a staged part's footer tells wrong ids")
        self._key = (epochs[-1].as_py(), -1 if last is None else last)
        if ids.null_count:
            return
        if epochs[0] != epochs[-1]:  # ids start again within the slice
            first, last = pc.min_max(ids).as_py().values()
        self.least = first if self.least is None else min(self.least, first)
        self.greatest = last if self.greatest is None else max(self.greatest, last)


def _join(verdict: Verdict, further: Verdict) -> Verdict:
    rules: dict[str, Failure] = {}
    for failure in (*verdict.failures, *further.failures):
        seen = rules.get(failure.check)
        rules[failure.check] = failure if seen is None else seen._replace(rows=seen.rows + failure.rows)
    return Verdict(tuple(rules.values()))
