"""What a venue allows: so much of a thing in a window, by whom it is counted. Plain values.

Keeping within them is ingest/rate_limits/ for requests and connects, ingest/recorder/connection_groups.py for streams.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

What = Literal["weight", "requests", "connects", "messages", "streams", "address_bytes"]
"""Request weight; requests; connection attempts; messages, pings and pongs that a client sends; streams of a
connection; bytes of a stream's address, as proxies before the venue accept them too."""


class RateLimit(NamedTuple):
    """So much of a thing in a window.

    How long one message to the venue may be, and how many symbols it may name, is the adapter's own business: it cuts
    what is to be said (`VenueAdapter.connect`).

    Attributes
    ----------
    what : the thing that is counted.
    most : so much of it is allowed.
    window_s : in so many seconds; 0: at any time.
    scope : what is counted together: an address of ours, a connection, a key.

    Examples
    --------
    >>> RateLimit("weight", 6000, 60.0)
    RateLimit(what='weight', most=6000, window_s=60.0, scope='address')
    """

    what: What
    most: float
    window_s: float = 0.0
    scope: Literal["address", "connection", "key"] = "address"

    @property
    def per_second(self) -> float:
        """So much of it a second."""
        return self.most / self.window_s if self.window_s else math.inf


def limit_of(limits: Iterable[RateLimit], what: What) -> RateLimit:
    """Return the limit on a thing, one without a bound if the venue names none.

    >>> limit_of([RateLimit("streams", 1024)], "streams").most, limit_of([], "streams").most
    (1024, inf)
    """
    return next((limit for limit in limits if limit.what == what), RateLimit(what, math.inf))
