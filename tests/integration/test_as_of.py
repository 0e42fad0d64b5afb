"""as_of: what is read later about an instant equals what was read then."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

import trading_platform as tp
from quality.schemas import GATES
from tests.support.builders.lakes import SYMBOL, VENUE, Market, made_up, ticks_table
from trading_platform import cli, settings
from trading_platform.domain.days import day_start
from trading_platform.domain.errors import WorkError
from trading_platform.domain.position import Position
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.schema import TIME

FIRST, LAST = "2024-01-29", "2024-02-03"
REPAIRED = "2024-01-30"
INSTANT = day_start("2024-02-02") + 14 * 3600 * 10**9 + 123
FRAMES = ("1h", "1d")
COMPUTED = ("bars", "indicators", "regimes")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    """Make a lake as it was at the instant, and one that learned more: later trades, a repaired gap, a void."""
    everything = made_up(FIRST, 6, 300)
    day = (everything.ts >= day_start(REPAIRED)) & (everything.ts < day_start(REPAIRED) + 86_400 * 10**9)
    late = everything.ids[day][100:140]
    soon = everything.where((everything.ts + 5_000_000 <= INSTANT) & ~np.isin(everything.ids, late))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"REGIMES__MIN_DAYS": "2", "TIMEFRAMES": "1h,1d", "REGIMES__TIMEFRAMES": "1h"}.items():
            patch.setenv(f"TRADING_PLATFORM_{name}", value)
        then, now = (Market.open(tmp_path_factory.mktemp(name)) for name in ("then", "now"))
        for market in (then, now):
            market.hold(soon)
            compute(market)
        now.hold(everything.where(everything.ts + 5_000_000 > INSTANT))
        repair(now, everything.where(np.isin(everything.ids, late[:-1])))
        now.declare_void((int(late[-1]), int(late[-1])))
        compute(now)
        yield then, now
        then.ledger.close()
        now.ledger.close()


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    for name, value in {"REGIMES__MIN_DAYS": "2", "TIMEFRAMES": "1h,1d", "REGIMES__TIMEFRAMES": "1h"}.items():
        monkeypatch.setenv(f"TRADING_PLATFORM_{name}", value)


def compute(market):
    known = settings.load()
    Pipeline.from_settings(market.data, market.ledger, known, gates=dict(GATES)).refresh_range(COMPUTED, FIRST, LAST)


def repair(market, trades):
    """Hold trades that were received only after the instant."""
    market.hold(trades, stage=False)
    table = ticks_table(trades)
    at = table.schema.get_field_index("ts_recv")
    received = pa.array(np.full(len(trades), INSTANT + 10**9)).cast(TIME)
    table = table.set_column(at, table.schema.field(at), received)
    ends = Position(0, 0), Position(0, 1)
    staging.write_part(market.data, VENUE, SYMBOL, REPAIRED, "fetch-0", *ends, table)
    lake.publish(market.data, Leaf("ticks", VENUE, SYMBOL, REPAIRED), ledger=market.ledger, gate=market.gate)


def same(a, b):
    """Tell whether two tables are equal, NaN being equal to NaN."""
    return a.schema.equals(b.schema) and lake.content_hash(a) == lake.content_hash(b) and a.num_rows == b.num_rows


@pytest.mark.parametrize("timeframe", FRAMES)
@pytest.mark.parametrize("name", ["ticks", *COMPUTED])
def test_what_was_answered_then_is_answered_again(lakes, name, timeframe):
    """Ticks, bars, indicators and regimes as of an instant equal those of the lake that knew no more."""
    then, now = lakes
    read = getattr(tp, f"read_{name}")
    more = {} if name == "ticks" else {"timeframe": timeframe}
    ask = (SYMBOL, FIRST, "2024-02-10")
    if name == "regimes" and timeframe == "1d":  # not labelled by these settings
        with pytest.raises(tp.UsageError, match=r"no regimes of .* in timeframe 1d; stored: 1h"):
            read(*ask, **more, data_dir=then.data.root)
        assert not len(read(*ask, **more, as_of=INSTANT, data_dir=now.data.root))
        return
    expected = read(*ask, **more, engine="arrow", data_dir=then.data.root)
    answer = read(*ask, **more, as_of=INSTANT, engine="arrow", data_dir=now.data.root)
    assert same(answer, expected)
    assert answer.num_rows
    assert not same(read(*ask, **more, engine="arrow", data_dir=now.data.root), expected)


def test_a_part_of_the_span_is_the_same_part(lakes):
    """Asking for a day as of an instant gives that day's rows, its state carried from the first day on."""
    then, now = lakes
    ask = (SYMBOL, "2024-01-31", "2024-02-01")
    expected = tp.read_indicators(*ask, timeframe="1h", engine="arrow", data_dir=then.data.root)
    answer = tp.read_indicators(
        *ask, timeframe="1h", as_of="2024-02-02T14:00:00.000000123", engine="arrow", data_dir=now.data.root
    )
    assert same(answer, expected)


def test_before_anything_was_received_there_is_nothing(lakes):
    """As of an instant before the first trade every answer is empty and typed."""
    _, now = lakes
    bars = tp.read_bars(SYMBOL, FIRST, LAST, timeframe="1h", as_of="2024-01-01", data_dir=now.data.root)
    assert bars.empty
    assert "vwap" in bars.columns


def test_query_as_of_answers_as_then(lakes, capsys):
    """The views of query --as-of are those of the lake that knew no more, coverage too."""
    then, now = lakes
    for text in (
        "SELECT timeframe, ts_open, close, trade_count, complete FROM bars ORDER BY ALL",
        "SELECT count(rsi_14) AS n, sum(rsi_14 ORDER BY timeframe, ts_open) AS s FROM indicators",
        "SELECT ts_open, label, p_0, model_version FROM regimes ORDER BY ALL",
        "SELECT ts_from, ts_to, state FROM coverage ORDER BY ts_from",
        "SELECT count(*) AS n FROM ticks JOIN coverage ON ts_event >= ts_from AND ts_event < ts_to",
    ):
        answers = []
        for market, more in ((then, []), (now, ["--as-of", "2024-02-02T14:00:00.000000123"])):
            assert cli.main(["query", text, "--json", "--data-dir", str(market.data.root), *more]) == 0
            answers.append(json.loads(capsys.readouterr().out))
        assert answers[1] == answers[0], text
        assert answers[0]


def test_reading_as_of_leaves_no_trace(lakes):
    """What is computed for an answer is gone after it, and the lake is untouched."""
    _, now = lakes
    before = now.files("ticks", *COMPUTED)
    tp.read_regimes(SYMBOL, FIRST, LAST, timeframe="1h", as_of=INSTANT, data_dir=now.data.root)
    assert now.files("ticks", *COMPUTED) == before


def test_what_cannot_be_computed_is_said(lakes, tmp_path):
    """With a damaged model regimes as of an instant are refused in one line, not left out."""
    _, now = lakes
    shutil.copytree(now.data.root, tmp_path, dirs_exist_ok=True)
    for path in (DataDir(tmp_path).state / "models").rglob("*.json"):
        content = bytearray(path.read_bytes())
        content[40] ^= 1
        path.write_bytes(content)
    with pytest.raises(WorkError, match="fails its checksum") as caught:
        tp.read_regimes(SYMBOL, FIRST, LAST, timeframe="1h", as_of=INSTANT, data_dir=tmp_path)
    assert "\n" not in str(caught.value)
