"""Whoever decodes first: a venue whose ids start again has the same epochs, and in the end holds the same trades."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings, strategies as st

from tests.unit.completeness.test_epochs import Lanes, frames, page
from tests.unit.ingest.decoder.test_decoder import CONNECTED
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log.writer import Record

OLD, NEW = range(1000, 1020), {1: range(1, 21), 1005: range(1005, 1025), 10**12: range(10**12, 10**12 + 20)}
BEGINS_MS, RESET_AT = 100, 1000


def stream(new: range, lost: set[int]) -> list[Record]:
    """Return the stream's records, a trade each, but for the lost ones; a numbering's first two always come."""
    return [
        frames(ids[place : place + 1], ms + place, at + 10 * place)
        for ids, ms, at in ((OLD, 0, 100), (new, BEGINS_MS, RESET_AT))
        for place in range(len(ids))
        if place < 2 or place not in lost
    ]


def answers(new: range, asked: list[tuple[bool, int, int]]) -> list[Record]:
    """Return pages (of the new numbering or not, from which place on, when received), each of four trades."""
    found = []
    for is_new, place, at in asked:
        ids, ms = (new, BEGINS_MS) if is_new else (OLD, 0)
        late = RESET_AT + 500 + at if is_new else 400 + at
        found.append(page(ids[place : place + 4], ms + place, late, epoch=int(is_new)))
    return sorted(found, key=lambda record: record.ts_recv)


def settle(streamed: list[Record], answered: list[Record], choices: list[bool], new: range) -> tuple[object, ...]:
    """Decode two lanes, a little at a time, in this order; fetch what is open then; return the account."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(DataDir(Path(folder)).create())
        lanes = Lanes(ledger)
        lanes.take(CONNECTED, *streamed[:5])
        left, pages = streamed[5:], list(answered)
        for choice in choices:
            (first, step), (second, other) = ((pages, 1), (left, 5)) if choice else ((left, 5), (pages, 1))
            queue, count = (first, step) if first else (second, other)
            if queue:
                lanes.take(*queue[:count])
                del queue[:count]
        for rest in (left, pages):
            if rest:
                lanes.take(*rest)
        lanes.take(page(OLD, 0, 10**6), page(new, BEGINS_MS, 10**6 + 1, epoch=1))
        rows = [(row.epoch, row.from_id, row.head) for row in ledger.sequences()]
        account = (lanes.stored(), rows, ledger.resets("binance", "BTC-USDT"), ledger.gaps())
        ledger.close()
    return account


PLACES = st.sets(st.integers(2, 19), max_size=8)
PAGES = st.lists(st.tuples(st.booleans(), st.integers(0, 16), st.integers(0, 90)), max_size=4)


@settings(max_examples=10)
@given(st.sampled_from(sorted(NEW)), PLACES, PAGES, st.lists(st.booleans(), max_size=24))
def test_any_interleaving_has_the_same_epochs(
    first_id: int, lost: set[int], asked: list[tuple[bool, int, int]], choices: list[bool]
) -> None:
    """Answers decoded before or after the stream showed the reset: the same resets, sequences, and trades held."""
    new = NEW[first_id]
    streamed, answered = stream(new, lost), answers(new, asked)
    told = settle(streamed, answered, choices, new)
    assert told == settle(streamed, answered, [], new)
    assert told[1] == [(0, 1000, 1019), (1, first_id, first_id + 19)]
    assert told[3] == []
