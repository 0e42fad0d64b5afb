"""Turn log records into trades and ledger facts. Deterministic: no clock, no I/O.

Wire formats are venues/, what the facts prove is completeness/.
"""
