"""The asset `instruments`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, refreshed
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("instruments", checks=checks.of("instruments"))
def instruments(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """What each venue lists, with its price and quantity steps, as it was listed on the day or last before it."""
    yield from refreshed(context, pipeline, "instruments")
