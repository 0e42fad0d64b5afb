"""The asset `ticks`. Recording is ingest's; here a day's recorded trades are published, and sealed once it is over."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, refreshed
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("ticks", checks=checks.of("ticks"))
def ticks(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Every trade of the day, once, as the exchange printed it. Published while it runs, sealed when it is over."""
    yield from refreshed(context, pipeline, "ticks")
