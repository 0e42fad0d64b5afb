"""What a repair tells Dagster is what it did, once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support.builders.dagster_instance import NOW_NS, FixedPipeline, market, pipeline  # noqa: F401  fixtures
from tests.support.builders.lakes import Market, made_up
from trading_platform.domain.datasets import COMPUTED, DATASETS
from trading_platform.orchestration import jobs
from trading_platform.pipeline.pipeline import Pipeline
from trading_platform.pipeline.results import DayReport

# ruff: noqa: F811  fixtures are handed in under their own names

DAY = "2024-08-08"
BTC, ETH = ("binance", "BTC-USDT"), ("binance", "ETH-USDT")


def test_a_repair_reports_what_follow_did(
    market: Market, pipeline: FixedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is planned a second time; the other symbols of a changed day are told as they are published."""
    whole = made_up(DAY, 1, 200)
    market.hold(whole.without(*range(1050, 1060)))
    market.hold(made_up(DAY, 1, 120), ETH[1], lane="live-b")
    for dataset in DATASETS:
        pipeline.refresh(dataset, DAY)
    market.hold(whole, lane="fetch-0")
    pipeline.refresh("ticks", DAY, [BTC])

    def plan_again(*_: object, **__: object) -> None:
        raise AssertionError

    told: list[DayReport] = []
    monkeypatch.setattr(Pipeline, "refresh", plan_again)
    monkeypatch.setattr(jobs, "report_from_op", lambda context, resource, report: told.append(report))
    jobs._refresh_downstream(None, pipeline, frozenset({(*BTC, DAY)}))

    assert [(report.dataset, report.day) for report in told] == [(dataset, DAY) for dataset in ("ticks", *COMPUTED)]
    for report in told:
        published = pipeline.ledger.leaves(report.dataset, day=DAY)
        assert {result.leaf: result.rows for result in report.results if result.status != "absent"} == {
            leaf: record.rows for leaf, record in published.items()
        }
        assert {(result.leaf.venue, result.leaf.symbol) for result in report.results} == {BTC, ETH}
        assert report.ok
    computed = {result.leaf.symbol for report in told for result in report.results if result.status == "computed"}
    assert computed == {BTC[1]}


def test_a_recovery_launched_by_hand_takes_its_own_lease(market: Market, pipeline: FixedPipeline) -> None:
    """Without a lease in its configuration it leases what is due; with nothing due it has none."""
    context = SimpleNamespace(run_id="0123456789abcdef")
    assert jobs.LeaseConfig().lease == "" == jobs._own_lease(context, pipeline)
    market.hold(made_up(DAY, 1, 50).without(1010, 1011), tail="closed")
    lease = jobs._own_lease(context, pipeline)
    assert [gap.missing for gap in market.ledger.leased(lease)] == [2]
    assert market.ledger.lease(10, NOW_NS, "another") is None
