"""Units of time as whole nanoseconds. Days are days.py, timeframes timeframe.py."""

NS_PER_S = 1_000_000_000
