"""The asset `regimes`."""

import dagster as dg

from quality import checks
from trading_platform.orchestration.asset_factory import Reported, daily_asset, refreshed
from trading_platform.orchestration.resources import PipelineResource


@daily_asset("regimes", checks=checks.of("regimes"))
def regimes(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Reported:
    """Calm or wild: the market regime of every bar with its probability, from a model that never saw the day."""
    yield from refreshed(context, pipeline, "regimes")
