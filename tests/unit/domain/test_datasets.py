"""The table of datasets: each line has its files, and each file its line."""

from __future__ import annotations

from pathlib import Path

from trading_platform.domain.datasets import COMPUTED, DATASETS, in_order, with_upstream
from trading_platform.store.fs.layout import Leaf

ROOT = Path(__file__).resolve().parents[3]


def modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}


def test_a_dataset_has_its_asset_its_gate_and_what_computes_it() -> None:
    """The table and the three folders name the same datasets; what is recorded from a channel is not computed."""
    assert modules("assets") - {"warehouse", "report", "statistics"} == set(DATASETS)
    assert modules("quality/schemas") - {"rules"} == set(DATASETS)
    recorded = {name for name, dataset in DATASETS.items() if dataset.recorded}
    assert modules("trading_platform/pipeline/datasets") - {"table"} == set(DATASETS) - recorded


def test_inputs_come_before_what_is_computed_from_them() -> None:
    """The order of the table is an order to refresh in."""
    names = list(DATASETS)
    for name in COMPUTED:
        upstream = DATASETS[name].upstream
        assert upstream is not None and names.index(upstream) < names.index(name)
    assert [dataset.name for dataset in in_order(reversed(names))] == names
    assert with_upstream(["regimes", "ticks"]) == ["bars", "regimes"]


def test_every_dataset_has_its_place_in_the_lake() -> None:
    """A leaf's path follows from the table's keys and is read back from them."""
    values = {"timeframe": "1m", "model": "gaussian_hmm"}
    for name, dataset in DATASETS.items():
        wanted = {key: value for key, value in values.items() if key in dataset.keys}
        leaf = Leaf(name, "binance", "BTC-USDT" if dataset.by_symbol else "", "2024-08-08", **wanted)
        assert [part.split("=")[0] for part in leaf.path.parts[1:-1]] == list(dataset.keys)
        assert Leaf.from_path(leaf.path) == leaf
