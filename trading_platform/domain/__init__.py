"""Plain values every layer shares: trades, instruments, bars, id ranges, days, verdicts, errors.

No I/O, no clock, no randomness. Imports nothing of ours.
"""
