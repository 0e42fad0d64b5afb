"""Fold trades into bars, and bars into wider ones: exact sums, thresholds, frames in and out. Indicators are beside."""
