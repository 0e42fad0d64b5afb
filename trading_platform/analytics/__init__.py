"""Compute bars, technical indicators and market regimes as pure functions on arrays.

No clock, no randomness of its own, no I/O, no settings. Importing this package or the table of indicators
imports neither numpy nor numba; kernels compile, or come from the on-disk cache, when first called.
Bringing a stored dataset up to date is pipeline/; the calls for notebooks are `trading_platform` itself.
"""
