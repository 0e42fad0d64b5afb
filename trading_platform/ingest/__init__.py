"""Move trades from a venue into the log, the ledger and the lake: recorder, processor, refetch."""
