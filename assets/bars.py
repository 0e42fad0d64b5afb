"""The asset `bars`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, refreshed
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("bars", checks=checks.of("bars"))
def bars(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Open, high, low, close and volumes of each interval from 1s to 1d, exact, with the proof that none is missing."""
    yield from refreshed(context, pipeline, "bars")
