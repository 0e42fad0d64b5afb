"""A state is taken only if it is there as it was written."""

from __future__ import annotations

from pathlib import Path

from trading_platform.completeness.records import LeafRecord
from trading_platform.pipeline.state import end_states as states
from trading_platform.pipeline.state.end_states import EndState
from trading_platform.store.fs.layout import DataDir, Leaf

LEAF = Leaf("indicators", "binance", "BTC-USDT", "2024-08-08", "1m")


def record(end_state: str | None, input_hash: str | None = "abc") -> LeafRecord:
    return LeafRecord(1, "content", "file", input_hash, end_state)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """A state comes back byte for byte under the name its leaf records."""
    data = DataDir(tmp_path)
    states.save(data, [EndState(LEAF, "abc", b"state")])
    assert states.load(data, LEAF, record(states.digest(b"state"))) == b"state"
    assert (tmp_path / "state" / LEAF.directory / "abc.state").read_bytes() == b"state"


def test_what_is_not_as_it_was_is_not_taken(tmp_path: Path) -> None:
    """A missing, torn or foreign state is none."""
    data = DataDir(tmp_path)
    name = states.digest(b"state")
    assert states.load(data, LEAF, record(name)) is None
    states.save(data, [EndState(LEAF, "abc", b"state")])
    assert states.load(data, LEAF, record(states.digest(b"other"))) is None
    assert states.load(data, LEAF, record(name, "abd")) is None
    assert states.load(data, LEAF, record(None)) is None
    (states.folder(data, LEAF) / "abc.state").write_bytes(b"sta")
    assert states.load(data, LEAF, record(name)) is None
    states.save(data, [EndState(LEAF, "abc", b"state")])
    assert states.load(data, LEAF, record(name)) == b"state"


def test_only_the_named_state_stays(tmp_path: Path) -> None:
    """Pruning removes the states of earlier computations, or all of them."""
    data = DataDir(tmp_path)
    states.save(data, [EndState(LEAF, name, b"state") for name in ("a", "b", "c")])
    states.prune(data, LEAF, "b")
    assert [path.name for path in states.folder(data, LEAF).iterdir()] == ["b.state"]
    states.prune(data, LEAF, None)
    assert not list(states.folder(data, LEAF).iterdir())
