"""The default model: three regimes of volatility-scaled returns, for symbols with too few days to fit their own.

Round numbers near what fits give on five-minute returns of liquid spot pairs. Changing one is a new version.
"""

from __future__ import annotations

from trading_platform.analytics.regimes.hmm import GaussianHmm
from trading_platform.analytics.regimes.scaled import ScaledModel

DEFAULT = ScaledModel(
    GaussianHmm.of(
        start=[0.45, 0.50, 0.05],
        transition=[[0.970, 0.028, 0.002], [0.030, 0.940, 0.030], [0.010, 0.190, 0.800]],
        means=[0.0, 0.0, 0.0],
        variances=[0.27, 0.95, 6.2],
    ),
    "default-1",
)
