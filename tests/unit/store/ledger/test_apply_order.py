"""Lanes have no order: whatever is told of a sequence, before it begins or after, ends in the same account."""

from __future__ import annotations

from itertools import permutations

import msgspec
import numpy as np
import pytest

from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.instrument import Instrument
from trading_platform.domain.position import Position
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Claim, Ledger, Seen, SequenceKey, TailEvent, tables as t

KEY = SequenceKey("binance", "BTC-USDT")
TOLD = {
    "trades": Seen(ids=np.array([5, 6, 9]), ts=np.array([1, 2, 3]), tails=[TailEvent("live", 10)]),
    "nobody listens": Seen(tails=[TailEvent("open", 30)]),
    "given up": Seen(lost=[Claim(3, 4, "test", 20)]),
    "used": Seen(witnessed=12),
    "promised": Seen(undertaken=4),
    "promised further on": Seen(undertaken=20),
}


def account(folder, names):
    """Apply these, a batch each, and return everything that the ledger then says."""
    ledger = Ledger.open(DataDir(folder).create())
    for at, name in enumerate(names):
        ledger.apply(Batch("live", Position(0, at), Position(0, at + 1), {KEY: TOLD[name]}), advance)
    state, row = ledger.state("binance", "BTC-USDT"), ledger.sequences()
    gaps = [(gap.first_missing, gap.last_missing) for gap in ledger.gaps()]
    ledger.close()
    return row, list(state.stored), list(state.unrecoverable), gaps, state.tail_ts


@pytest.mark.parametrize(
    "names",
    [
        ("trades", "nobody listens", "given up"),
        ("trades", "nobody listens", "used"),
        ("trades", "promised", "promised further on"),
        ("promised", "promised further on", "given up"),
    ],
    ids=lambda names: " ".join(names).replace(" ", "-"),
)
def test_any_order_ends_in_the_same_account(tmp_path, names) -> None:
    """Tails, losses, heads and promises that are told before a sequence begins count once it does."""
    found = [account(tmp_path / str(at), order) for at, order in enumerate(permutations(names))]
    assert found == found[:1] * len(found)


def test_what_is_told_first_is_not_forgotten(tmp_path) -> None:
    """The end is known as lost although nothing of the sequence was known when that was told."""
    row, _, lost, gaps, _ = account(tmp_path, ("nobody listens", "given up", "used", "trades"))
    assert [(r.from_id, r.head, r.tail) for r in row] == [(3, 12, "open")]
    assert (lost, gaps) == ([(3, 4)], [(7, 8), (10, 12)])


def test_an_end_without_a_beginning_is_no_sequence(tmp_path) -> None:
    """A symbol that never traded is subscribed to and lost again: nothing is missing, nothing is shown."""
    row, _, _, gaps, _ = account(tmp_path, ("nobody listens", "given up", "used"))
    assert (row, gaps) == ([], [])


def instrument(tick):
    """Return what a venue says of one symbol: here only the price step differs."""
    return Instrument("binance", "BTC-USDT", "BTCUSDT", "spot", "BTC", "USDT", tick, None, "TRADING")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_newest_listing_counts_whatever_order_lanes_are_read_in(tmp_path, order):
    """By when it was received, then by the lane's name; a row of older code gives way to any."""
    told = [("fetch-1", 10, "0.1"), ("fetch-0", 20, "0.2"), ("fetch-1", 20, "0.3")]
    ledger = Ledger.open(DataDir(tmp_path).create())
    for at in order:
        lane, ns, tick = told[at]
        start = at * 10
        batch = Batch(lane, Position(0, start), Position(0, start + 1), instruments=[instrument(tick)], listed_ns=[ns])
        ledger.apply(batch, advance)
    assert ledger.instruments("binance") == [instrument("0.3")]
    ledger.close()


def test_an_instrument_of_older_code_is_read_and_gives_way(tmp_path):
    """Its row says nothing of when it was listed."""
    ledger = Ledger.open(DataDir(tmp_path).create())
    row = {"venue": "binance", "symbol": "BTC-USDT", "payload": msgspec.json.encode(instrument("0.1")).decode()}
    with ledger.database.writing() as db:
        db.execute(t.instruments.insert().values(**row))
    assert ledger.instruments("binance") == [instrument("0.1")]
    ledger.apply(
        Batch("fetch-0", Position(0, 0), Position(0, 1), instruments=[instrument("0.2")], listed_ns=[1]), advance
    )
    assert ledger.instruments("binance") == [instrument("0.2")]
    ledger.close()
