"""Compile numeric kernels with numba through one decorator, cached on disk.

The kernels live beside the code that uses them, in analytics/ and ingest/.
"""
