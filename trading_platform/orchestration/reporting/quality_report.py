"""Show a quality report in Dagster: a link to it, its scores as numbers to plot, and what needs attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

_SHOWN = 20


def metadata(day: str, path: Path, scores: Mapping[str, float | None], notes: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a day's report.

    Parameters
    ----------
    scores : by symbol, the lowest first; None where no part is known.
    notes : what a person should look at, the worst first.
    """
    known = {name: value for name, value in scores.items() if value is not None}
    found: dict[str, Any] = {
        "report": dg.MetadataValue.md(f"[Open the report of {day}](/platform/report/{day})"),
        "dagster/uri": path.as_uri(),
        "things to look at": len(notes),
    }
    if known:
        found["lowest score"] = float(min(known.values()))
    if notes:
        more = [f"- and {len(notes) - _SHOWN} more"] if len(notes) > _SHOWN else []
        found["to look at"] = dg.MetadataValue.md("\n".join([*(f"- {note}" for note in notes[:_SHOWN]), *more]))
    return found | {f"score {name}": float(value) for name, value in list(known.items())[:_SHOWN]}
