"""What a run shows in Dagster: metadata, charts, candlesticks.

The numbers come from pipeline/results.py.
"""
