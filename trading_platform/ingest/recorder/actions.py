"""What a session tells its recorder to do, and what a refusal means to it. Plain values.

Deciding is session.py, doing it recorder.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from trading_platform.venues.adapter import Subscribe
from trading_platform.venues.answers import AnswerVerdict

Meaning = Literal["wait", "too long", "asked too much", "final", "trouble"]
"""Come back later; the address is too long; something about what was asked for; it is about us or about the address as
a whole, and asking again changes nothing by itself; the venue itself is not well."""


class Connect(NamedTuple):
    """Open a connection and call it by this number."""

    connection: int


class Close(NamedTuple):
    """End a connection: take what has arrived (`abort`: it is dead, nothing will)."""

    connection: int
    reason: str
    abort: bool = False


class Ping(NamedTuple):
    """Send the venue's kind of ping."""

    connection: int


class Say(NamedTuple):
    """Send a message, if the venue's limit allows it now, and tell `said`."""

    connection: int
    message: Subscribe


class Subscribed(NamedTuple):
    """Tell of symbols that a connection carries by now, which had to be subscribed by message."""

    symbols: tuple[str, ...]


class SymbolsRefused(NamedTuple):
    """The venue does not stream these symbols; it is asked again in `again_s` seconds."""

    symbols: tuple[str, ...]
    reason: str
    again_s: float


class Probe(NamedTuple):
    """Have the heads of these symbols asked for by REST, and tell `probed`."""

    symbols: tuple[str, ...]


class SymbolsLost(NamedTuple):
    """Say in the log that nobody knows what these symbols traded meanwhile."""

    symbols: tuple[str, ...]
    reason: str


class HandoverStep(NamedTuple):
    """Say in the log how far the change from one connection to another is."""

    step: str
    old: int
    new: int
    reason: str


class Split(NamedTuple):
    """Open connections of fewer symbols each instead; the one that was asked for is given up.

    `meaning` tells as what so many were refused: by their address's length, or otherwise.
    """

    meaning: Meaning


Action = Connect | Close | Ping | Say | Subscribed | SymbolsRefused | Probe | SymbolsLost | HandoverStep | Split


def meaning_of(verdict: AnswerVerdict, *, serves_others: bool) -> Meaning:
    """Return what a verdict means to who asked for a stream.

    Parameters
    ----------
    serves_others : whether another connection to the venue is open: then what may be about us or about what was asked
        for is the latter.

    Examples
    --------
    >>> told = AnswerVerdict("refused", about="either")
    >>> meaning_of(told, serves_others=False), meaning_of(told, serves_others=True)
    ('final', 'asked too much')
    """
    if verdict.kind in {"rate_limited", "banned"}:
        return "wait"
    if verdict.kind != "refused":
        return "trouble"
    if verdict.about == "length":
        return "too long"
    asked = verdict.about == "request" or (verdict.about == "either" and serves_others)
    return "asked too much" if asked else "final"
