"""How long a server asks to wait: the Retry-After header in seconds, with decimals, or as an HTTP date. Pure.

What a refusal forbids is rest_client.py for requests and connect_policy.py for streams.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_S = 7 * 86_400.0
"""No Retry-After is believed beyond this: a broken header must not end asking for ever."""
_SECONDS = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_MOST_DIGITS = 40


def seconds(text: str | None, sent: str | None = None, wall_s: float | None = None) -> float | None:
    """Return for how many seconds to wait, None if the header is absent or means nothing.

    Parameters
    ----------
    text : the header.
    sent : the answer's Date header. A date is understood by the server's own clock as far as it tells it.
    wall_s : our clock, for a server that does not.

    Examples
    --------
    >>> seconds("90"), seconds("1.5"), seconds("-3"), seconds("soon"), seconds("9" * 50) == LONGEST_S
    (90.0, 1.5, None, None, True)
    >>> seconds("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:26:30 GMT")
    90.0

    A date that has passed asks for nothing. One more than a week ahead says that a clock is wrong.

    >>> seconds("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 08:00:00 GMT")
    0.0
    >>> seconds("Wed, 21 Oct 2026 07:28:00 GMT", wall_s=0.0)
    """
    text = (text or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_S) if len(text) <= _MOST_DIGITS else LONGEST_S
    until_s, now_s = _date(text), _date(sent)
    if now_s is None:
        now_s = wall_s
    if until_s is None or now_s is None or until_s - now_s > LONGEST_S:
        return None
    return max(0.0, until_s - now_s)


def _date(text: str | None) -> float | None:
    if not text or len(text) > _MOST_DIGITS:
        return None
    try:
        told = parsedate_to_datetime(text)
        return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
