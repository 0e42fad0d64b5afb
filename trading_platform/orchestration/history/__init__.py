"""Dagster's own history (runs, events, logs): writing it in batches, pruning it, giving freed space back."""
