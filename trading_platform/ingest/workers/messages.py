"""What the processes of one ingest say to each other, as lines of JSON. The pipes are worker_process.py.

The recorder and the processor ask for newest ids; the parent asks the venue (recovery/head_prober.py) and answers both.
The processor finds subscriptions that deliver nothing; the parent passes that on to the recorder. What both report of
streams and first trades goes into the account of the run (run_account.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

from trading_platform.telemetry.logs import escape

MOST_SYMBOLS = 40
"""A line must fit in what a pipe takes at once."""
MOST_BESIDE_A_REASON, MOST_REASON = 20, 200
"""And so with a reason, of so many characters."""


class ProbeRequest(msgspec.Struct, frozen=True, tag="probe", tag_field="type"):
    """Ask the venue for the newest trade of these symbols (canonical)."""

    symbols: list[str]


class Renew(msgspec.Struct, frozen=True, tag="renew", tag_field="type"):
    """These are subscribed, and the venue trades them, and they are not delivered."""

    symbols: list[str]


class Heads(msgspec.Struct, frozen=True, tag="heads", tag_field="type"):
    """The newest ids as REST told them; they are in the log. None: never traded, or not known here."""

    heads: dict[str, int | None]


class Opened(msgspec.Struct, frozen=True, tag="opened", tag_field="type"):
    """A stream of these is open."""

    symbols: list[str]


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="type"):
    """An attempt at a stream of these brought none."""

    symbols: list[str]
    reason: str


class Heard(msgspec.Struct, frozen=True, tag="heard", tag_field="type"):
    """Of these a trade was received."""

    symbols: list[str]


class StopWithin(msgspec.Struct, frozen=True, tag="stop within", tag_field="type"):
    """The stop that comes next has so many seconds."""

    seconds: float


_T = TypeVar("_T")
Message = ProbeRequest | Renew | Heads | Opened | Refused | Heard | StopWithin

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def probe(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that ask for these heads.

    >>> list(probe(["BTC-USDT"]))
    [b'{"type":"probe","symbols":["BTC-USDT"]}']
    """
    return (_ENCODER.encode(ProbeRequest(some)) for some in _some(symbols))


def renew(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that ask for new subscriptions."""
    return (_ENCODER.encode(Renew(some)) for some in _some(symbols))


def heads(found: Mapping[str, int | None]) -> Iterator[bytes]:
    """Return the lines that tell heads."""
    return (_ENCODER.encode(Heads(dict(some))) for some in _some(found.items()))


def opened(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that tell of open streams."""
    return (_ENCODER.encode(Opened(some)) for some in _some(symbols))


def refused(symbols: Iterable[str], reason: str) -> Iterator[bytes]:
    """Return the lines that tell of streams that were not opened."""
    words = escape(reason[:MOST_REASON])[:MOST_REASON]
    return (_ENCODER.encode(Refused(some, words)) for some in _some(symbols, MOST_BESIDE_A_REASON))


def heard(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that tell of first trades."""
    return (_ENCODER.encode(Heard(some)) for some in _some(symbols))


def stop_within(seconds: float) -> bytes:
    """Return the line that tells how much time a stop has."""
    return _ENCODER.encode(StopWithin(seconds))


def decode_message(line: bytes) -> Message | None:
    """Return the message, None for a line that is none (from another version during an update)."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None


def _some(items: Iterable[_T], most: int = MOST_SYMBOLS) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some
