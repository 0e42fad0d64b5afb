"""Compile every kernel into the on-disk cache, so that no later process compiles: run once at install.

``python -m trading_platform.warm``
"""

from __future__ import annotations

import importlib
import pkgutil

from trading_platform.jit.kernel import REGISTRY

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


def warm() -> dict[str, int]:
    """Compile or load every kernel; return for each how many compilations it cost (0 or 1)."""
    load_all()
    return {name: known.compiled() for name, known in sorted(REGISTRY.items())}


def main() -> None:
    """Fill the cache and say what was done."""
    cost = warm()
    print(f"{len(cost)} kernels: {sum(cost.values())} compiled, the rest were in the cache")


if __name__ == "__main__":
    main()
