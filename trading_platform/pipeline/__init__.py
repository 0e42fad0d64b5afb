"""Bring one dataset's symbol-day up to date: plan by content hash, compute, gate, publish, report. Knows no Dagster.

engine      Pipeline: what is stale, in which order          report     what became of it
datasets    the table of datasets                            states     end states of days
ticks bars indicators regimes   what each one computes       models     regime models in force
chain       a symbol's days and what is missing between      uncertain  what that means for an interval
as_of       the same, in memory, as it stood at an instant
"""
