"""What a person is told when something is wrong: a cause, once, however much it shows in.

Telling is telemetry/notices.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Tier = Literal["page", "ticket"]
"""``page``: data is being lost or nothing is known; ``ticket``: within hours."""


class Cause(NamedTuple):
    """One thing that is wrong: `key` names it for as long as it lasts, `text` says it in one line."""

    key: str
    tier: Tier
    text: str
