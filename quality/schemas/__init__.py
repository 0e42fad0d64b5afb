"""The gates: rules that each row of a dataset must satisfy before it is published. One file a dataset, one rule a line.

A gate is a function of the frame alone, `gate(table) -> Verdict`, and uses pandera. Columns and types are
store/lake/schema.py; calling a gate and acting on a refusal is store/lake/publish.py and pipeline/. The roots
(cli.py, definitions.py) pass `GATES` down; a dataset's gate is imported at its first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.verdict import Gate, Verdict

if TYPE_CHECKING:
    import pyarrow as pa


def _gate(dataset: str) -> Gate:
    def gate(table: pa.Table) -> Verdict:
        verdict: Verdict = import_module(f"quality.schemas.{dataset}").gate(table)
        return verdict

    return gate


GATES: Mapping[str, Gate] = MappingProxyType({name: _gate(name) for name in DATASETS})
"""Dataset to gate."""
