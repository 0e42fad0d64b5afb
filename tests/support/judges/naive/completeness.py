"""Each day's completeness the plain way: every day looks at every gap. The twin of completeness/day_status.py."""

from __future__ import annotations

import datetime as dt
from typing import Any

Range = tuple[int, int]
_WORST = ("recording", "repairing", "incomplete", "unproven", "reconciled", "complete")


def day_rows(
    days: list[tuple[str, int, int, int]],
    missing: dict[str, list[Range]],
    void: list[Range],
    tail: str,
    today: str,
    *,
    ended: bool,
) -> list[dict[str, Any]]:
    """Return a row for each day that holds a trade or is touched by a gap.

    `days`: (day, first id, last id, stored), ascending; `missing`: ranges by kind, ``open`` and ``unrecoverable``.
    """
    if not days:
        return []
    spans = [(kind, *_span(days, gap), gap) for kind in ("open", "unrecoverable") for gap in missing[kind]]
    names = {day for day, *_ in days}
    for _, first, last, _ in spans:
        names.update(_between(first, last))
    held = {day: row for day, *row in days}
    found = []
    for day in sorted(names):
        counts = {"open": 0, "unrecoverable": 0}
        left, right = any(row[0] < day for row in days), any(row[0] > day for row in days)
        for kind, first, last, gap in spans:
            if first <= day <= last:
                counts[kind] += gap[1] - gap[0] + 1
                left, right = left and first == day, right and last == day
        low, high, stored = held.get(day, (None, None, 0))
        voids = 0 if low is None else sum(max(0, min(b, high) - max(a, low) + 1) for a, b in void)
        newest = day == days[-1][0]
        ends = tail if newest else None
        if day >= today or ends == "live":
            state = "recording"
        elif counts["open"] or ends == "open":
            state = "repairing"
        elif counts["unrecoverable"] or not left or (newest and ended):
            state = "incomplete"
        else:
            state = "complete" if right else "unproven"
        expected = high - low + 1 if low is not None and left and right else None
        row = {"day": day, "first_id": low, "last_id": high, "expected": expected, "stored": stored, "void": voids}
        found.append({**row, **counts, "state": state})
    return found


def _span(days: list[tuple[str, int, int, int]], gap: Range) -> tuple[str, str]:
    before = [day for day, first, _, _ in days if first < gap[0]]
    after = [day for day, _, last, _ in days if last > gap[1]]
    if not before:
        return after[0], after[0]
    return before[-1], after[0] if after else before[-1]


def _between(first: str, last: str) -> list[str]:
    begin, end = dt.date.fromisoformat(first).toordinal(), dt.date.fromisoformat(last).toordinal()
    return [dt.date.fromordinal(number).isoformat() for number in range(begin, end + 1)]


def together(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one row for a day of several numberings, oldest first."""
    if len(rows) == 1:
        return rows[0]
    states = {row["state"] for row in rows} | {"incomplete"}
    last_ids = [row["last_id"] for row in rows if row["last_id"] is not None]
    sums = {name: sum(row[name] for row in rows) for name in ("stored", "void", "open", "unrecoverable")}
    return {
        **rows[0],
        "last_id": last_ids[-1] if last_ids else None,
        "expected": None,
        **sums,
        "state": next(state for state in _WORST if state in states),
    }


def runs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join consecutive days of equal state."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if not found or found[-1]["state"] != row["state"]:
            found.append({"from": row["day"], "days": 0, "state": row["state"], "stored": 0, "expected": 0})
        run = found[-1]
        run |= {"to": row["day"], "days": run["days"] + 1, "stored": run["stored"] + row["stored"]}
        known = run["expected"] is not None and row["expected"] is not None
        run["expected"] = run["expected"] + row["expected"] if known else None
    return found
