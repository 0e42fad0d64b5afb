"""The pipeline over small lakes: whatever the order of work, the same files; and a bad day harms no other."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings, strategies as st

from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, VENUE, Market, Trades, made_up
from trading_platform.domain.days import day_after, day_range
from trading_platform.domain.verdict import Failure, Gate, Verdict
from trading_platform.ingest.processor.publisher import publish_staged
from trading_platform.pipeline.day_context import RegimeConfig
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.pipeline.results import DayReport
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake
from trading_platform.store.ledger import Ledger
from trading_platform.store.verify import verify_store

FIRST, LAST = "2024-01-29", "2024-02-03"
COMPUTED = ("bars", "indicators", "regimes")
FRAMES = ("1m", "1d")
REGIMES = RegimeConfig(timeframes=("1m",), min_days=2, lookback_days=30)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    """Give an empty data directory with its ledger."""
    there = Market.open(tmp_path)
    yield there
    there.ledger.close()


def pipeline_of(market: Market, gates: dict[str, Gate] | None = None) -> Pipeline:
    return Pipeline(market.data, market.ledger, gates=gates or dict(GATES), timeframes=FRAMES, regimes=REGIMES)


def trades() -> Trades:
    return made_up(FIRST, 6, 300, quiet=["2024-01-31"])


def compute(market: Market) -> list[DayReport]:
    return pipeline_of(market).refresh_range(COMPUTED, FIRST, LAST)


def statuses(reports: list[DayReport]) -> dict[tuple[str, str], set[str]]:
    return {(report.dataset, report.day): set(report.counts) for report in reports}


def test_a_second_run_finds_nothing_to_do(market: Market) -> None:
    """What is up to date is not computed again; a day without a trade has no leaf."""
    market.hold(trades())
    first = statuses(compute(market))
    before = market.files(*COMPUTED)
    second = statuses(compute(market))
    assert set.union(*first.values()) == {"computed", "absent"}
    assert {key for key, found in first.items() if found == {"absent"}} == {(name, "2024-01-31") for name in COMPUTED}
    assert set.union(*second.values()) == {"unchanged", "absent"}
    assert market.files(*COMPUTED) == before


def test_no_nan_is_stored(market: Market) -> None:
    """What has no value is null in every column of every file: lookback, unknown rows, bars without a trade."""
    everything = trades()
    market.hold(everything.without(*everything.ids[300:340].tolist()))
    compute(market)
    empty = dict.fromkeys(COMPUTED, 0)
    for dataset in COMPUTED:
        for leaf in lake.leaves(market.data, dataset):
            table = lake.read_leaf(market.data, leaf)
            assert table is not None
            for field in table.schema:
                if pa.types.is_floating(field.type):
                    column = table.column(field.name)
                    assert not pc.any(pc.is_nan(column)).as_py(), (leaf, field.name)
                    empty[dataset] += column.null_count
    assert all(empty.values())
    first = lake.read_leaf(market.data, Leaf("indicators", VENUE, SYMBOL, FIRST, "1m"))
    assert first is not None
    assert first["rsi_14"].null_count > 0


def test_a_lost_or_damaged_file_is_computed_again(market: Market) -> None:
    """A leaf whose file or end state is not what the ledger says is stale."""
    market.hold(trades())
    compute(market)
    before = market.files(*COMPUTED)
    leaf = Leaf("indicators", VENUE, SYMBOL, "2024-01-30", "1m")
    (market.data.lake / leaf.path).write_bytes(b"damaged")
    (market.data.lake / leaf._replace(dataset="bars").path).unlink()
    for state in (market.data.state / leaf._replace(day="2024-02-01").directory).iterdir():
        state.unlink()
    counts = [report.counts["computed"] for report in compute(market)]
    assert sum(counts) >= 2
    assert market.files(*COMPUTED) == before


@settings(max_examples=4)
@given(st.data())
def test_any_order_of_work_gives_the_same_files(data: st.DataObject) -> None:
    """A range at once, day by day as the trades come in, and with days repaired later: byte-identical files."""
    with tempfile.TemporaryDirectory() as root:
        everything = trades()
        at_once = Market.open(Path(root) / "at-once")
        at_once.hold(everything)
        compute(at_once)
        late = Market.open(Path(root) / "late")
        lost = data.draw(st.sets(st.sampled_from(everything.ids[1:-1].tolist()), min_size=1, max_size=4))
        edges = [int(i) for i in np.flatnonzero(np.diff(everything.ts // (86_400 * 10**9)))]
        lost |= data.draw(
            st.sets(st.sampled_from([int(everything.ids[i + k]) for i in edges for k in (0, 1)]), max_size=2)
        )
        # Models are an input: a repair does not refit them, so both get the same ones.
        shutil.copytree(at_once.data.state / "models", late.data.state / "models")
        pipeline = pipeline_of(late)
        for day in day_range(FIRST, LAST):
            late.hold(_on(everything.without(*lost), day), lane="live")
            for dataset in COMPUTED:
                pipeline.refresh(dataset, day)
        days = late.hold(everything.where(np.isin(everything.ids, list(lost))), lane="fetch-0")
        if data.draw(st.booleans()):
            pipeline.follow((VENUE, SYMBOL), days)
            # What `follow` need not touch: days that were still running when they were computed.
            pipeline.refresh_range(COMPUTED, FIRST, LAST)
        else:
            for dataset in COMPUTED:
                for day in day_range(FIRST, LAST):
                    pipeline.refresh(dataset, day)
        assert late.files(*COMPUTED) == at_once.files(*COMPUTED)
        at_once.ledger.close()
        late.ledger.close()


def _on(trades: Trades, day: str) -> Trades:
    days = trades.ts.astype("datetime64[ns]").astype("datetime64[D]")
    return trades.where(days == np.datetime64(day))


def test_following_a_repair_is_enough(market: Market, tmp_path: Path) -> None:
    """After a repair it is enough to follow the touched days: everything is as if nothing had been lost."""
    everything = trades()
    whole = Market.open(tmp_path / "whole")
    whole.hold(everything)
    compute(whole)
    shutil.copytree(whole.data.state / "models", market.data.state / "models")
    border = int(np.searchsorted(everything.ts, np.datetime64("2024-02-01", "ns").astype(np.int64)))
    lost = everything.ids[border - 3 : border + 2]
    market.hold(everything.without(*lost.tolist()))
    compute(market)
    assert market.files("bars") != whole.files("bars")
    assert any("date=2024-01-31" in name for name in market.files(*COMPUTED)), "the gap lies across the quiet day"
    days = market.hold(everything.where(np.isin(everything.ids, lost)), lane="fetch-0")
    reports = pipeline_of(market).follow((VENUE, SYMBOL), days)
    assert market.files(*COMPUTED) == whole.files(*COMPUTED)
    assert all(report.ok for report in reports)
    whole.ledger.close()


def test_a_ripple_ends_when_a_state_is_as_before(market: Market) -> None:
    """A repair is carried on to later days as long as they end in another state, and not a day further."""
    everything = made_up(FIRST, 6, 2000)
    middle = int(everything.ids[2500])
    market.hold(everything.without(middle))
    pipeline = Pipeline(
        market.data, market.ledger, gates=GATES, timeframes=["1m"], indicator_names=["sma_20"], regimes=REGIMES
    )
    pipeline.refresh_range(["bars", "indicators"], FIRST, LAST)
    days = market.hold(everything.where(everything.ids == middle), lane="fetch-0")
    assert days == ["2024-01-30"]
    pipeline.refresh_range(["bars"], FIRST, LAST)
    rippled = pipeline.ripple("indicators", "2024-01-30")
    assert [(report.day, dict(report.counts)) for report in rippled] == [("2024-01-30", {"computed": 1})]
    assert set(pipeline.refresh("indicators", "2024-01-31").counts) == {"unchanged"}


def test_a_day_waits_for_the_one_before(market: Market) -> None:
    """No day is warmed up differently: one whose predecessor is not computed is refused, naming it."""
    market.hold(trades())
    pipeline = pipeline_of(market)
    (early,) = {result.reason for result in pipeline.refresh("indicators", "2024-02-01").results}
    assert early == "bars of 2024-02-01 are not computed yet"
    pipeline.refresh_range(["bars"], FIRST, LAST)
    (reason,) = {result.reason for result in pipeline.refresh("indicators", "2024-02-01").results}
    assert reason == "2024-01-30 is not computed yet"
    assert market.files("indicators") == {}
    other = Pipeline(market.data, market.ledger, gates=GATES, timeframes=FRAMES, indicator_names=["sma_5"])
    pipeline.refresh_range(["indicators"], FIRST, "2024-01-30")
    (reason,) = {result.reason for result in other.refresh("indicators", "2024-02-01").results}
    assert reason == "2024-01-30 was computed with other settings; compute from the first day on"


def refusing(gate: Gate, when: Callable[[pa.Table], bool]) -> Gate:
    """Make a gate that also refuses some frames."""

    def refuse(table: pa.Table) -> Verdict:
        return Verdict((Failure("made up", 1, "row 0"),)) if when(table) else gate(table)

    return refuse


def _of_day(table: pa.Table, day: str) -> bool:
    return bool(table.num_rows) and table["ts_open"][0].as_py().date().isoformat() == day


def test_a_refused_symbol_day_harms_no_other(market: Market) -> None:
    """What fails its gate is not published, downstream skips exactly that symbol-day, and it heals by itself."""
    market.hold(trades())
    market.hold(trades(), "ETH-USDT")
    bad, day = "2024-01-30", "2024-02-01"
    gates = {**GATES, "bars": refusing(GATES["bars"], lambda table: _of_day(table, bad))}
    # Only one of two symbols is refused: its prices are the ones the gate sees first.
    seen: list[int] = []
    one = lambda table: _of_day(table, bad) and (seen.append(1) or len(seen) <= len(FRAMES))  # noqa: E731
    gates["bars"] = refusing(GATES["bars"], one)
    reports = pipeline_of(market, gates).refresh_range(COMPUTED, FIRST, LAST)
    failed = {
        (result.leaf.dataset, result.leaf.symbol, result.leaf.day) for report in reports for result in report.failed
    }
    assert failed == {(name, SYMBOL, bad) for name in COMPUTED}
    assert all(result.status == "refused" for report in reports for result in report.failed)
    assert market.ledger.verdict(Leaf("bars", VENUE, SYMBOL, bad, "1m")) == Verdict((Failure("made up", 1, "row 0"),))
    assert lake.read_leaf(market.data, Leaf("bars", VENUE, SYMBOL, bad, "1m")) is None
    assert lake.read_leaf(market.data, Leaf("indicators", VENUE, SYMBOL, day, "1m")) is not None
    assert all(report.ok for report in compute(market))
    eth = {name: data for name, data in market.files(*COMPUTED).items() if "ETH-USDT" in name}
    btc = {
        name.replace("BTC-USDT", "ETH-USDT"): data for name, data in market.files(*COMPUTED).items() if "BTC" in name
    }
    bars_and_indicators = [name for name in eth if not name.startswith("regimes")]
    assert {name: btc[name] for name in bars_and_indicators} == {name: eth[name] for name in bars_and_indicators}


def test_the_last_good_file_stays(market: Market) -> None:
    """A later computation that fails its gate leaves the file, its record and its state as they were."""
    everything = trades()
    market.hold(everything.without(int(everything.ids[400])))
    compute(market)
    before = market.files("indicators")
    market.hold(everything, lane="fetch-0")
    gates = {**GATES, "bars": refusing(GATES["bars"], lambda table: True)}
    reports = pipeline_of(market, gates).refresh_range(["bars", "indicators"], "2024-01-30", "2024-01-30")
    assert statuses(reports) == {("bars", "2024-01-30"): {"refused"}, ("indicators", "2024-01-30"): {"refused"}}
    assert market.files("indicators") == before
    assert set(pipeline_of(market).refresh("indicators", "2024-02-02").counts) == {"unchanged"}


def test_trades_that_are_not_published_are_missing(market: Market) -> None:
    """A stored trade that is not in the lake yet leaves its bars incomplete, and publishing it completes them."""
    everything = trades()
    lone = everything.ids == everything.ids[500]
    market.hold(everything.where(~lone))
    market.hold(everything.where(lone), lane="fetch-0", publish=False)
    compute(market)
    day = np.datetime_as_string(everything.ts[500].astype("datetime64[ns]"), unit="D")
    daily = Leaf("bars", VENUE, SYMBOL, str(day), "1d")
    assert lake.read_leaf(market.data, daily)["complete"].to_pylist() == [False]  # type: ignore[index]
    reports = pipeline_of(market).refresh_range(("ticks", *COMPUTED), FIRST, LAST)
    assert {r.day for r in reports if r.dataset == "ticks" and r.counts["computed"]} == {day}
    assert lake.read_leaf(market.data, daily)["complete"].to_pylist() == [True]  # type: ignore[index]


def test_a_damaged_input_is_named(market: Market) -> None:
    """Bars are not computed from a tick file that is not the published one, nor indicators from such bars."""
    market.hold(trades())
    pipeline = pipeline_of(market)
    pipeline.refresh_range(["bars"], FIRST, LAST)
    bars = Leaf("bars", VENUE, SYMBOL, FIRST, "1m")
    (market.data.lake / bars.path).write_bytes((market.data.lake / bars._replace(timeframe="1d").path).read_bytes())
    (waiting,) = pipeline.refresh("indicators", FIRST).failed
    assert (waiting.status, waiting.reason) == (
        "waiting",
        f"{bars.path} is not the file that was published; compute bars of {FIRST} again",
    )
    ticks = market.data.lake / Leaf("ticks", VENUE, SYMBOL, FIRST).path
    ticks.write_bytes((market.data.lake / Leaf("ticks", VENUE, SYMBOL, LAST).path).read_bytes())
    (refused,) = pipeline.refresh("bars", FIRST).failed
    assert refused.status == "refused"
    assert refused.reason.endswith("is not the file that was published; rebuild it with: replay")


def test_an_input_that_goes_while_it_is_read_is_waited_for(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes the bars out between reading them and making sure that they are still there."""
    market.hold(trades())
    pipeline = pipeline_of(market)
    pipeline.refresh_range(["bars"], FIRST, LAST)
    bars = Leaf("bars", VENUE, SYMBOL, FIRST, "1m")
    read_leaf = lake.read_leaf

    def read_and_gone(data: DataDir, leaf: Leaf, columns: Sequence[str] | None = None) -> pa.Table | None:
        table = read_leaf(data, leaf, columns)
        if leaf == bars:
            (data.lake / leaf.path).unlink(missing_ok=True)
        return table

    monkeypatch.setattr(lake, "read_leaf", read_and_gone)
    (waiting,) = pipeline.refresh("indicators", FIRST).failed
    assert waiting.status == "waiting"
    assert waiting.reason is not None
    assert str(bars.path) in waiting.reason


def test_several_at_once_come_to_the_same_end(market: Market, tmp_path: Path) -> None:
    """While trades come in, several refresh the same days; the last one to finish leaves what one alone would."""
    everything = trades()
    alone = Market.open(tmp_path / "alone")
    alone.hold(everything)
    compute(alone)
    shutil.copytree(alone.data.state / "models", market.data.state / "models")
    market.hold(everything.where(everything.ids % 3 == 0))
    failures: list[object] = []

    def refresh() -> None:
        ledger = Ledger.open(market.data)
        pipeline = Pipeline(market.data, ledger, gates=GATES, timeframes=FRAMES, regimes=REGIMES)
        for _ in range(2):
            for report in pipeline.refresh_range(COMPUTED, FIRST, LAST):
                failures.extend(result for result in report.failed if result.status == "refused")
        ledger.close()

    threads = [threading.Thread(target=refresh) for _ in range(3)]
    for thread in threads:
        thread.start()
    for rest in (1, 2):
        market.hold(everything.where(everything.ids % 3 == rest), lane=f"fetch-{rest}")
    for thread in threads:
        thread.join()
    compute(market)
    assert failures == []
    assert market.files(*COMPUTED) == alone.files(*COMPUTED)
    alone.ledger.close()


def test_void_ids_are_not_missing(market: Market) -> None:
    """Ids that the venue used up without a trade leave every bar complete."""
    everything = trades()
    gone = everything.ids[200:203]
    market.hold(everything.without(*gone.tolist()))
    pipeline = pipeline_of(market)
    incomplete = Leaf("bars", VENUE, SYMBOL, FIRST, "1m")
    pipeline.refresh("bars", FIRST)
    before = lake.read_leaf(market.data, incomplete)
    market.declare_void((int(gone[0]), int(gone[-1])))
    pipeline.refresh("bars", FIRST)
    after = lake.read_leaf(market.data, incomplete)
    assert before is not None
    assert after is not None
    assert np.count_nonzero(~before["complete"].to_numpy()) > 1
    assert np.count_nonzero(~after["complete"].to_numpy()) == 1  # that of the first trade


def test_a_trade_that_is_taken_back_goes_from_everything(market: Market, tmp_path: Path) -> None:
    """Stored and computed first, void by its own record then: the files come to be those of the other order."""
    everything = trades()
    gone = [int(everything.ids[at]) for at in (0, 200, 201, 299, 700)]
    market.hold(everything)
    work = ("bars", "indicators"), FIRST, LAST  # models stay as they are: a repair refits none
    Pipeline(market.data, market.ledger, gates=GATES, timeframes=["1h"]).refresh_range(*work)
    market.declare_void(*((number, number) for number in gone))
    assert verify_store(market.data, market.ledger, GATES).violations == (), "the files are about to follow"
    published = publish_staged(market.data, market.ledger, GATES["ticks"])
    assert sum(each.added for each in published) == -len(gone)
    assert verify_store(market.data, market.ledger, GATES).violations == (), "the bars are about to follow"
    assert {each.leaf.day for each in published} <= {
        day
        for (_, day), told in statuses(
            Pipeline(market.data, market.ledger, gates=GATES, timeframes=["1h"]).refresh_range(*work)
        ).items()
        if "computed" in told
    }
    other = Market.open(tmp_path / "other")
    other.declare_void(*((number, number) for number in gone))
    other.hold(everything)
    Pipeline(other.data, other.ledger, gates=GATES, timeframes=["1h"]).refresh_range(*work)
    assert market.files("ticks", *work[0]) == other.files("ticks", *work[0])
    assert publish_staged(market.data, market.ledger, GATES["ticks"]) == []
    other.ledger.close()


def test_the_day_after_the_running_one_completes_it(market: Market) -> None:
    """The running day ends with the interval of its newest trade; the first trade of a later day proves its rest."""
    everything = trades()
    pipeline = Pipeline(market.data, market.ledger, gates=GATES, timeframes=["1h"])
    leaf = Leaf("bars", VENUE, SYMBOL, FIRST, "1h")
    market.hold(_on(everything, FIRST).between(0, int(everything.ids[100])))
    pipeline.refresh("bars", FIRST)
    running = lake.read_leaf(market.data, leaf)
    market.hold(everything)
    pipeline.refresh("bars", FIRST)
    over = lake.read_leaf(market.data, leaf)
    assert running is not None
    assert over is not None
    newest = (int(everything.ts[100]) % (86_400 * 10**9)) // (3600 * 10**9)
    assert running.num_rows == newest + 1
    assert running["complete"].to_pylist()[-1] is False
    assert over.num_rows == 24
    assert over["complete"].to_pylist()[-1] is True


def test_files_are_functions_of_the_trades(market: Market, tmp_path: Path) -> None:
    """Two data directories filled in different orders, with other receive lanes, hold the same bytes."""
    everything = trades()
    odd = everything.ids % 2 == 1
    other = Market.open(tmp_path / "other")
    other.hold(everything.where(odd), lane="fetch-0")
    other.hold(everything.where(~odd))
    market.hold(everything)
    compute(market)
    compute(other)
    assert market.files(*COMPUTED) == other.files(*COMPUTED)
    other.ledger.close()


def test_models_are_kept_and_only_look_back(market: Market) -> None:
    """The shipped model labels the first month; the next month's is fitted on it, and a repair does not refit it."""
    everything = trades()
    market.hold(everything.without(int(everything.ids[100])))
    compute(market)
    leaf = Leaf("regimes", VENUE, SYMBOL, FIRST, "1m", "gaussian_hmm")
    version = {
        day: set(lake.read_leaf(market.data, leaf._replace(day=day))["model_version"].to_pylist())  # type: ignore[index]
        for day in (FIRST, "2024-02-01", LAST)
    }
    assert version[FIRST] == {"default-1"}
    assert version["2024-02-01"] == version[LAST] != {"default-1"}
    market.hold(everything, lane="fetch-0")
    compute(market)
    again = lake.read_leaf(market.data, leaf._replace(day=LAST))
    assert again is not None
    assert set(again["model_version"].to_pylist()) == version[LAST]


def test_reports_come_as_the_work_is_done(market: Market) -> None:
    """Every dataset and day is reported once, inputs first, days ascending."""
    market.hold(trades())
    told: list[DayReport] = []
    reports = pipeline_of(market).refresh_range(["indicators", "bars"], FIRST, day_after(FIRST), on_report=told.append)
    assert told == reports
    assert [(r.dataset, r.day) for r in told] == [
        (d, x) for d in ("bars", "indicators") for x in (FIRST, day_after(FIRST))
    ]
