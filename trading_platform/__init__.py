"""Records every exchange trade, proves that none is missing, and turns trades into bars, indicators and regimes.

``import trading_platform as tp`` is quick: what a name needs is imported when it is first used. A call that cannot mean
what it is asked raises `tp.UsageError` (a ValueError) with one sentence, one whose work failed `tp.WorkError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trading_platform.analytics.folding.bars_from_frames import make_bars
    from trading_platform.analytics.folding.order_flow import footprint, order_flow
    from trading_platform.analytics.folding.resampling import resample
    from trading_platform.analytics.notebook import compute, indicator_table
    from trading_platform.analytics.regimes.fit import fit_regimes
    from trading_platform.analytics.streams import Stream as stream  # noqa: N813  tp.stream(...), tp.stream.restore(...)
    from trading_platform.api.catalog import catalog
    from trading_platform.api.plot import plot
    from trading_platform.api.readers import (
        coverage,
        instruments,
        read_bars,
        read_indicators,
        read_regimes,
        read_ticks,
    )
    from trading_platform.domain.errors import UsageError, WorkError

__version__ = "0.1.0"

# Name → module and the name there. No subpackage may bear one of these names: importing it would overwrite the call.
_CALLS = {
    "UsageError": ("trading_platform.domain.errors", "UsageError"),
    "WorkError": ("trading_platform.domain.errors", "WorkError"),
    "compute": ("trading_platform.analytics.notebook", "compute"),
    "stream": ("trading_platform.analytics.streams", "Stream"),
    "indicator_table": ("trading_platform.analytics.notebook", "indicator_table"),
    "order_flow": ("trading_platform.analytics.folding.order_flow", "order_flow"),
    "footprint": ("trading_platform.analytics.folding.order_flow", "footprint"),
    "make_bars": ("trading_platform.analytics.folding.bars_from_frames", "make_bars"),
    "resample": ("trading_platform.analytics.folding.resampling", "resample"),
    "fit_regimes": ("trading_platform.analytics.regimes.fit", "fit_regimes"),
    "catalog": ("trading_platform.api.catalog", "catalog"),
    "plot": ("trading_platform.api.plot", "plot"),
    "read_ticks": ("trading_platform.api.readers", "read_ticks"),
    "read_bars": ("trading_platform.api.readers", "read_bars"),
    "read_indicators": ("trading_platform.api.readers", "read_indicators"),
    "read_regimes": ("trading_platform.api.readers", "read_regimes"),
    "coverage": ("trading_platform.api.readers", "coverage"),
    "instruments": ("trading_platform.api.readers", "instruments"),
}

__all__ = [
    "UsageError",
    "WorkError",
    "catalog",
    "compute",
    "coverage",
    "fit_regimes",
    "footprint",
    "indicator_table",
    "instruments",
    "make_bars",
    "order_flow",
    "plot",
    "read_bars",
    "read_indicators",
    "read_regimes",
    "read_ticks",
    "resample",
    "stream",
]


def __getattr__(name: str) -> Any:
    """Import a public call when it is first used."""
    if name not in _CALLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _CALLS[name]
    if name in {"compute", "stream", "indicator_table"}:
        from trading_platform.analytics.own_indicators import ask_for_paths

        ask_for_paths(_indicator_paths)
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def _indicator_paths() -> tuple[str, ...]:
    """Read the one setting that `compute` and `stream` follow, once they meet a name that is not built in."""
    from trading_platform import settings

    return settings.load().indicator_paths


def __dir__() -> list[str]:
    """Name the public calls too."""
    return sorted({*globals(), *_CALLS})
