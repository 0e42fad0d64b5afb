"""The judge of a lake alone, whichever exchange it came from: does it hold what the exchange issued, and nothing else?

For an exchange whose ids prove completeness. The account of ids beside it is tests/support/judges/identity.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.judges.identity import Row, lake_rows

Key = tuple[str, int, int]
"""Symbol, epoch, id."""
NEXT_NS = 1_300
"""A finer time may lie so far beyond one that was cut to µs; and 300 ns before it, where it is a double's."""


def compare(
    data_dir: Path, venue: str, truth: Iterable[Mapping[str, Any]], *, excused: Collection[Key] = ()
) -> list[str]:
    """Return what is wrong with the ticks of a venue.

    Parameters
    ----------
    truth : what it issued; what lies before the first trade that is held of an epoch was never undertaken.
    excused : what may be missing.
    """
    issued = {(line["symbol"], line["epoch"], line["trade_id"]): line for line in truth}
    wrong, held = [], {}
    for symbol in sorted({symbol for symbol, _, _ in issued}):
        rows = {(symbol, row.epoch, row.trade_id): row for row in lake_rows(data_dir, symbol, venue)}
        first = {epoch: min(key[2] for key in rows if key[1] == epoch) for _, epoch, _ in rows}
        due = {key for key in issued if key[0] == symbol and key[2] >= first.get(key[1], key[2])}
        wrong += [f"missing: {key}" for key in sorted(due - rows.keys() - set(excused))]
        wrong += [f"never issued: {key}" for key in sorted(rows.keys() - issued.keys())]
        wrong += [f"{row} is not {issued[key]}" for key, row in rows.items() if not _agrees(row, issued.get(key))]
        held.update(rows)
    return wrong if held else [*wrong, "nothing is held"]


def _agrees(row: Row, line: Mapping[str, Any] | None) -> bool:
    if line is None:
        return True  # told by another line
    terms = row.price == float(line["price"]) and row.quantity == float(line["quantity"]) and row.side == line["side"]
    ahead = row.ts_event - line["ts_event"]
    return terms and (ahead == 0 or (row.ts_event % 1000 != 0 and -300 <= ahead < NEXT_NS))
