"""The table of what is expected of a day: one line a number, in families. A family is a check that Dagster shows.

What the numbers are is day_statistics.py; the band around the days before is limits.py.
"""

from __future__ import annotations

from typing import NamedTuple

from quality.expectations.limits import Scale
from quality.named_checks import Tier


class Expected(NamedTuple):
    """One number that a day is judged by.

    Attributes
    ----------
    family : the check that it belongs to; statistic : the number.
    meaning : what it is, in words.
    deviations : robust standard deviations of the days before that it may lie away; least : never less than this.
    whole : whether it can be told of a whole day only, not of one on which the recording began.
    limits : fixed ends instead of those from the days before; then no history is needed.
    absent : why there may be none of it.
    """

    family: str
    statistic: str
    meaning: str
    scale: Scale
    deviations: float
    least: float
    whole: bool = False
    limits: tuple[float, float] | None = None
    absent: str = "the day's bars or trades do not tell it"


TIERS: dict[str, Tier] = {
    "counts": "ticket",
    "hours": "ticket",
    "returns": "ticket",
    "waits": "ticket",
    "takers": "ticket",
    "stale_prices": "ticket",
    "outliers": "ticket",
    "sizes": "ticket",
    "price_level": "page",
    "delay": "ticket",
    "venues": "ticket",
    "candles": "page",
}
"""Family to tier."""

_NO_TICKS = "too few trades of the day are held"
_NO_SIDES = "too few trades have a known side"

EXPECTED = (
    Expected("counts", "trades", "trades of the day", "ratio", 5, 0.6, whole=True),
    Expected("hours", "empty_hours", "hours without a trade", "difference", 8, 0.5, whole=True),
    Expected("hours", "quietest_hour", "trades of the quietest hour, in average hours", "ratio", 6, 1.2, whole=True),
    Expected("hours", "busiest_hour", "trades of the busiest hour, in average hours", "ratio", 5, 0.7, whole=True),
    Expected("returns", "typical_return", "mean size of a bar's return", "ratio", 6, 0.8),
    Expected("returns", "largest_return", "largest return of a bar", "ratio", 6, 1.2),
    Expected("returns", "largest_wick", "furthest that a high or low lies outside open and close", "ratio", 6, 1.2),
    Expected("waits", "typical_wait_s", "mean seconds between trades", "ratio", 8, 0.6, absent=_NO_TICKS),
    Expected(
        "waits", "long_wait_s", "seconds that 99 of 100 waits are shorter than", "ratio", 8, 0.8, absent=_NO_TICKS
    ),
    Expected("waits", "longest_wait_s", "longest wait between trades, s", "ratio", 9, 1.6, absent=_NO_TICKS),
    Expected("takers", "taker_share", "share of the volume that takers bought", "difference", 8, 0.1, absent=_NO_SIDES),
    Expected(
        "takers",
        "taker_agreement",
        "correlation of takers' buying with the price",
        "difference",
        8,
        0.25,
        absent=_NO_SIDES,
    ),
    Expected("stale_prices", "unchanged_minutes", "longest time without a change of price", "difference", 10, 15),
    Expected("stale_prices", "unchanged_share", "share of bars without a change of price", "difference", 10, 0.15),
    Expected(
        "outliers", "outlier_trades", "trades far from the prices around them", "difference", 8, 0.5, absent=_NO_TICKS
    ),
    Expected("sizes", "trade_size", "mean size of a trade", "ratio", 4, 0.5),
    Expected(
        "price_level",
        "opening_change",
        "jump from the last price of the day before",
        "ratio",
        0,
        0,
        limits=(0.0, 0.25),
        absent="nothing is held of the day before",
    ),
    Expected(
        "delay",
        "delay_ms",
        "median ms from the venue's clock to ours",
        "difference",
        10,
        500,
        absent="no live trades of the present",
    ),
    Expected(
        "venues",
        "venue_deviation",
        "median distance to another venue's price",
        "difference",
        10,
        0.002,
        absent="no other venue of it is held",
    ),
    Expected(
        "candles",
        "candle_volume",
        "volume of complete bars over that of the venue's candles",
        "ratio",
        0,
        0,
        limits=(1 - 1e-9, 1 + 1e-9),
        absent="no candles of the venue are held",
    ),
)
"""Every number that is judged."""

FAMILIES = tuple(dict.fromkeys(each.family for each in EXPECTED))
"""The families, in the table's order."""

DESCRIPTIONS = {family: "; ".join(each.meaning for each in EXPECTED if each.family == family) for family in FAMILIES}
"""What a family looks at, in words."""
