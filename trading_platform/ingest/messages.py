"""What the processes of one ingest say to each other, as lines of JSON. The pipes are children.py.

The recorder and the processor ask for heads; their parent, who asks the venue (prober.py), answers both. The processor
finds subscriptions deaf; their parent passes that on to the recorder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

MOST_SYMBOLS = 40
"""A line must fit in what a pipe takes at once."""


class Probe(msgspec.Struct, frozen=True, tag="probe", tag_field="type"):
    """Ask the venue for the newest trade of these symbols (canonical)."""

    symbols: list[str]


class Renew(msgspec.Struct, frozen=True, tag="renew", tag_field="type"):
    """These are subscribed, and the venue trades them, and they are not delivered."""

    symbols: list[str]


class Heads(msgspec.Struct, frozen=True, tag="heads", tag_field="type"):
    """The newest ids as REST told them; they are in the log. None: never traded, or not known here."""

    heads: dict[str, int | None]


_T = TypeVar("_T")
Message = Probe | Renew | Heads

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def probe(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that ask for these heads.

    >>> list(probe(["BTC-USDT"]))
    [b'{"type":"probe","symbols":["BTC-USDT"]}']
    """
    return (_ENCODER.encode(Probe(some)) for some in _some(symbols))


def renew(symbols: Iterable[str]) -> Iterator[bytes]:
    """Return the lines that ask for new subscriptions."""
    return (_ENCODER.encode(Renew(some)) for some in _some(symbols))


def heads(found: Mapping[str, int | None]) -> Iterator[bytes]:
    """Return the lines that tell heads."""
    return (_ENCODER.encode(Heads(dict(some))) for some in _some(found.items()))


def read(line: bytes) -> Message | None:
    """Return the message, None for a line that is none (from another version during an update)."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None


def _some(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, MOST_SYMBOLS)):
        yield some
