"""The ledger keeps what batches tell, in one transaction each, and derives days and gaps from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.support.database import postgres  # noqa: F401  the fixture
from trading_platform.completeness.gap_detector import advance
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import UsageError
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.ledger import (
    Batch,
    Claim,
    Conflict,
    EpochReset,
    LeafRecord,
    Ledger,
    Quarantined,
    Seen,
    SequenceKey,
    TailEvent,
)
from trading_platform.store.ledger.database import HEAD
from trading_platform.store.ledger.tables import evidence, metadata
from trading_platform.store.verify import identity

KEY = SequenceKey("binance", "BTC-USDT")
DAY1, DAY2, DAY3 = (day_start(day) for day in ("2024-08-08", "2024-08-09", "2024-08-10"))
NOW = day_start("2024-09-01")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Give an empty ledger, on either engine."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    book = Ledger.open(DataDir(tmp_path).create(), url)
    yield book
    book.close()


def tell(ledger: Ledger, ids: list[int], ts: list[int] | None = None, *, at: int = 1, **facts: object) -> int:
    """Apply one batch of one sequence; return how many trades were new."""
    times = np.array(ids if ts is None else ts, np.int64)
    seen = Seen(ids=np.array(ids, np.int64), ts=times, **facts)  # type: ignore[arg-type]
    return ledger.apply(Batch("live-binance", START, Position(0, at), {KEY: seen}), advance)[KEY]


def open_ranges(ledger: Ledger) -> list[tuple[int, int]]:
    """Return the gap rows' bounds."""
    return [(gap.first_missing, gap.last_missing) for gap in ledger.gaps()]


def test_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    """The baseline and the table definitions do not drift apart, and HEAD names the newest revision."""
    with ledger.database.reading() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
    config = Config()
    config.set_main_option("script_location", "trading_platform/store/ledger/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_counting_is_idempotent(ledger: Ledger) -> None:
    """A batch told twice, or overlapping, counts each trade once."""
    assert tell(ledger, [10, 11, 14]) == 3
    assert tell(ledger, [10, 11, 14]) == 0
    assert tell(ledger, [11, 12]) == 1
    assert ledger.days("binance", "BTC-USDT")[0].stored == 4
    assert open_ranges(ledger) == [(13, 13)]


def test_a_gap_keeps_its_number_while_it_shrinks(ledger: Ledger) -> None:
    """A gap filled in the middle stays for the first rest; the other rest is a gap of its own; filled is filled."""
    tell(ledger, [10, 20])
    number = ledger.gaps()[0].id
    tell(ledger, [15])
    assert [(g.first_missing, g.last_missing) for g in ledger.gaps()] == [(11, 14), (16, 19)]
    assert ledger.gap(number).first_missing == 11
    tell(ledger, [11, 12, 13, 14])
    assert ledger.gap(number).state == "filled"
    assert open_ranges(ledger) == [(16, 19)]


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    """Half a batch is never seen: the error rolls everything back, lane position included."""
    tell(ledger, [10])

    def broken(state: object, seen: object) -> object:
        raise RuntimeError("power")

    seen = {KEY: Seen(ids=np.array([11]), ts=np.array([11]))}
    with pytest.raises(RuntimeError, match="power"):
        ledger.apply(Batch("live-binance", START, Position(0, 9), seen), broken)  # type: ignore[arg-type]
    assert len(ledger.state("binance", "BTC-USDT").stored) == 1
    assert ledger.lane("live-binance")[0] == Position(0, 1)


def test_leases_exclude_each_other_and_end(ledger: Ledger) -> None:
    """Two workers never fetch one gap; a lease that was not kept is open again, later each time."""
    tell(ledger, [1, 3, 5])
    first = ledger.lease(1, now_ns=10, holder="a", ttl_ns=100)
    second = ledger.lease(5, now_ns=10, holder="b", ttl_ns=100)
    assert first is not None
    assert second is not None
    assert {gap.id for gap in first.gaps}.isdisjoint(gap.id for gap in second.gaps)
    assert ledger.lease(5, now_ns=50, holder="c") is None
    assert ledger.release("a", now_ns=50) == 1
    assert ledger.lease(5, now_ns=50, holder="d") is None, "due again only after a wait"
    taken_over = ledger.lease(5, now_ns=111, holder="e")
    assert taken_over is not None, "b's lease has run out"
    assert [gap.attempts for gap in taken_over.gaps] == [1]


def test_days_are_complete_only_between_held_witnesses(ledger: Ledger) -> None:
    """The first day began part-way, the last has no witness of its end, the one between is complete."""
    tell(ledger, [1, 2, 3, 4, 5, 6], [DAY1, DAY1 + 5, DAY2, DAY2 + 5, DAY2 + 6, DAY3])
    tell(ledger, [], tails=[TailEvent("closed", 5)])
    report = {row.day: row for row in ledger.day_report(NOW)}
    assert [row.state for row in report.values()] == ["incomplete", "complete", "unproven"]
    assert (report["2024-08-09"].expected, report["2024-08-09"].stored) == (3, 3)
    assert report["2024-08-08"].expected is None


def test_a_gap_across_midnight_is_open_on_both_days(ledger: Ledger) -> None:
    """Nobody knows on which side of midnight the missing ids lie, so neither day has an expectation."""
    tell(ledger, [1, 2, 5, 6], [DAY1, DAY1 + 5, DAY2, DAY3])
    report = {row.day: row for row in ledger.day_report(NOW)}
    assert [row.open for row in report.values()] == [2, 2, 0]
    assert report["2024-08-09"].expected is None
    assert report["2024-08-08"].state == report["2024-08-09"].state == "repairing"


def test_a_reset_ends_one_numbering_for_good(ledger: Ledger) -> None:
    """Turns are kept as first told; the old tail stays closed; equal ids of two numberings are two; days say so."""
    new, reset = KEY._replace(epoch=1), EpochReset(5, DAY2, 1, DAY2 + 9, 7)
    tell(ledger, [1, 2, 4, 5], [DAY1, DAY1 + 5, DAY2 - 1, DAY2])
    seen = {KEY: Seen(), new: Seen(ids=np.array([1, 2]), ts=np.array([DAY2 + 9, DAY3]), undertaken=1)}
    for told in (reset, reset._replace(first_id=2)):
        ledger.apply(Batch("live-binance", START, Position(0, 2), seen, resets={new: told}), advance)
    tell(ledger, [], tails=[TailEvent("open", 99)])
    assert ledger.resets("binance", "BTC-USDT") == [reset]
    assert [(row.epoch, row.head, row.tail) for row in ledger.sequences()] == [(0, 5, "closed"), (1, 2, "live")]
    assert ledger.reach(*KEY) == (1, 5, DAY1, DAY2)
    assert ledger.reach("binance", "BTC-USDT", 2) is None
    assert [ledger.holds(*KEY, number) for number in (2, 3, 4)] == [True, False, True]
    assert [ledger.holds(*new, number) for number in (2, 3)] == [True, False]
    ledger.apply(Batch("live-binance", START, Position(0, 3), {new: Seen(tails=[TailEvent("closed", 100)])}), advance)
    report = {row.day: row for row in ledger.day_report(NOW)}
    assert [row.state for row in report.values()] == ["repairing", "incomplete", "unproven"]
    assert (report["2024-08-09"].stored, report["2024-08-09"].expected) == (2, None)
    tell(ledger, [3], [DAY1 + 6])
    assert [row.state for row in ledger.day_report(NOW)] == ["incomplete", "incomplete", "unproven"]


def test_what_is_readmitted_leaves_quarantine(ledger: Ledger) -> None:
    """A record that counts after all is kept apart no longer; others of its record are."""
    at = Position(0, 40)
    kept = [
        Quarantined(at, item, "binance", "BTC-USDT", item, "ws", "numbering", "a stray id?", 9, b"{}")
        for item in (1, 2)
    ]
    ledger.apply(Batch("live-binance", START, Position(0, 50), quarantine=kept), advance)
    ledger.apply(Batch("live-binance", START, Position(0, 60), readmitted=[(at, 2)]), advance)
    assert ledger.quarantined() == {("binance", "BTC-USDT", "numbering"): 1}


@pytest.mark.parametrize("void", [3, 4, 5, 6])
def test_a_stored_id_that_is_void_by_its_record_leaves_its_day(ledger: Ledger, void: int, tmp_path: Path) -> None:
    """At the day's edges, within, and as its only one: the account is that of the other order, identity and days."""
    ids, ts = [1, 2, 3, 4, 5, 6], [DAY1, DAY1 + 9, DAY2, DAY2 + 1, DAY2 + 9, DAY3]
    claim, when = [Claim(void, void, "type NA", 7)], {void: ts[void - 1]}
    tell(ledger, ids, ts)
    tell(ledger, [], at=2, voids=claim, void_times=when)
    assert [(one.trade_id, one.day) for one in ledger.withdrawn()] == [
        (void, "2024-08-10" if void == 6 else "2024-08-09")
    ]
    other = Ledger.open(DataDir(tmp_path / "other").create())
    tell(other, [], voids=claim, void_times=when)
    assert tell(other, ids, ts, at=2) == 5
    assert other.withdrawn() == []
    for book in (ledger, other):
        assert identity(book) == []
    assert ledger.days(*KEY[:2]) == other.days(*KEY[:2])
    assert ledger.reach(*KEY) == other.reach(*KEY)
    assert ledger.day_report(NOW) == other.day_report(NOW)
    assert ledger.used_up(*KEY[:2]) == other.used_up(*KEY[:2]) == {0: IdRanges([(void, void)])}
    tell(ledger, [7], [DAY3 + 5], at=3)
    tell(other, [7], [DAY3 + 5], at=3)
    assert ledger.days(*KEY[:2]) == other.days(*KEY[:2])
    ledger.left_out(ledger.withdrawn())
    assert ledger.withdrawn() == []
    other.close()


def test_void_ids_complete_a_day(ledger: Ledger) -> None:
    """An id used up without a trade is accounted for: expected equals stored and void together."""
    tell(ledger, [1, 2, 4, 5], [DAY1, DAY2, DAY2 + 9, DAY3], voids=[Claim(3, 3, "price 0", 7)])
    day = next(row for row in ledger.day_report(NOW) if row.day == "2024-08-09")
    assert (day.state, day.expected, day.stored, day.void) == ("complete", 3, 2, 1)


def test_a_copy_refused_over_rest_ends_the_search(ledger: Ledger) -> None:
    """When the venue's second copy breaks the bounds too, the id is unrecoverable, with both raw copies kept."""
    tell(ledger, [1, 3])
    bad = [
        Quarantined(Position(0, 40), 0, "binance", "BTC-USDT", 2, source, "price", "0", at, b"raw")  # type: ignore[arg-type]
        for source, at in (("ws", 5), ("rest", 9))
    ]
    ledger.apply(Batch("live-binance", START, Position(0, 50), quarantine=bad[:1]), advance)
    assert open_ranges(ledger) == [(2, 2)], "one bad copy is only a reason to ask again"
    ledger.apply(Batch("fetch-0", START, Position(0, 50), quarantine=bad[1:]), advance)
    assert open_ranges(ledger) == []
    assert list(ledger.state("binance", "BTC-USDT").unrecoverable) == [(2, 2)]
    assert ledger.quarantined("binance", "BTC-USDT") == {("binance", "BTC-USDT", "price"): 2}


def test_of_equal_promises_the_earliest_time_is_kept(ledger: Ledger) -> None:
    """Whatever order they are told in, and each promised id by itself."""
    for at, (number, seen_ns) in enumerate([(40, 7), (40, 5), (40, 9), (30, 8)], start=1):
        tell(ledger, [50], at=at, undertaken=number, promises=[Claim(number, number, "", seen_ns)])
    c = evidence.c
    with ledger.database.reading() as db:
        found = db.execute(sa.select(c.first_id, c.seen_ns).where(c.kind == "promise").order_by(c.first_id)).all()
    assert [tuple(row) for row in found] == [(30, 8), (40, 5)]


def test_leaf_records_go_through_intent(ledger: Ledger) -> None:
    """What is intended is not published before it is confirmed; a seal breaks with the content."""
    leaf = Leaf("ticks", "binance", "BTC-USDT", "2024-08-08")
    record = LeafRecord(3, "content", "file", first_id=1, last_id=3)
    ledger.intend(leaf, record)
    assert (ledger.leaf(leaf), ledger.intent(leaf)) == (None, record)
    ledger.confirm(leaf)
    assert (ledger.leaf(leaf), ledger.intent(leaf)) == (record, None)
    ledger.seal(leaf)
    assert ledger.sealed(leaf)
    ledger.intend(leaf, record._replace(content_hash="other"))
    ledger.confirm(leaf)
    assert not ledger.sealed(leaf)
    assert ledger.leaves("ticks", symbol="BTC-USDT") == {leaf: record._replace(content_hash="other")}


def test_conflicts_are_told_once(ledger: Ledger) -> None:
    """The same conflict found at every publish is one row."""
    conflict = Conflict("binance", "BTC-USDT", 0, 7, "1 x 2", "1 x 3")
    ledger.add_conflicts([conflict])
    ledger.add_conflicts([conflict, conflict])
    assert ledger.conflicts("binance") == [conflict]


def test_simulated_is_not_live(ledger: Ledger) -> None:
    """A data directory takes one kind of data for ever."""
    ledger.mark_kind("simulated")
    ledger.mark_kind("simulated")
    with pytest.raises(UsageError, match="holds simulated data"):
        ledger.mark_kind("live")


def test_adopting_a_rebuilt_account_keeps_gap_numbers(ledger: Ledger, tmp_path: Path) -> None:
    """After a replay the account is the rebuilt one, and a gap that is still open is still the same gap."""
    tell(ledger, [1, 5, 9])
    numbers = [gap.id for gap in ledger.gaps()]
    rebuilt = Ledger.open(DataDir(tmp_path / "scratch").create())
    tell(rebuilt, [1, 5, 9, 10])
    ledger.adopt(rebuilt)
    rebuilt.close()
    assert [gap.id for gap in ledger.gaps()] == numbers
    assert len(ledger.state("binance", "BTC-USDT").stored) == 4


def test_a_newer_ledger_is_refused(ledger: Ledger) -> None:
    """A ledger written by a later version is not touched by this one."""
    with ledger.database.writing() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Exception, match="9999"):
        ledger.database._migrate()


@pytest.mark.parametrize("minutes", [(0, 5, 11), (5, 0, 11), (11, 5, 0), (5, 11, 0)])
def test_what_is_not_served_is_given_up_in_any_order_of_the_answers(ledger: Ledger, minutes: tuple[int, ...]) -> None:
    """The earliest and the latest answer of each range are kept, so only how far these lie apart counts."""
    tell(ledger, [1, 9])
    for minute in minutes:
        assert open_ranges(ledger) == [(2, 8)]
        tell(ledger, [], unserved=[Claim(2, 8, "retention", minute * 60 * 10**9)])
    assert open_ranges(ledger) == []
    assert list(ledger.state("binance", "BTC-USDT").unrecoverable) == [(2, 8)]
    (gap,) = ledger.gaps(("unrecoverable",))
    assert (gap.first_missing, gap.last_missing, gap.reason) == (2, 8, "retention")


def test_gaps_as_columns_are_the_gaps(ledger: Ledger) -> None:
    """What is shown of open and leased gaps are their rows, in their order."""
    assert set(map(tuple, ledger.gap_columns().values())) == {()}
    tell(ledger, [1, 4, 9, 12, 20])
    assert ledger.lease(2, NOW, "someone") is not None
    columns = ledger.gap_columns()
    shown = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert shown == [{name: gap._asdict()[name] for name in columns} for gap in ledger.gaps()]
    assert len(shown) == 4
