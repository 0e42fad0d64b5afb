"""The ledger's rows a day equal those of the plain way, on random accounts of any shape."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import postgres  # noqa: F401  the fixture
from tests.support.judges.naive import completeness as naive
from trading_platform.completeness.day_status import day_table, runs
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.id_ranges import IdRanges
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger, tables as t

BEGIN = day_start("2024-02-25")
SYMBOLS = ("ADA-USDT", "BTC-USDT", "BTC-USDT-PERP", "币安人生-USDT")


def random_account(rng: random.Random, key: dict[str, Any]) -> dict[Any, list[dict[str, Any]]]:
    """Return one sequence's rows: ids spread over days, some missing at random, some days without any trade."""
    first = rng.randrange(1, 1000)
    kinds, days, number = IdRangesOf(), {}, first
    for day in range(rng.choice([0, 1, 2, 5, 12])):
        if rng.random() < 0.2:
            number += rng.choice([0, 0, 3])
            continue
        for _ in range(rng.randrange(1, 9)):
            kind = rng.choice(["stored"] * 6 + ["void", "unrecoverable", "open", "open"])
            size = rng.randrange(1, 4)
            kinds.add(kind, number, number + size - 1)
            if kind == "stored":
                # Around midnight times are not in the order of ids.
                at = max(0, day - (rng.random() < 0.1))
                row = days.setdefault(at, [number, number, 0])
                row[0], row[1], row[2] = min(row[0], number), max(row[1], number + size - 1), row[2] + size
            number += size
    head = number - 1 + rng.choice([0, 0, 2])
    return {
        t.sequences: [
            {**key, "from_id": first, "head": head, "head_ts": 0, "tail": rng.choice(["live", "open", "closed"])}
            | {"tail_ts": 0}
        ],
        t.ranges: [
            {**key, "kind": kind, "first_id": a, "last_id": b}
            for kind in ("stored", "void", "unrecoverable")
            for a, b in kinds.of(kind)
        ],
        t.coverage: [
            {**key, "day": day_of(BEGIN + day * DAY_NS), "first_id": a, "last_id": b, "stored": n}
            | {"first_ts": 0, "last_ts": 0}
            for day, (a, b, n) in sorted(days.items())
        ],
    }


class IdRangesOf:
    """Ids by kind; what no kind holds is open."""

    def __init__(self) -> None:
        self._kinds: dict[str, IdRanges] = {}

    def add(self, kind: str, first: int, last: int) -> None:
        self._kinds.setdefault(kind, IdRanges()).add(first, last)

    def of(self, kind: str) -> list[tuple[int, int]]:
        return list(self._kinds.get(kind, IdRanges()))


def expected_rows(ledger: Ledger, today: str) -> list[dict[str, Any]]:
    """Return what the plain way makes of the ledger's sequences, asked for one by one."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    rows = ledger.sequences()
    newest = {(row.venue, row.symbol): row.epoch for row in rows}
    for row in rows:
        state = ledger.state(row.venue, row.symbol, row.epoch)
        days = [(d.day, *d[2:]) for d in ledger.days(row.venue, row.symbol) if d.epoch == row.epoch]
        missing = {"open": state.open(), "unrecoverable": list(state.unrecoverable)}
        ended = row.epoch < newest[row.venue, row.symbol]
        for each in naive.day_rows(days, missing, list(state.void), row.tail, today, ended=ended):
            found.setdefault((row.venue, row.symbol, each["day"]), []).append(each)
    return [
        {"venue": venue, "symbol": symbol, **naive.together(found[venue, symbol, day])}
        for venue, symbol, day in sorted(found)
    ]


def fill(ledger: Ledger, rng: random.Random) -> None:
    """Write random accounts of a few symbols, some with several numberings."""
    with ledger.database.writing() as db:
        for table in (t.sequences, t.ranges, t.coverage):
            db.execute(table.delete())
        for symbol in rng.sample(SYMBOLS, rng.randrange(len(SYMBOLS) + 1)):
            for epoch in range(rng.choice([1, 1, 1, 2, 3])):
                key = {
                    "venue": rng.choice(["binance", "okx"]) if not epoch else "okx",
                    "symbol": symbol,
                    "epoch": epoch,
                }
                for table, rows in random_account(rng, key).items():
                    if rows:
                        db.execute(table.insert(), rows)


@pytest.mark.parametrize(("engine", "accounts"), [("sqlite", 60), ("postgresql", 6)])
def test_a_row_a_day_equals_the_plain_way(
    engine: str, accounts: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every count, state, unknown id and joined run of random accounts is that of the twin, whatever the day."""
    url = "" if engine == "sqlite" else request.getfixturevalue("postgres").database()
    ledger = Ledger.open(DataDir(tmp_path).create(), url)
    for seed in range(accounts):
        rng = random.Random(seed)
        fill(ledger, rng)
        today = day_of(BEGIN + rng.randrange(16) * DAY_NS)
        wanted = expected_rows(ledger, today)
        found = [row._asdict() for row in ledger.day_report(day_start(today))]
        assert found == wanted, f"seed {seed}"
        with ledger.snapshot() as now:
            joined = runs(day_table(now.sequences, now.days, now.ids, today))
        for pair in {(row["venue"], row["symbol"]) for row in wanted}:
            mine = [row for row in wanted if (row["venue"], row["symbol"]) == pair]
            told = [
                dict(zip(("from", "to", "days", "state", "stored", "expected"), run, strict=True))
                for run in joined[pair]
            ]
            assert told == naive.runs(mine), f"seed {seed}"
        one = rng.choice(SYMBOLS)
        assert [r._asdict() for r in ledger.day_report(day_start(today), symbol=one)] == [
            row for row in wanted if row["symbol"] == one
        ]
    ledger.close()
