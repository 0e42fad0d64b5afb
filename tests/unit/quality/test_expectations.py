"""A day is judged by the days before: what is unusual fails, too much like too little, and no history is no pass."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest

from quality.expectations import kept
from quality.expectations.checkpoint import checkpoint, judge
from quality.expectations.data_docs import self_contained
from quality.expectations.families import EXPECTED, FAMILIES, TIERS
from quality.expectations.suites import Judged, _answer
from quality.outages import SHIPPED, load_outages
from sensors.daily_checkpoint import daily_checkpoint
from tests.support.builders.dagster_instance import (  # noqa: F401  fixtures
    NOW_NS,
    FixedPipeline,
    definitions_on,
    defs,
    events,
    instance,
    market,
    pipeline,
    unused,
)
from tests.support.builders.klines import PLANTED, candle_days, statistics_of_candles
from tests.support.builders.lakes import Market, made_up
from trading_platform.domain.errors import UsageError
from trading_platform.orchestration import keys

# ruff: noqa: F811  fixtures are handed in under their own names

DAY = "2024-08-11"
PLANTED_DAY = "2024-06-18"
CRASH = "2024-08-05"
"""A day on which the market itself was unusual: it fell by a sixth within hours."""


def _families(values, history) -> set[str]:
    judged, _ = judge(values, history)
    return {each.family for each in judged if not each.low <= each.value <= each.high}


@pytest.fixture
def folder(shared_data) -> Path:
    return shared_data("klines/skytree-btcusdt-5m")


def test_eight_months_of_a_real_market_raise_one_alarm(folder: Path) -> None:
    """Of 237 days that have a week before them only the crash of August is unusual, and nothing pages."""
    found = statistics_of_candles(candle_days(folder))
    days = list(found)
    alarms = {}
    for at in range(7, len(days)):
        families = _families(found[days[at]], {day: found[day] for day in days[max(0, at - 30) : at]})
        if families:
            alarms[days[at]] = families
    assert CRASH in alarms
    assert not {family for families in alarms.values() for family in families if TIERS[family] == "page"}
    assert len(alarms) <= 237 / 30, alarms


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_raises_its_families(folder: Path, fault: str) -> None:
    """Each fault in a real day fails exactly the families that must see it; the day as it was fails none."""
    days = candle_days(folder)
    names = [name for name in days if name <= PLANTED_DAY][-31:]
    history = statistics_of_candles({name: days[name] for name in names[:-1]})
    make, families = PLANTED[fault]
    told = statistics_of_candles({"clean": days[PLANTED_DAY], "broken": make(days[PLANTED_DAY])})
    assert _families(told["clean"], history) == set()
    assert _families(told["broken"], history) == families


def test_a_week_is_needed(folder: Path) -> None:
    """With six days before, each number that is compared with them is skipped, and says so; with seven, judged."""
    found = statistics_of_candles(dict(list(candle_days(folder).items())[:8]))
    *before, last = found
    judged, skipped = judge(found[last], {day: found[day] for day in before[1:]})
    assert {each.statistic for each in judged} == {"opening_change"}
    assert {each.reason for each in skipped if each.family == "counts"} == {"6 days of history, 7 are needed"}
    assert len(judged) + len(skipped) == len(EXPECTED)
    judged, _ = judge(found[last], {day: found[day] for day in before})
    assert {"trades", "taker_share"} <= {each.statistic for each in judged}


def test_an_expectation_that_cannot_be_judged_has_failed() -> None:
    """One that raised, one without a result, and one that looked at no value are failures, never passes."""
    judged = Judged("trades", "counts", "ticket", 1.0, 0.0, 2.0, "")
    raised = SimpleNamespace(exception_info={"raised_exception": True, "exception_message": "no"}, success=True)
    assert not _answer(judged, raised).passed
    assert not _answer(judged, None).passed
    for counted in ((0, 0), (1, 1)):
        result = dict(zip(("element_count", "missing_count"), counted, strict=True))
        looked = SimpleNamespace(exception_info={}, success=True, result=result)
        assert not _answer(judged, looked).passed


def test_every_family_has_a_tier_and_every_number_a_family() -> None:
    """The table is whole, and no number stands in it twice."""
    assert set(TIERS) == set(FAMILIES)
    assert len({each.statistic for each in EXPECTED}) == len(EXPECTED)


def test_a_page_keeps_its_words_and_loses_what_it_loads() -> None:
    """Scripts, links and pictures go, with every address elsewhere; tables stay."""
    page = (
        '<!DOCTYPE html><html><head><script src="https://a.org/x.js"></script></head><body onload="go()">'
        '<a href="https://a.org">made by</a> <a href="../index.html">Home</a><table><tr><td>7</td></tr></table>'
        '<script>fetch("https://a.org")</script><style>b { background: url(https://a.org/c.png) }</style></body></html>'
    )
    told = self_contained(page, "../")
    assert "http" not in told and "script" not in told and "onload" not in told
    assert '<a href="../index.html">Home</a>' in told and "<td>7</td>" in told and "made by" in told


@pytest.fixture
def fortnight(market: Market, pipeline: FixedPipeline) -> Market:
    """Ten days of trades with their bars, the last with ten times as many trades."""
    market.hold(made_up("2024-08-01", 11, 400), tail="closed")
    market.hold(made_up("2024-08-01", 10, 400), symbol="ETH-USDT", lane="other")
    market.hold(made_up(DAY, 1, 4000, first_id=5000), symbol="ETH-USDT", lane="other", tail="closed")
    days = [f"2024-08-{day:02}" for day in range(1, 12)]
    for day in days:
        pipeline.refresh("bars", day)
    return market


def test_the_checkpoint_in_dagster(fortnight: Market, pipeline: FixedPipeline, instance, tmp_path: Path) -> None:
    """The job judges yesterday: the busy symbol fails `counts`, what has no history has no result, pages load nothing.

    The schedule launches it once.
    """
    home = tmp_path / "home"
    home.mkdir()
    stored = dg.DagsterInstance.local_temp(str(home))  # a schedule sees no instance in memory

    def tick() -> str:
        repository = defs.get_repository_def()
        with dg.build_schedule_context(stored, resources={"pipeline": pipeline}, repository_def=repository) as context:
            told = daily_checkpoint.evaluate_tick(context)
        return str(told.run_requests[0].partition_key if told.run_requests else told.skip_message)

    assert tick() == DAY
    job = definitions_on(pipeline).resolve_job_def(keys.DAILY_CHECKPOINT)
    assert job.execute_in_process(instance=instance, partition_key=DAY).success
    results = {
        event.event_specific_data.check_name: event.event_specific_data
        for event in events(instance, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    }
    assert not results["counts"].passed
    assert "binance ETH-USDT: trades is 4000" in results["counts"].description
    assert results["counts"].partition == DAY
    assert "venues" not in results and "candles" not in results
    pages = list(fortnight.data.data_docs.rglob("*.html"))
    assert {"index.html", "statistics.html"} <= {page.name.removeprefix("lake-") for page in pages}
    for path in [*pages, *fortnight.data.data_docs.rglob("*.css")]:
        text = path.read_text()
        assert "http:" not in text and "https:" not in text and "<script" not in text, path
    index = (fortnight.data.data_docs / "index.html").read_text()
    assert "binance ETH-USDT" in index and "no other venue of it is held" in index
    assert tick() == f"{DAY} is judged"
    stored.dispose()


def test_a_known_outage_is_skipped_and_is_no_history(fortnight: Market, tmp_path: Path) -> None:
    """What a declared day excuses is skipped with its source; after it expires it excuses nothing."""
    path = tmp_path / "outages.toml"
    entry = {"venue": "binance", "first": DAY, "last": DAY, "source": "their status page", "expires": "2024-09-01"}
    text = "\n".join(f'{name} = "{value}"' for name, value in entry.items())
    path.write_text(f'[[outage]]\n{text}\nfamilies = ["counts"]\n')

    def judged(today: str):
        outages = load_outages(path, today)
        return checkpoint(fortnight.data, fortnight.ledger, DAY, NOW_NS, docs=False, outages=outages)

    excused = judged("2024-08-12")
    assert excused.judged("counts") == 0 and excused.failures("counts") == []
    assert excused.reasons("counts") == {"known outage: their status page": 2}
    assert excused.failures("waits")  # it says nothing of these
    assert judged("2024-09-02").failures("counts")
    (outage,) = load_outages(path, "2024-08-12")
    week = [outage._replace(first="2024-08-01", last="2024-08-05")]
    alone = checkpoint(fortnight.data, fortnight.ledger, DAY, NOW_NS, docs=False, outages=week)
    assert "5 days of history, 7 are needed" in alone.reasons("sizes")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": ""}, "needs source"),
        ({"expires": None}, "needs expires"),
        ({"last": "2024-08-01"}, "before it begins"),
        ({"first": "yesterday"}, "yesterday"),
        ({"reason": "x"}, "unknown reason"),
        ({"symbols": "BTC-USDT"}, "list of texts"),
    ],
)
def test_an_outage_that_is_not_whole_is_refused(tmp_path: Path, change: dict[str, str | None], told: str) -> None:
    """Each needs its source and its end; what is not known is named."""
    entry = {"venue": "binance", "first": DAY, "last": DAY, "source": "s", "expires": "2024-09-01"} | change
    path = tmp_path / "outages.toml"
    path.write_text("[[outage]]\n" + "\n".join(f'{n} = "{v}"' for n, v in entry.items() if v is not None))
    with pytest.raises(UsageError, match=told):
        load_outages(path, "2024-08-12")


def test_the_shipped_file_excuses_nothing() -> None:
    """It holds an example and no outage."""
    assert load_outages(SHIPPED, "2024-08-12") == []


def test_numbers_are_made_again_only_where_a_file_changed(market: Market, pipeline: FixedPipeline, monkeypatch) -> None:
    """Kept numbers are used; another content, and a damaged file of them, has them made again."""
    market.hold(made_up("2024-08-01", 1, 200), tail="closed")
    pipeline.refresh("bars", "2024-08-01")
    first = kept.statistics_of(market.data, market.ledger, "2024-08-01")
    made = []
    real = kept._made
    monkeypatch.setattr(kept, "_made", lambda *args: made.append(1) or real(*args))
    assert kept.statistics_of(market.data, market.ledger, "2024-08-01") == first
    assert not made
    (market.data.statistics / "2024-08-01.json").write_text("{")
    assert kept.statistics_of(market.data, market.ledger, "2024-08-01") == first
    more = made_up("2024-08-01", 1, 10, first_id=5000)
    market.hold(more, lane="other")
    assert kept.statistics_of(market.data, market.ledger, "2024-08-01") != first
    assert len(made) == 2


def test_a_day_that_cannot_be_judged_is_refused(market: Market) -> None:
    """The running day, and one of which nothing is held, are refused in words."""
    with pytest.raises(UsageError, match="not over"):
        checkpoint(market.data, market.ledger, "2024-08-12", NOW_NS)
    with pytest.raises(UsageError, match="nothing is held"):
        checkpoint(market.data, market.ledger, DAY, NOW_NS)


def test_nothing_is_launched_without_data(unused: FixedPipeline, tmp_path: Path) -> None:
    """A data directory that is not there launches nothing."""
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as stored,
        dg.build_schedule_context(
            stored, resources={"pipeline": unused}, repository_def=defs.get_repository_def()
        ) as context,
    ):
        assert "nothing is recorded yet" in str(daily_checkpoint.evaluate_tick(context).skip_message)


def test_the_spread_of_the_days_before_is_robust() -> None:
    """One wild day among thirty does not widen the band."""
    from quality.expectations.limits import band

    usual = np.random.default_rng(1).normal(100, 5, 30).tolist()
    calm = band(usual, "ratio", deviations=5, least=0.1)
    wild = band([*usual[:-1], 1e9], "ratio", deviations=5, least=0.1)
    assert wild.high < calm.high * 1.1
