"""What the ledger keeps ready of each day is what follows from the account of ids, whatever came in which order."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from tests.support.database import postgres  # noqa: F401  the fixture
from trading_platform.completeness.day_status import day_table, judged
from trading_platform.completeness.gap_detector import MIN_CONFIRMATION_INTERVAL_NS, advance
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Batch, Claim, EpochReset, Ledger, Seen, SequenceKey, TailEvent, tables as t
from trading_platform.store.ledger.kept_days import accounts, differing
from trading_platform.store.verify import identity

BEGIN = day_start("2024-02-26")
KEYS = [SequenceKey("binance", "BTC-USDT"), SequenceKey("binance", "ETH-USDT"), SequenceKey("binance", "ETH-USDT", 1)]
RESET = EpochReset(ended_id=60, ended_ns=BEGIN + 4 * DAY_NS, first_id=1, begins_ns=BEGIN + 4 * DAY_NS, known_ns=BEGIN)


def seen(rng: random.Random, head: int) -> Seen:
    """Return what a batch may tell of a sequence: mostly trades that go on at its head, a day every dozen ids."""
    kind = rng.choices(["on", "any", "fact"], [6, 3, 2])[0]
    claims = [Claim(first, first + rng.randrange(3), "told", rng.randrange(1, 5)) for first in [rng.randrange(1, 70)]]
    if kind == "fact":
        far = Claim(*claims[0][:3], MIN_CONFIRMATION_INTERVAL_NS * 2)
        return rng.choice(
            [
                Seen(voids=[Claim(claims[0].first_id, claims[0].first_id, "type", 1)]),
                Seen(lost=claims),
                Seen(skips=[*claims, far]),
                Seen(unserved=[*claims, far]),
                Seen(tails=[TailEvent(rng.choice(["live", "open", "closed"]), rng.randrange(100))]),
                Seen(witnessed=head + rng.randrange(4)),
                Seen(undertaken=rng.randrange(1, 20)),
            ]
        )
    low = head + 1 if kind == "on" else rng.randrange(1, 70)
    ids = [number for number in range(low, low + rng.randrange(1, 6)) if kind == "on" or rng.random() < 0.7]
    late = rng.random() < 0.2  # a time that does not follow the ids
    times = [BEGIN + max(0, number // 12 - late) * DAY_NS + number for number in ids]
    return Seen(ids=np.array(ids, np.int64), ts=np.array(times, np.int64), tails=[TailEvent("live", 50)])


def apply(ledger: Ledger, rng: random.Random) -> None:
    """Apply a batch about one sequence or several."""
    resets = {KEYS[2]: RESET} if rng.random() < 0.1 else {}
    heads = {SequenceKey(*row[:3]): row.head for row in ledger.sequences()}
    told = {key: seen(rng, heads.get(key, rng.randrange(1, 9))) for key in rng.sample(KEYS, rng.randrange(1, 4))}
    ledger.apply(Batch("live", START, Position(0, 1), told, resets=resets), advance)


def check(ledger: Ledger, today: str) -> int:
    """Compare what is told with what follows from the account; return how many sequences had it ready."""
    with ledger.snapshot() as now:
        found = accounts(now)
        wanted = day_table(now.sequences, now.days, now.ids, today)
        assert list(judged(now.sequences, found.facts, today).rows()) == list(wanted.rows())
        totals = [now.ids[kind].total().tolist() for kind in ("stored", "void", "open", "unrecoverable")]
        assert [found.stored, found.void, found.open, found.unrecoverable] == totals
        assert found.open_gaps == now.ids["open"].counts().tolist()
        assert differing(now) == []
        return int(now.db.execute(sa.select(sa.func.count()).select_from(t.kept_days)).scalar() or 0)


@pytest.mark.parametrize(
    ("engine", "accounts_", "batches"),
    [("sqlite", 5, 25), pytest.param("postgresql", 1, 25, marks=pytest.mark.process)],
)
def test_kept_days_are_those_that_follow_from_the_account(
    engine: str, accounts_: int, batches: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """After each of many random batches, with rows put back now and then, nothing else is told than without them."""
    url = "" if engine == "sqlite" else request.getfixturevalue("postgres").database()
    ready = 0
    ledger = Ledger.open(DataDir(tmp_path).create(), url)
    for seed in range(accounts_):
        rng = random.Random(seed)
        with ledger.database.writing() as db:
            for table in t.metadata.sorted_tables:
                db.execute(table.delete())
        for _ in range(batches):
            apply(ledger, rng)
            if rng.random() < 0.6:
                ledger.keep_days(least=0)
            apply(ledger, rng)
            ready += check(ledger, day_of(BEGIN + rng.randrange(8) * DAY_NS))
    ledger.close()
    assert ready > accounts_ * batches * 0.5  # else nothing was shown


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of two days whose rows are kept."""
    book = Ledger.open(DataDir(tmp_path).create())
    tell(book, [1, 2, 3], day=0)
    tell(book, [4, 5, 8], day=1)
    assert book.keep_days(least=0) == 1
    yield book
    book.close()


def tell(ledger: Ledger, ids: list[int], *, day: int) -> None:
    """Apply trades of one day."""
    times = np.array([BEGIN + day * DAY_NS + number for number in ids])
    ledger.apply(Batch("live", START, Position(0, 1), {KEYS[0]: Seen(ids=np.array(ids), ts=times)}), advance)


@pytest.mark.parametrize(
    ("ids", "day", "stays"),
    [
        ([9, 10], 1, True),  # goes on
        ([2, 8], 1, True),  # is known
        ([9], 2, False),  # a new day
        ([9], 0, False),  # an older day
        ([10], 1, False),  # skips one
        ([6], 1, False),  # fills one
    ],
)
def test_only_trades_that_go_on_leave_what_is_kept(ledger: Ledger, ids: list[int], day: int, stays: bool) -> None:
    """A live stream does not cost a derivation; anything else takes the row out."""
    tell(ledger, ids, day=day)
    assert check(ledger, "2024-03-01") == stays


def test_a_rebuilt_account_takes_the_rows_out(ledger: Ledger, tmp_path: Path) -> None:
    """What is kept of the old account says nothing of the one that a replay puts in its place."""
    rebuilt = Ledger.open(DataDir(tmp_path / "rebuilt").create())
    tell(rebuilt, [1, 2, 7], day=0)
    ledger.adopt(rebuilt)
    rebuilt.close()
    assert check(ledger, "2024-03-01") == 0


def test_what_is_kept_wrongly_is_a_violation(ledger: Ledger) -> None:
    """The check of identities names the sequence."""
    assert identity(ledger) == []
    with ledger.database.writing() as db:
        db.execute(t.kept_days.update().values(open=7))
    assert [found.check for found in identity(ledger)] == ["kept days"]


def test_days_that_are_cut_short_are_damage(ledger: Ledger) -> None:
    """Half a row is named as a damaged ledger, not read as something."""
    with ledger.database.writing() as db:
        db.execute(t.kept_days.update().values(days=b"12345"))
    with ledger.snapshot() as now, pytest.raises(CorruptionError):
        accounts(now)


def test_a_busy_ledger_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    """While another writes, nothing is put back, and what is told is derived."""
    tell(ledger, [6], day=1)
    with sqlite3.connect(DataDir(tmp_path).ledger_path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert ledger.keep_days(least=0) == 0
        assert check(ledger, "2024-03-01") == 0
        other.execute("ROLLBACK")
    assert ledger.keep_days(least=0) == 1


def test_little_is_not_worth_a_row(ledger: Ledger) -> None:
    """A reader of a short account writes nothing."""
    tell(ledger, [6], day=1)
    assert ledger.keep_days() == 0
    assert check(ledger, "2024-03-01") == 0
