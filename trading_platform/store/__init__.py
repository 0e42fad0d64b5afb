"""What is kept: the segment log, the ledger, staging and the lake.

log/ keeps raw frames, ledger/ what is known about ids, lake/ staged and published files; fs/ is the disk below them.
Where bytes come from is ingest/; what they mean is venues/.
"""
