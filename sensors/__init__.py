"""Dagster sensors and schedules: launch runs that record, fetch missing trades, seal days, refresh the current day.

    ingest_keepalive   no process records            gap_recovery   trades are missing
    seal_days          a day is over and settled     observe_ingest counts of new trades, every five minutes
    compare_days       a venue's daily file is due   tidy_runs      runs whose process died, and old runs
    refresh_today      new trades, every 15 minutes  daily_report   the day that ended has no report
    notify             something is wrong            daily_checkpoint   the day's statistics are not judged
    verify_changed   files were published          verify_everything  once a day

Each one reads the ledger or the locks, launches at most one named run, and gives the reason for what it did.
"""
