"""Take credentials out of texts for people: addresses stand in settings, logs and errors, and may hold some."""

from __future__ import annotations

import re

MASK = "********"

_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_PARAMETER = re.compile(
    r"([?&][\w.-]*(?:key|token|secret|sign|sig|passw|pwd|auth|credential)[\w.-]*=)[^&\s\"'#]+", re.IGNORECASE
)


def masked(text: str) -> str:
    """Return a text without the user, the password and the secret parameters of any address in it.

    >>> masked("wss://me:word@host/ws?streams=btcusdt@trade&apiKey=123&x=1")
    'wss://********@host/ws?streams=btcusdt@trade&apiKey=********&x=1'
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", text))
