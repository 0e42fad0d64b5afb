"""The gates: does a frame make sense? One file a dataset, one rule a line, judged by pandera.

A gate is a function of the frame alone, `gate(table) -> Verdict`. Which columns a frame has is store/lake/schema.py;
who asks, and what follows from a no, is lake/publish.py and pipeline; statistics over time are Great Expectations'.
The roots hand `GATES` down; a dataset's gate is imported when it is first asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from trading_platform.domain.verdict import Gate, Verdict

if TYPE_CHECKING:
    import pyarrow as pa


def _gate(dataset: str) -> Gate:
    def gate(table: pa.Table) -> Verdict:
        verdict: Verdict = import_module(f"quality.schemas.{dataset}").gate(table)
        return verdict

    return gate


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "ticks": _gate("ticks"),
        "bars": _gate("bars"),
        "indicators": _gate("indicators"),
        "regimes": _gate("regimes"),
        "instruments": _gate("instruments"),
    }
)
"""Dataset to gate."""
