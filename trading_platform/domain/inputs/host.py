"""A host as it stands in an address: its name and perhaps its port."""

from __future__ import annotations

import re
from typing import NamedTuple

from trading_platform.domain.errors import UsageError

PATTERN = r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_][a-z0-9_.-]{0,252})(?::([0-9]{1,5}))?"
_HOST = re.compile(PATTERN, re.ASCII)


class Host(NamedTuple):
    """A host; `port` None: not said."""

    name: str
    port: str | None

    @classmethod
    def of(cls, text: str) -> Host | None:
        """Return the host, None for what is none.

        >>> Host.of("LocalHost:3000")
        Host(name='localhost', port='3000')
        """
        found = _HOST.fullmatch(text.lower())
        return cls(found[1], found[2]) if found else None


def check_host(text: str) -> str:
    """Return a host as browsers send it.

    >>> check_host("Ticks.Example.com:8443")
    'ticks.example.com:8443'
    >>> check_host("http://ticks.example.com")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: must be a host such as ticks.example.com or ticks.example.com:8443
    """
    try:
        host = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        host = ""
    if Host.of(host) is None:
        raise UsageError("must be a host such as ticks.example.com or ticks.example.com:8443")
    return host.lower()
