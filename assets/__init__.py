"""The assets: for each day, refresh and report. What a dataset is, is pipeline/; what Dagster needs, orchestration/."""
