"""Read what a checkpoint of Great Expectations said of a day. It is written by quality/expectations/kept.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trading_platform.store.fs.layout import DataDir


class KeptVerdicts(NamedTuple):
    """What a checkpoint said of one symbol's day: how many numbers it judged, what is not as usual, what it skipped."""

    venue: str
    symbol: str
    judged: int
    unusual: tuple[str, ...]
    skipped: int


def verdicts_of(data: DataDir, day: str) -> list[KeptVerdicts] | None:
    """Return what a checkpoint said of a day, None if none has judged it, or its file cannot be read."""
    try:
        symbols = json.loads(judged_path(data, day).read_bytes())["symbols"]
        return [_verdicts(each) for each in symbols]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _verdicts(kept: Mapping[str, Any]) -> KeptVerdicts:
    unusual = [
        f"{each['statistic']} is {each['value']:.6g}, usually {each['low']:.6g} to {each['high']:.6g}"
        for each in kept["judged"]
        if not each["passed"]
    ]
    return KeptVerdicts(kept["venue"], kept["symbol"], len(kept["judged"]), tuple(unusual), len(kept["skipped"]))


def judged_path(data: DataDir, day: str) -> Path:
    """Return where the verdicts of a day are kept."""
    return data.statistics / "judged" / f"{day}.json"
