"""Negative controls of test_store_machine.py: faults planted in the store, each of which the same machine finds."""

from __future__ import annotations

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.test_store_machine import BUDGET, StoreMachine
from trading_platform.domain.errors import PlatformError
from trading_platform.ingest.processor.processor import Processor
from trading_platform.store.lake import merge, merge_writer as merge_file, publish as lake
from trading_platform.store.log import writer as segment_log
from trading_platform.store.log.recovery import recover_segments


def parts_go_before_the_new_file_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    write_merged = merge_file.write_merged

    def hasty(fresh, copies, sources, *args, **more):
        sources = list(sources)
        merged = write_merged(fresh, copies, sources, *args, **more)
        for source in sources:
            if source.origin == merge.NEW:
                source.path.unlink()
        return merged

    monkeypatch.setattr(merge_file, "write_merged", hasty)


def staged_is_said_before_it_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(self: Processor) -> None:
        self._staged = self._reader.position
        self._ledger.mark_staged(self._lane, self._staged, self._decoder.context())
        self._sink.flush()

    monkeypatch.setattr(Processor, "stage", hasty)


class _NeverSynced:
    """Any disk whose files are not synced."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str):
        if name == "sync":
            return lambda: None
        if name == "open":
            return lambda path, mode: _NeverSynced(self._inner.open(path, mode))  # type: ignore[attr-defined]
        return getattr(self._inner, name)


def an_unproven_tail_counts_before_it_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        segment_log, "recover_segments", lambda lane, mark, disk: recover_segments(lane, mark, _NeverSynced(disk))
    )


def copies_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(copies):
        rows = copies.drop_columns([merge.ORIGIN]).sort_by([("epoch", "ascending"), ("trade_id", "ascending")])
        return merge.Merged(rows, rows.slice(0, 0), [])

    monkeypatch.setattr(merge, "merge", all_of_them)


def a_file_is_renamed_before_it_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "sync_file", lambda path, disk: None)


PLANTED = {
    parts_go_before_the_new_file_is_there: 0,
    staged_is_said_before_it_is_true: 3,
    an_unproven_tail_counts_before_it_is_synced: 2,
    copies_are_not_merged: 0,
    a_file_is_renamed_before_it_is_synced: 0,
}
"""Each with a seed that finds it early."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("plant", "number"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED])
def test_the_machine_finds(plant, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hundred worlds the planted fault shows as lost, doubled, damaged or unaccounted trades."""
    plant(monkeypatch)
    machine = seed(number)(type("Planted", (StoreMachine,), {}))
    with pytest.raises((AssertionError, PlatformError)):
        run_state_machine_as_test(machine, settings=settings(BUDGET, max_examples=100))
