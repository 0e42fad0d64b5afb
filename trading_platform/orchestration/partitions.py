"""Dagster's partitions: one UTC day with all its venues and symbols.

Not symbol x day: that costs ten times the events, and tens of thousands of partitions freeze the UI. They begin with
the first day that has data, so that the UI's share of filled partitions is meaningful. Earlier days fetched later move
the beginning at the next load of definitions (`up` reloads when store/lake/first_day.py changes).
"""

from __future__ import annotations

import time

import dagster as dg

from trading_platform.domain.days import day_of
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.settings import Settings
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import first_day


def begin(settings: Settings, today: str) -> str:
    """Return the first partition: the first stored day, or the first the settings ask for, else today.

    >>> from pathlib import Path
    >>> begin(Settings(data_dir=Path("/nonexistent")), "2024-08-08")
    '2024-08-08'
    """
    asked = [venue.record_from for venue in settings.venues.values()]
    # An id's day is known once it is held; trades before the start of history are refused.
    days = [max(day, settings.history_start) for day in asked if isinstance(day, str)]
    return min([today, first_day(DataDir(settings.data_dir)) or today, *days])


def daily(first: str) -> dg.DailyPartitionsDefinition:
    """Return the days from `first` on, the running one included.

    >>> daily("2024-08-08").get_first_partition_key()
    '2024-08-08'
    """
    return dg.DailyPartitionsDefinition(first, timezone="UTC", end_offset=1)


DAILY = daily(begin(settings_in_force(), day_of(time.time_ns())))

YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
"""A day's state begins where the day before ended; the first one has none before it."""
