"""What a run shows in Dagster: metadata, check results, candlestick charts.

The numbers come from pipeline/results.py.
"""
