"""Times as users write them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from trading_platform.domain.days import day_start
from trading_platform.domain.errors import UsageError
from trading_platform.domain.inputs.instants import instant_ns

MIDNIGHT = day_start("2024-08-08")
HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    "value",
    [
        "2024-08-08",
        "2024-08-08 00:00",
        "2024-08-08T00:00:00Z",
        "2024-08-08T02:00:00.000+02:00",
        "2024-08-07T19:00:00-0500",
        "2024-08-08 00:00:00 UTC",
        dt.date(2024, 8, 8),
        dt.datetime(2024, 8, 8),  # noqa: DTZ001  naive is the point
        dt.datetime(2024, 8, 8, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        pd.Timestamp("2024-08-08"),
        pd.Timestamp("2024-08-08 02:00", tz="Europe/Berlin"),
        np.datetime64("2024-08-08"),
        np.datetime64("2024-08-08T00:00:00", "ms"),
        MIDNIGHT,
        np.int64(MIDNIGHT),
    ],
)
def test_every_way_to_say_midnight(value):
    """Texts, dates, datetimes, pandas', numpy's and ns all mean the same instant; naive is UTC."""
    assert instant_ns(value) == MIDNIGHT


def test_nanoseconds_are_kept():
    """No way to say a time rounds it."""
    exact = MIDNIGHT + HOUR + 123_456_789
    assert instant_ns("2024-08-08T01:00:00.123456789") == exact
    assert instant_ns(pd.Timestamp(exact, tz="UTC")) == exact
    assert instant_ns(np.datetime64(exact, "ns")) == exact
    assert instant_ns("2024-08-08 01:00:00.5") == MIDNIGHT + HOUR + 5 * 10**8
    assert instant_ns("1969-12-31T23:59:59.999999999Z") == -1


@pytest.mark.parametrize(
    "value",
    [
        *("", "today", "2024-02-30", "2024-08-08T25:00", "1723075200", "2024-8-8", "２０２４-08-08", "9999-01-01"),
        *("2024-08-08T00:00:00.1234567891", None, True, 1.5, pd.NaT, np.datetime64("NaT"), 2**63, [1]),
        *(
            np.datetime64("9999-01-01"),
            pd.Timestamp("3000-01-01").as_unit("s"),
            dt.datetime.max.replace(tzinfo=dt.UTC),
            "2024-13-45",
        ),
    ],
)
def test_what_is_no_time_is_refused(value):
    """Anything else is one clear line."""
    with pytest.raises(UsageError):
        instant_ns(value)


@pytest.mark.parametrize(("number", "unit"), [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds")])
@pytest.mark.parametrize("kind", [int, np.int64])
def test_integers_of_another_unit_are_refused(number, unit, kind):
    """Seconds, milliseconds and microseconds of our times are named with what to multiply them by."""
    with pytest.raises(UsageError, match=f"in 197.*multiply {unit} by"):
        instant_ns(kind(MIDNIGHT // 10**9 * number))
    assert instant_ns(kind(0)) == 0
