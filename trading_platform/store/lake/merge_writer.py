"""Write what was merged into one file, slice by slice, judged as it goes by.

How copies become rows is store/lake/merge.py, where they come from store/lake/merge_slices.py; what becomes of the file
store/lake/publish.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import Failure, Gate, Verdict
from trading_platform.store.lake import merge, merge_slices as slices, parquet, schema as shapes
from trading_platform.store.used_up import UsedUp, without


class Merge(NamedTuple):
    """What merging and writing gave."""

    written: parquet.Written
    verdict: Verdict
    ids: tuple[int | None, int | None]
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
    verdict, disputes, ids = Verdict(), [], _Ids()
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
            disputes += merged.disputes
        if remembered.rows:
            remembered.finish()
        return Merge(rows.finish(), verdict, (ids.first, ids.last), disputes, remembered.rows)


class _Ids:
    """The first and the last id of what went by, and whether it went by in order."""

    first: int | None = None
    last: int | None = None
    _key: tuple[int, int] | None = None

    def see(self, rows: pa.Table) -> None:
        """Look at the next merged slice.

        Raises
        ------
        CorruptionError : if it does not lie behind the one before.
        """
        ids, epochs = rows.column("trade_id"), rows.column("epoch")
        first, self.last = ids[0].as_py(), ids[-1].as_py()
        if self._key is None:
            self.first = first
        elif first is None or self._key >= (epochs[0].as_py(), first):
            # Slices are cut by the row groups' statistics, which no checksum protects.
            raise CorruptionError("a staged part's footer tells wrong ids")
        self._key = (epochs[-1].as_py(), -1 if self.last is None else self.last)


def _join(verdict: Verdict, further: Verdict) -> Verdict:
    rules: dict[str, Failure] = {}
    for failure in (*verdict.failures, *further.failures):
        seen = rules.get(failure.check)
        rules[failure.check] = failure if seen is None else seen._replace(rows=seen.rows + failure.rows)
    return Verdict(tuple(rules.values()))
