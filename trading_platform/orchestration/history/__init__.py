"""Dagster's own history (runs, events, logs): pruning it, giving freed space back, copying it to another storage."""
