"""Seals of leaves: kept true in the transaction that changes either part, and equal to what a reader derives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.database import postgres  # noqa: F401  the fixture
from trading_platform.completeness.day_status import day_names
from trading_platform.completeness.records import LeafRecord
from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.ledger import Ledger
from trading_platform.store.ledger.tables import leaves as table

LEAVES = [
    Leaf("ticks", "binance", symbol, day) for symbol in ("A-USDT", "B-USDT") for day in ("2024-08-08", "2024-08-09")
]
LEAVES.append(Leaf("bars", "binance", "A-USDT", "2024-08-08", "1m"))
LEAF = LEAVES[0]
ACTS = st.one_of(
    st.tuples(st.just("intend"), st.sampled_from(LEAVES), st.sampled_from(["x", "y"])),
    st.tuples(st.sampled_from(["confirm", "seal", "seal", "abandon", "forget", "verdict"]), st.sampled_from(LEAVES)),
    st.tuples(st.just("confirm all"), st.sets(st.sampled_from(LEAVES), min_size=1)),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Give an empty ledger, on either engine."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    book = Ledger.open(DataDir(tmp_path).create(), url)
    yield book
    book.close()


def naive(ledger: Ledger) -> set[Leaf]:
    """Return the leaves whose record has the hash that was sealed, comparing each."""
    c = table.c
    columns = (c.dataset, c.venue, c.symbol, c.day, c.timeframe, c.model, c.record, c.sealed)
    with ledger.database.reading() as db:
        rows = db.execute(sa.select(*columns).where(c.published)).all()
    return {Leaf(*leaf) for *leaf, record, sealed in rows if sealed and json.loads(record)["content_hash"] == sealed}


def told(ledger: Ledger) -> set[Leaf]:
    """Return the same as the ledger tells it by symbols, and see that it tells it so of each leaf."""
    sealed = ledger.sealed_days("ticks")
    days = zip(sealed.pair.tolist(), day_names(sealed.ordinal), strict=True)
    found = set()
    for pair, day in days:
        venue, symbol = sealed.pairs[pair]
        found.add(Leaf("ticks", venue, symbol, day))
    each = {leaf for leaf in LEAVES if ledger.sealed(leaf)}
    assert {leaf for leaf in each if leaf.dataset == "ticks"} == found
    return each


def do(ledger: Ledger, act: str, leaf: Leaf, content: str = "") -> None:
    """Do one thing that publishing does."""
    if act == "intend":
        ledger.intend(leaf, LeafRecord(3, content, "file"))
    elif act == "verdict":
        ledger.save_verdict(leaf, Verdict())
    else:
        {"confirm": ledger.confirm, "seal": ledger.seal, "abandon": ledger.abandon, "forget": ledger.forget}[act](leaf)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=25))
def test_seals_are_those_that_comparing_each_record_gives(ledger: Ledger, acts: list[tuple]) -> None:
    """After any acts of publishing and sealing, on leaves of two symbols and two datasets."""
    for leaf in LEAVES:
        ledger.forget(leaf)
    for act, *rest in acts:
        if act == "confirm all":
            ledger.confirm_all(sorted(rest[0]))
        else:
            do(ledger, act, *rest)
        assert told(ledger) == naive(ledger)


def test_a_leaf_that_was_never_published_takes_no_seal(ledger: Ledger) -> None:
    """An intent is no content."""
    do(ledger, "intend", LEAF, "x")
    ledger.seal(LEAF)
    assert told(ledger) == set()


def test_a_content_that_comes_back_is_sealed_again(ledger: Ledger) -> None:
    """The seal is of the content: rebuilding a day to the byte needs no further run."""
    for content in ("x", "y", "x"):
        do(ledger, "intend", LEAF, content)
        ledger.confirm_all([LEAF])
        if content == "x" and not ledger.sealed(LEAF):
            ledger.seal(LEAF)
        assert ledger.sealed(LEAF) == (content == "x")


def test_a_ledger_of_older_code_keeps_its_seals(tmp_path: Path) -> None:
    """Migrating tells which hold: one that does, one whose content changed since, and a day without a seal."""
    data = DataDir(tmp_path).create()
    ledger = Ledger.open(data)
    for leaf in LEAVES[:3]:
        do(ledger, "intend", leaf, "x")
        ledger.confirm(leaf)
    for leaf in LEAVES[:2]:
        ledger.seal(leaf)
    do(ledger, "intend", LEAVES[1], "y")
    ledger.confirm(LEAVES[1])
    config = Config()
    config.set_main_option("script_location", "trading_platform/store/ledger/migrations")
    with ledger.database.writing() as db:
        config.attributes["connection"] = db
        command.downgrade(config, "0005")
        assert "seal_holds" not in {column["name"] for column in sa.inspect(db).get_columns("leaves")}
    ledger.close()
    ledger = Ledger.open(data)
    assert told(ledger) == naive(ledger) == {LEAF}
    ledger.close()


def test_sealed_days_are_read_from_their_index(tmp_path: Path) -> None:
    """No record is read: the index alone holds what is asked."""
    ledger = Ledger.open(DataDir(tmp_path).create())
    seen: list[str] = []
    sa.event.listen(ledger.database.engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    ledger.sealed_days("ticks")
    query = next(text for text in seen if "FROM leaves" in text)
    with ledger.database.reading() as db:
        plan = db.exec_driver_sql("EXPLAIN QUERY PLAN " + query, ("ticks",)).all()
    assert "leaves_sealed" in plan[0][3]
    ledger.close()


@pytest.mark.parametrize("flip", [{"seal_holds": False}, {"symbol": "C-USDT"}])
def test_a_row_that_contradicts_itself_is_told(tmp_path: Path, flip: dict[str, object]) -> None:
    """`verify` asks for it: a seal that its hash does not bear out, a path that is another leaf's."""
    ledger = Ledger.open(DataDir(tmp_path).create())
    do(ledger, "intend", LEAF, "x")
    ledger.confirm(LEAF)
    ledger.seal(LEAF)
    assert ledger.leaves_amiss() == []
    with ledger.database.writing() as db:
        db.execute(table.update().values(**flip))
    assert [path for path, _ in ledger.leaves_amiss()] == [str(LEAF.path)]
    ledger.close()
