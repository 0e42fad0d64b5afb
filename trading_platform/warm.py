"""Compile kernels into the on-disk cache, so that no later process compiles: run once at install.

Of the indicators only those that are stored by default: another one compiles when it is first used (0.3 s each).

``python -m trading_platform.warm``
"""

from __future__ import annotations

import importlib
import pkgutil

from trading_platform.jit.kernel import REGISTRY
from trading_platform.jit.native import Native

ELSEWHERE = (
    "trading_platform.ingest.decoder.archive.rows",
    "trading_platform.jit.digits",
    "trading_platform.ingest.decoder.trade_scanner",
    "trading_platform.ingest.transport.frame_splitter_jit",
)
"""Modules outside analytics that hold kernels."""


def load_all() -> None:
    """Import every module that holds kernels, so that every kernel is known."""
    package = importlib.import_module("trading_platform.analytics")
    for module in pkgutil.walk_packages(package.__path__, prefix="trading_platform.analytics."):
        importlib.import_module(module.name)
    for name in ELSEWHERE:
        importlib.import_module(name)


def default_loops() -> set[str]:
    """Return the names of the loops that indicators stored by default need."""
    from trading_platform.analytics.indicator_names import Parsed, parse
    from trading_platform.settings import Settings

    names = set()
    for name in Settings.model_fields["indicators"].default:
        one: Parsed | str | None = parse(name)
        while isinstance(one, Parsed):
            loops = (one.indicator.run, one.indicator.at_midnight)
            names |= {loop.name for loop in loops if loop is not None}
            one = one.source
    return names


def warm() -> dict[str, int]:
    """Compile or load them; return for each how many compilations it cost (0 or 1)."""
    load_all()
    wanted = default_loops()
    known = {n: k for n, k in sorted(REGISTRY.items()) if not isinstance(k, Native) or n in wanted}
    return {name: kernel.compiled() for name, kernel in known.items()}


def main() -> None:
    """Fill the cache and say what was done."""
    cost = warm()
    print(f"{len(cost)} kernels: {sum(cost.values())} compiled, the rest were in the cache")


if __name__ == "__main__":
    main()
