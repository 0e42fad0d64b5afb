"""A venue's limits with one of them changed."""

from __future__ import annotations

from collections.abc import Iterable

from trading_platform.venues.limits import RateLimit, What


def with_limit(limits: Iterable[RateLimit], what: What, most: float) -> tuple[RateLimit, ...]:
    """Return the limits, of which the one on this thing is another."""
    return tuple(limit._replace(most=most) if limit.what == what else limit for limit in limits)
