"""What starts runs by itself: recording that nobody does, days that are over, trades that are missing, the running day.

    ingest_keepalive   nobody records                gap_recovery   trades are missing
    seal_days          a day is over and decided     observe_ingest what came in, every five minutes
    schedules          the running day               tidy_runs      runs whose process is gone, and old ones

Each decides from the ledger or the locks, launches one named run, and says in words why it did or did not.
"""
