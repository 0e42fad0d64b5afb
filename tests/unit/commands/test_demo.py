"""What the demonstration plays."""

from __future__ import annotations

from trading_platform.analytics.regimes.scaled import LOOKBACK
from trading_platform.commands import demo


def test_the_demonstration_is_long_enough_for_regime_labels():
    """Half of the minutes that it plays lie beyond the lookback of a regime."""
    minutes = demo.SECONDS * float(demo.SPEED) / 60
    assert minutes >= 2 * LOOKBACK
