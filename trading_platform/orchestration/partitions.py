"""The partition of everything: a UTC day, all venues and symbols in it.

Not symbol x day: that costs ten times the events, and tens of thousands of partitions freeze the UI.
"""

from __future__ import annotations

import dagster as dg

from trading_platform.orchestration.resources import settings_in_force


def daily(history_start: str) -> dg.DailyPartitionsDefinition:
    """Return the days from `history_start` on, the running one included.

    >>> daily("2024-08-08").get_first_partition_key()
    '2024-08-08'
    """
    return dg.DailyPartitionsDefinition(history_start, timezone="UTC", end_offset=1)


DAILY = daily(settings_in_force().history_start)

YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
"""A day's state begins where the day before ended."""
