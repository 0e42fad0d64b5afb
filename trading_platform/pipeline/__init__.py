"""Bring one dataset's symbol-day up to date: plan by content hash, compute, gate, publish, report. Knows no Dagster.

engine, refresher: which symbol-days are looked at, what is stale, what a day starts from; report: what became of it.
datasets: the table; bars, indicators, regimes: what each computes, from what (work, inputs, known, grid, folding).
chain, account, uncertain: a symbol's days, the ids missing between them, the intervals they leave in doubt.
states, models: what is kept between days. verify: what is stored against itself.
"""
