"""What is kept: the segment log, the ledger, staging and the lake.

segment_log keeps raw frames, ledger what is known about ids, staging and lake the published files.
Where bytes come from is ingest/; what they mean is venues/.
"""
