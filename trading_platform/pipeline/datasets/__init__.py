"""The datasets that are computed from ticks: a table and a file each.

When one is recomputed is pipeline/symbol_day.py.
"""
