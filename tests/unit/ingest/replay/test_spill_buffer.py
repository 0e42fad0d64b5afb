"""What a replay holds comes back as it was, from memory and from its scratch file, by leaf and by rising id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.builders.platform_in_process import DAY, MIDNIGHT
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.replay.spill_buffer import SpillBuffer, grouped
from trading_platform.store.fs.layout import Leaf
from trading_platform.store.lake import merge_slices as slices
from trading_platform.store.ledger import SequenceKey

KEY = SequenceKey("binance", "BTC-USDT")
NEXT = "2024-08-09"
S = 10**9


def columns(ids: list[int]) -> TradeColumns:
    """Return trades of which everything follows from the id; from 100 on they are of the next day."""
    number = np.array(ids, np.int64)
    times = MIDNIGHT + (number - 100) * S
    zeros = np.zeros(len(ids), np.int8)
    return TradeColumns(number, times, times + 5, number + 0.5, number + 0.25, (number % 3 - 1).astype(np.int8), zeros)


def rows(groups: dict[Leaf, list[slices.Group]]) -> dict[tuple[str, int], list[int]]:
    """Return the ids of each day and epoch as a merge reads them: slice by slice, sorted within."""
    found: dict[tuple[str, int], list[int]] = {}
    for leaf, runs in groups.items():
        for table in slices.slices([], groups=runs, rows=3):
            for epoch, number, price in sorted(zip(*(table[name].to_pylist() for name in NAMES), strict=True)):
                assert price == number + 0.5
                found.setdefault((leaf.day, epoch), []).append(number)
    return found


NAMES = ("epoch", "trade_id", "price")
BATCHES = [columns([105, 98, 99, 101]), columns([90, 91, 92]), columns([103, 102]), columns([95])]
EXPECTED = {(DAY, 0): [90, 91, 92, 95, 98, 99], (NEXT, 0): [101, 102, 103, 105], (DAY, 1): [97], (NEXT, 1): [104]}


def fill(path: Path, limit: int, days: Callable[[str], bool] = lambda day: True) -> SpillBuffer:
    """Hold two epochs of a symbol."""
    held = SpillBuffer(path / "trades", days, limit=limit)
    for batch in BATCHES:
        held.add({KEY: batch})
    held.add({KEY._replace(epoch=1): columns([104, 97])})
    return held


@pytest.mark.parametrize("limit", [0, 5, 100], ids=["all in the file", "some in the file", "all in memory"])
def test_everything_comes_back_in_order(tmp_path: Path, limit: int) -> None:
    """However much fits into memory, each leaf's trades come by epoch and id, each once."""
    held = fill(tmp_path, limit)
    assert (tmp_path / "trades").exists() == (limit < 100)
    assert rows(held.groups()) == EXPECTED
    held.close()


def test_runs_are_read_by_another_process(tmp_path: Path) -> None:
    """What was spilled needs nothing but its list of runs; days that are not wanted are not in it."""
    held = fill(tmp_path, 100, lambda day: day == DAY)
    runs = held.spill()
    held.close()
    assert rows(grouped(runs)) == {name: ids for name, ids in EXPECTED.items() if name[0] == DAY}


def test_a_flipped_bit_in_the_scratch_file_is_noticed(tmp_path: Path) -> None:
    """Wherever a bit is flipped, the run that it lies in is refused."""
    held = fill(tmp_path, 0)
    runs = held.spill()
    held.close()
    good = (tmp_path / "trades").read_bytes()
    for at in range(0, len(good), 7):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        (tmp_path / "trades").write_bytes(bad)
        with pytest.raises(CorruptionError, match="what was read back"):
            rows(grouped(runs))
    (tmp_path / "trades").write_bytes(good)
    assert rows(grouped(runs)) == EXPECTED
