"""as_of on a lake that was copied elsewhere: answered from the trades' own receive times, or refused, never ignored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import trading_platform as tp
from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades, made_up
from trading_platform import cli, settings
from trading_platform.domain.days import day_start
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake

FIRST, LAST = "2024-01-29", "2024-01-30"
INSTANT = day_start(LAST) + 6 * 3600 * 10**9
AT = "2024-01-30T06:00:00"
COMPUTED = ("bars", "indicators", "regimes")
NAMES = ("ticks", *COMPUTED)
VIEWS = {
    "ticks": "SELECT count(*) AS n, max(trade_id) AS last FROM ticks",
    "bars": "SELECT count(*) AS n, sum(trade_count) AS trades FROM bars",
    "indicators": "SELECT count(*) AS n, max(sma_20) AS s, max(ts_open) AS at FROM indicators",
    "regimes": "SELECT count(*) AS n, max(ts_open) AS at, max(p_0) AS s FROM regimes",
    "both": "SELECT count(*) AS n, max(t.trade_id) AS last FROM ticks t JOIN bars b ON t.ts_event >= b.ts_open "
    "AND t.ts_event < b.ts_close AND b.timeframe = '1h'",
}


SETTINGS = {"TIMEFRAMES": "1h", "REGIMES__TIMEFRAMES": "1h", "INDICATORS": "sma_20"}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"TRADING_PLATFORM_{name}", value)


def trades() -> Trades:
    return made_up(FIRST, 2, 200)


def market_of(root: Path, held: Trades) -> Market:
    market = Market.open(root)
    market.hold(held)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(f"TRADING_PLATFORM_{name}", value)
        known = settings.load()
    Pipeline.from_settings(market.data, market.ledger, known, gates=dict(GATES)).refresh_range(COMPUTED, FIRST, LAST)
    market.ledger.close()
    return market


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """Make the lake as it was at the instant."""
    everything = trades()
    known = everything.where(everything.ts + 5_000_000 <= INSTANT)
    return market_of(tmp_path_factory.mktemp("then"), known).data


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """Make the lake as it is now."""
    return market_of(tmp_path_factory.mktemp("now"), trades()).data


OTHER = "of another directory"
"""Which ledger lies beside the copied lake."""


@pytest.fixture
def copied(request: pytest.FixtureRequest, now: DataDir, tmp_path: Path) -> DataDir:
    """Copy the lake alone; or beside a ledger that speaks of other trades."""
    there = DataDir(tmp_path / "copy")
    if getattr(request, "param", "none") != "none":
        other = Market.open(there.root)
        far = trades()
        other.hold(Trades(far.ids + 10**6, far.ts, far.price, far.quantity, far.buy), stage=False)
        other.declare_void((1001, 10**6))
        other.ledger.close()
    shutil.copytree(now.lake, there.lake, dirs_exist_ok=True)
    return there


def read(name: str, data: DataDir, *span: str, **more: object) -> pa.Table:
    ask = {} if name == "ticks" else {"timeframe": "1h"}
    first, last = span or (FIRST, "2024-02-10")
    table: pa.Table = getattr(tp, f"read_{name}")(
        SYMBOL, first, last, engine="arrow", data_dir=data.root, **ask, **more
    )
    return table


def query(capsys: pytest.CaptureFixture[str], data: DataDir, text: str, *more: str) -> tuple[int, str, str]:
    code = cli.main(["query", text, "--json", "--data-dir", str(data.root), *more])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


@pytest.mark.parametrize(
    ("copied", "name"), [*(("none", name) for name in NAMES), (OTHER, "bars")], indirect=["copied"]
)
def test_a_copied_lake_answers_as_then(then: DataDir, copied: DataDir, name: str) -> None:
    """What had been received by the instant is all that is in the answer, and in what is computed from it."""
    expected = read(name, then)
    answer = read(name, copied, as_of=INSTANT)
    assert answer.schema.equals(expected.schema)
    assert lake.content_hash(answer) == lake.content_hash(expected)
    assert 0 < answer.num_rows < read(name, copied).num_rows


@pytest.mark.parametrize(
    ("copied", "view"), [*(("none", view) for view in VIEWS), (OTHER, "both")], indirect=["copied"]
)
def test_every_view_of_a_copied_lake_answers_as_then(
    then: DataDir, copied: DataDir, capsys: pytest.CaptureFixture[str], view: str
) -> None:
    """Also where several views are named: not one of them shows what came later."""
    expected = query(capsys, then, VIEWS[view])[1]
    code, answer, err = query(capsys, copied, VIEWS[view], "--as-of", AT)
    assert (code, json.loads(answer)) == (0, json.loads(expected)), err
    assert json.loads(query(capsys, copied, VIEWS[view])[1]) != json.loads(expected)


def test_before_everything_there_is_nothing_and_in_the_future_all(
    now: DataDir, copied: DataDir, capsys: pytest.CaptureFixture[str]
) -> None:
    """An instant before the first trade gives empty typed frames and views, one in the future everything."""
    for name in NAMES:
        table = read(name, copied, as_of="2024-01-01")
        assert table.num_rows == 0
        assert table.schema.equals(read(name, copied).schema)
    for name in ("ticks", "regimes"):
        later = read(name, copied, as_of="2200-01-01")
        assert lake.content_hash(later) == lake.content_hash(read(name, now))
    for view, text in VIEWS.items():
        (row,) = json.loads(query(capsys, copied, text, "--as-of", "2024-01-01")[1])
        assert row["n"] == 0, view
    text = VIEWS["both"]
    assert query(capsys, copied, text, "--as-of", "2200-01-01")[1] == query(capsys, now, text)[1]


def test_coverage_needs_the_ledger(copied: DataDir, now: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
    """What was proved or lost is in the ledger alone: without it coverage as of a time is refused in one sentence."""
    for text in ("SELECT * FROM coverage", "SELECT count(*) FROM ticks, coverage"):
        code, out, err = query(capsys, copied, text, "--as-of", AT)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "ledger" in err
    assert query(capsys, now, "SELECT * FROM coverage", "--as-of", AT)[0] == 0


@pytest.mark.parametrize("how", ["null", "no column", "no column anywhere"])
def test_trades_without_a_receive_time_are_refused(
    copied: DataDir, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """Where a trade does not say when it was received nothing is answered as of a time, and one sentence says so."""
    for path in sorted((copied.lake / "ticks").rglob("*.parquet"))[how != "no column anywhere" :]:
        table = pq.read_table(path, partitioning=None)
        at = table.schema.get_field_index("ts_recv")
        nulls = pa.nulls(table.num_rows, table.schema.field(at).type)
        changed = table.set_column(at, table.schema.field(at), nulls) if how == "null" else table.remove_column(at)
        parquet.write(path, changed.replace_schema_metadata(None))
    for name in ("ticks", "bars"):
        with pytest.raises(tp.UsageError, match="ts_recv") as caught:
            read(name, copied, as_of=INSTANT)
        assert "\n" not in str(caught.value)
    for view in ("ticks", "bars"):
        code, out, err = query(capsys, copied, VIEWS[view], "--as-of", AT)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "ts_recv" in err


@pytest.mark.parametrize("name", COMPUTED)
def test_bars_without_their_trades_are_refused(copied: DataDir, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Where the ticks of a stored day were not copied along, what is computed from them cannot be told as of a time."""
    shutil.rmtree(copied.lake / Leaf("ticks", VENUE, SYMBOL, LAST).directory)
    with pytest.raises(tp.UsageError, match="copy them too"):
        read(name, copied, as_of=INSTANT)
    code, out, err = query(capsys, copied, VIEWS[name], "--as-of", AT)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert read(name, copied, FIRST, LAST, as_of=INSTANT).num_rows > 0


def test_files_are_not_read_past_the_views(now: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a time no file of the lake is read by its name: it holds what came later."""
    pattern = f"{now.lake}/ticks/**/*.parquet"
    for text in (
        f"SELECT count(*) FROM read_parquet('{pattern}')",
        f"SELECT count(*) FROM '{pattern}'",
        f"SELECT (SELECT count(*) FROM parquet_scan('{pattern}')) FROM ticks LIMIT 1",
        f"SELECT * FROM parquet_metadata('{pattern}') -- bars",
        f"SELECT * FROM glob('{pattern}')",
    ):
        assert query(capsys, now, text)[0] == 0
        code, out, err = query(capsys, now, text, "--as-of", AT)
        assert (code, out, err.count("\n")) == (2, "", 1), err


def test_a_void_that_is_known_makes_bars_complete(tmp_path: Path) -> None:
    """With the ledger of these trades an id known to be void by then is not missing; without it, it is."""
    everything = trades()
    market = Market.open(tmp_path / "a")
    void = int(everything.ids[100])
    market.hold(everything.without(void))
    market.declare_void((void, void))
    market.ledger.close()
    complete = read("bars", market.data, as_of=INSTANT)["complete"].to_numpy()
    market.data.ledger_path.unlink()
    doubtful = read("bars", market.data, as_of=INSTANT)["complete"].to_numpy()
    assert np.count_nonzero(doubtful) < np.count_nonzero(complete)


def test_what_was_promised_later_was_not_known(tmp_path: Path) -> None:
    """Bars as of a time begin with what was promised by then, whatever was promised since, in whatever order."""
    everything = trades()
    market = Market.open(tmp_path)
    first = int(everything.ids[40])
    market.hold(everything.where(everything.ids >= first))

    def begin() -> int:
        return int(read("bars", market.data, as_of=INSTANT)["ts_open"][0].value) - day_start(FIRST)

    hour = 3600 * 10**9
    held = (int(everything.ts[40]) - day_start(FIRST)) // hour * hour
    assert held > 0
    assert begin() == held
    for seen_ns in (INSTANT + 2, INSTANT + 1):
        market.undertake(first - 5, seen_ns=seen_ns)
        assert begin() == held
    market.undertake(first - 5, seen_ns=INSTANT)
    assert begin() == 0
    market.undertake(first - 5, seen_ns=INSTANT + 3)
    assert begin() == 0
    market.declare_void((first - 5, first - 1))
    assert begin() == held
    market.ledger.close()
