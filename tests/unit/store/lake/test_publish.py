"""The publisher: merge, gate, replace; what it leaves alone and what it refuses."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.support.builders.fakes import DAY, NOON, Copy, MemoryLedger, copies, ticks
from tests.support.judges.naive import merge as naive
from trading_platform.domain.errors import CorruptionError, LockHeld, UsageError, WorkError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import Failure, Verdict, pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import (
    leaf_files,
    merge_slices as slices,
    parquet,
    publish as lake,
    schema as shapes,
    staging,
)
from trading_platform.store.ledger import Ledger

LEAF = Leaf("ticks", "binance", "BTC-USDT", DAY)
BARS = Leaf("bars", "binance", "BTC-USDT", DAY, "1m")


@pytest.fixture
def data(tmp_path):
    return DataDir(tmp_path).create()


@pytest.fixture
def ledger():
    return MemoryLedger()


def stage(data, trades, *, lane="live-binance", at=0):
    return staging.write_part(
        data, "binance", "BTC-USDT", DAY, lane, Position(0, at), Position(0, at + 1), ticks(trades)
    )


def publish(data, ledger, **more):
    return lake.publish(data, LEAF, **{"ledger": ledger, "gate": pass_all, **more})


def files(data):
    return sorted(p.relative_to(data.lake).as_posix() for p in data.lake.rglob("*") if p.is_file())


def bars(*opens: float) -> pa.Table:
    rows = [{"ts_open": NOON + i * 60 * 10**9, "open": price, "complete": True} for i, price in enumerate(opens)]
    return pa.table(
        {f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in shapes.BARS}, schema=shapes.BARS
    )


def test_parts_become_the_published_file_and_vanish(data, ledger):
    """Publishing merges every part, records the file, and leaves nothing but it."""
    stage(data, [Copy(2), Copy(3)])
    stage(data, [Copy(1), Copy(2, ts_recv=NOON)], lane="fetch-0")
    published = publish(data, ledger)
    rows = copies(lake.read_leaf(data, LEAF))
    assert [(c.trade_id, c.ts_recv) for c in rows] == [(1, NOON + 10**7), (2, NOON), (3, NOON + 10**7)]
    assert published[1:3] == (3, 3)
    assert published.changed
    assert published.verdict.passed
    record = ledger.leaf(LEAF)
    assert record == (3, published.content_hash, published.file_sha256, None, None, 1, 3)
    assert record.file_sha256 == parquet.file_sha256(data.lake / LEAF.path)
    assert record.content_hash == lake.content_hash(lake.read_leaf(data, LEAF))
    assert staging.parts(data) == {}
    assert files(data) == [LEAF.path.as_posix()]
    assert not [p for p in data.staging.rglob("*") if p.is_file()]


def test_nothing_staged_and_nothing_published_is_nothing(data, ledger):
    """A leaf that nobody has heard of is None, and stays unheard of."""
    assert publish(data, ledger) is None
    assert files(data) == []


def test_a_part_without_rows_publishes_nothing(data, ledger):
    """An empty part is removed; no empty file appears."""
    stage(data, [])
    assert publish(data, ledger) is None
    assert files(data) == []
    assert staging.parts(data) == {}


def test_copies_that_change_nothing_leave_the_file_alone(data, ledger):
    """If the merged rows are those published, the file is not replaced and the parts go."""
    stage(data, [Copy(1), Copy(2)])
    first = publish(data, ledger)
    inode = (data.lake / LEAF.path).stat().st_ino
    stage(data, [Copy(2, ts_recv=NOON + 10**9, source="rest")], lane="fetch-0")
    again = publish(data, ledger)
    assert again == first._replace(added=0, changed=False)
    assert (data.lake / LEAF.path).stat().st_ino == inode
    assert staging.parts(data) == {}
    assert publish(data, ledger) == again


def test_a_failing_gate_keeps_everything_as_it_was(data, ledger):
    """What a gate refuses stays staged with its verdict in the ledger; the last good file stays."""

    def no_third(table):
        bad = 3 in table.column("trade_id").to_pylist()
        return Verdict((Failure("no_third", 1, "trade 3"),) if bad else ())

    stage(data, [Copy(1)])
    good = publish(data, ledger, gate=no_third)
    part = stage(data, [Copy(3)], at=1)
    refused = publish(data, ledger, gate=no_third)
    assert refused == good._replace(added=0, changed=False, verdict=refused.verdict)
    assert refused.verdict.failures[0].check == "no_third"
    assert ledger.verdict(LEAF) == refused.verdict
    assert part.exists()
    assert lake.read_leaf(data, LEAF).num_rows == 1
    assert publish(data, ledger).rows == 2
    assert ledger.verdict(LEAF).passed


def test_a_large_leaf_is_judged_slice_by_slice(data, ledger, monkeypatch):
    """A gate sees every row once, and its failures over all slices are one verdict."""
    monkeypatch.setattr(slices.slices, "__kwdefaults__", {"rows": 10})
    monkeypatch.setattr(parquet, "ROW_GROUP", 16)
    seen = []

    def odd(table):
        ids = [i for i in table.column("trade_id").to_pylist() if i % 2]
        seen.extend(table.column("trade_id").to_pylist())
        return Verdict((Failure("odd", len(ids), str(ids[0])),) if ids else ())

    for at in range(10):
        stage(data, [Copy(i) for i in range(at * 10, at * 10 + 10)], at=at)
    refused = publish(data, ledger, gate=odd)
    assert refused.verdict == Verdict((Failure("odd", 50, "1"),))
    assert seen == list(range(100))
    assert publish(data, ledger).rows == 100
    assert parquet.open_file(data.lake / LEAF.path).metadata.num_row_groups == 7


def test_disputes_and_times_do_not_depend_on_what_came_first(tmp_path):
    """A coarse copy, refined and contested by others, gives the same row for every order of publishing."""
    arrivals = [
        Copy(7, ts_event=NOON + 234_000_000, ts_recv=NOON),
        Copy(7, ts_event=NOON + 234_567_000, ts_recv=NOON + 1, source="archive"),
        Copy(7, ts_event=NOON + 234_999_000, ts_recv=NOON + 2, source="archive"),
        Copy(7, ts_event=NOON + 234_000_000, ts_recv=NOON + 3, price=1.0),
    ]
    expected, others = naive.publish(arrivals)
    assert expected[0].ts_event == NOON + 234_567_000
    for turn in range(4):
        data, ledger = DataDir(tmp_path / str(turn)).create(), MemoryLedger()
        for at, copy in enumerate(arrivals[turn:] + arrivals[:turn]):
            stage(data, [copy], at=at)
            publish(data, ledger)
        assert copies(lake.read_leaf(data, LEAF)) == expected
        assert {dispute.trade_id for dispute in ledger.disputes} == {7}
        assert len({dispute.other for dispute in ledger.disputes}) >= len(others)
        assert files(data) == [LEAF.path.as_posix()]


def test_trades_without_ids_are_kept_by_their_hash(data, ledger):
    """Where ids prove nothing a trade's uid is its name, and rows are ordered by time and uid."""
    plain = [Copy(None, trade_uid=uid, ts_event=NOON + at) for uid, at in [("b", 0), ("a", 0), ("c", 5), ("d", 1)]]
    stage(data, plain)
    publish(data, ledger)
    stage(data, [plain[0]._replace(ts_recv=NOON), Copy(None, trade_uid="e", ts_event=NOON)], at=1)
    assert publish(data, ledger).rows == 5
    rows = copies(lake.read_leaf(data, LEAF))
    assert [c.trade_uid for c in rows] == ["a", "b", "e", "d", "c"]
    assert rows[1].ts_recv == NOON
    assert ledger.leaf(LEAF).first_id is None


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "swap"])
def test_a_damaged_published_file_is_named_and_nothing_is_lost(data, ledger, harm):
    """A published file that is not what was recorded stops the publisher, and the parts stay."""
    stage(data, [Copy(i) for i in range(500)])
    publish(data, ledger)
    path = data.lake / LEAF.path
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    if harm == "flip":
        path.write_bytes(content)
    elif harm == "truncate":
        path.write_bytes(content[:100])
    elif harm == "remove":
        path.unlink()
    else:
        parquet.write(path, ticks([Copy(1)]))
    part = stage(data, [Copy(1000)], at=1)
    with pytest.raises(CorruptionError, match=r"ticks\.parquet"):
        publish(data, ledger)
    assert part.exists()


def test_a_damaged_part_is_named(data, ledger):
    """A part that fails its checksum stops the publisher; the good ones stay too."""
    bad, good = stage(data, [Copy(i) for i in range(500)]), stage(data, [Copy(1)], at=1)
    content = bytearray(bad.read_bytes())
    content[len(content) // 3] ^= 1
    bad.write_bytes(content)
    with pytest.raises(CorruptionError, match=bad.name):
        publish(data, ledger)
    assert good.exists()
    assert files(data) == []


def test_a_part_that_came_under_the_same_name_meanwhile_stays(data, ledger):
    """Only the parts that were read are removed, by what they are, not by what they are called."""
    stage(data, [Copy(1)])

    def replace(step):
        if step == "confirmed":
            stage(data, [Copy(1), Copy(2)])

    publish(data, ledger, step=replace)
    assert len(staging.parts_of(data, LEAF)) == 1
    assert publish(data, ledger).rows == 2


def test_a_file_that_the_ledger_forgot_is_taken_up_again(data, ledger):
    """A ledger built anew learns of a published file at the next publish."""
    stage(data, [Copy(1)])
    before = publish(data, ledger)
    fresh = MemoryLedger()
    assert publish(data, fresh) == before._replace(changed=False)
    assert fresh.leaf(LEAF) == ledger.leaf(LEAF)


def test_one_publisher_at_a_time(data, ledger):
    """A second publisher of the leaf waits, then names the holder."""
    stage(data, [Copy(1)])
    with leaf_files.locked(data, LEAF), pytest.raises(LockHeld, match="ticks binance BTC-USDT 2024-08-08"):
        publish(data, ledger, wait_s=0)
    assert publish(data, ledger, wait_s=0).rows == 1


def test_computed_leaves_are_a_function_of_their_rows(data, ledger):
    """Equal tables give equal bytes; an equal table is not written again, but its origin is recorded."""
    first = lake.write_leaf(data, BARS, bars(1.0, 2.0), ledger=ledger, gate=pass_all, input_hash="a")
    path = data.lake / BARS.path
    before, inode = path.read_bytes(), path.stat().st_ino
    odd = bars(1.0, 2.0).replace_schema_metadata({"x": "y"})
    again = lake.write_leaf(
        data, BARS, pa.concat_tables([odd.slice(0, 1), odd.slice(1)]), ledger=ledger, gate=pass_all, input_hash="b"
    )
    assert again == first._replace(added=0, changed=False)
    assert (path.read_bytes(), path.stat().st_ino) == (before, inode)
    assert ledger.leaf(BARS).input_hash == "b"
    other = lake.write_leaf(data, BARS, bars(1.0), ledger=ledger, gate=pass_all, input_hash="b", end_state="s")
    assert other.added == -1
    assert ledger.leaf(BARS).end_state == "s"


def test_a_refused_computed_leaf_keeps_the_last_good_file(data, ledger):
    """A gate's no leaves the old bars in place."""
    no = Verdict((Failure("x", 1, ""),))
    good = lake.write_leaf(data, BARS, bars(1.0), ledger=ledger, gate=pass_all, input_hash="a")
    refused = lake.write_leaf(data, BARS, bars(2.0), ledger=ledger, gate=lambda table: no, input_hash="b")
    assert refused == good._replace(added=0, changed=False, verdict=no)
    assert ledger.leaf(BARS).input_hash == "a"
    assert lake.read_leaf(data, BARS, ["open"]).to_pydict() == {"open": [1.0]}


def test_wrong_tables_and_wrong_calls_are_refused(data, ledger):
    """Columns that are not the dataset's, ticks written whole, bars merged from parts: all refused."""
    with pytest.raises(WorkError, match="'ts_open' is missing"):
        lake.write_leaf(data, BARS, pa.table({"x": [1]}), ledger=ledger, gate=pass_all, input_hash="a")
    with pytest.raises(UsageError):
        lake.write_leaf(data, LEAF, ticks([]), ledger=ledger, gate=pass_all, input_hash="a")
    with pytest.raises(UsageError):
        lake.publish(data, BARS, ledger=ledger, gate=pass_all)
    assert files(data) == []


def test_removing_a_leaf_takes_its_memory_too(data, ledger):
    """A removed leaf has no file, no record and no remembered copies; its parts stay."""
    stage(data, [Copy(1), Copy(1, price=1.0)])
    publish(data, ledger)
    part = stage(data, [Copy(2)], at=1)
    lake.remove_leaf(data, LEAF, ledger=ledger)
    assert ledger.leaf(LEAF) is None
    assert files(data) == []
    assert not list(data.state.rglob("*.parquet"))
    assert part.exists()
    assert publish(data, ledger).rows == 1


def test_leaves_are_listed_by_day(data, ledger):
    """The leaves that have a file are found by venue, symbol and timeframe, days ascending; stray files are none."""
    wanted = [BARS._replace(day=day, timeframe=frame) for day in ("2024-08-07", DAY) for frame in ("1h", "1m")]
    for leaf in reversed(wanted):
        lake.write_leaf(data, leaf, bars(1.0), ledger=ledger, gate=pass_all, input_hash="a")
    stray = data.lake / "bars/timeframe=1m/venue=binance/symbol=..x/date=2024-08-08/bars.parquet"
    stray.parent.mkdir(parents=True)
    stray.touch()
    assert lake.leaves(data, "bars") == wanted
    assert lake.leaves(data, "bars", timeframe="1m", venue="binance") == wanted[1::2]
    assert lake.leaves(data, "bars", symbol="ETH-USDT") == lake.leaves(data, "ticks") == []


def test_the_real_ledger_keeps_what_the_fake_one_does(data):
    """Records, verdicts and conflicts come back from the real ledger as they went in."""
    ledger = Ledger.open(data)
    try:
        stage(data, [Copy(1), Copy(1, price=1.0, ts_recv=NOON + 10**9), Copy(2)])
        published = publish(data, ledger)
        assert ledger.leaf(LEAF).file_sha256 == published.file_sha256
        assert ledger.intent(LEAF) is None
        assert ledger.verdict(LEAF) == Verdict()
        (dispute,) = ledger.conflicts("binance", "BTC-USDT")
        assert (dispute.trade_id, '"price":61000.5' in dispute.kept, '"price":1.0' in dispute.other) == (1, True, True)
    finally:
        ledger.close()
