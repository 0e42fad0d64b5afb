"""What lies in the log beside raw frames: facts about connections, promises, declarations, pages.

Only the values and their bytes. Who writes them is recorder.py and recovery.py, what they mean is decoder.py.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from trading_platform.domain.channels import TRADES
from trading_platform.domain.errors import FrameError

REFUSED = (ValueError, RecursionError)
"""What msgspec raises at wrong bytes: its own errors, text that is not UTF-8, nesting that is too deep."""


class _Control(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of control records: tagged, immutable, one JSON object each."""


class Started(_Control, frozen=True, tag="started"):
    """A recorder began to write this lane; the connections of the one before are closed."""

    venue: str
    symbols: dict[str, str]  # venue's spelling -> canonical
    after_ns: int = 0  # up to when something was known of their ends, see lane_clock.py


class Connected(_Control, frozen=True, tag="connected"):
    """Frames of this connection number are answers to a subscription of these symbols."""

    venue: str
    connection: int
    symbols: dict[str, str]
    channel: str = TRADES


class Disconnected(_Control, frozen=True, tag="disconnected"):
    """The connection has ended."""

    connection: int
    reason: str


class LostRecord(_Control, frozen=True, tag="lost"):
    """These symbols (canonical) were not received up to now: their recorder was dead, or paused."""

    venue: str
    symbols: list[str]
    reason: str = ""
    after_ns: int = 0  # it was known by then what this comes after, see lane_clock.py


class HandoverRecord(_Control, frozen=True, tag="handover"):
    """A change from one living connection to another: what for, and how far it is."""

    venue: str
    step: Literal["begins", "opened", "taken over"]
    old: int
    new: int
    reason: str


class Declared(_Control, frozen=True, tag="declared"):
    """A person gave these ids up, with a reason."""

    venue: str
    symbol: str
    first_id: int
    last_id: int
    reason: str
    epoch: int = 0


class Undertaken(_Control, frozen=True, tag="undertaken"):
    """From this id on we promise to hold all."""

    venue: str
    symbol: str
    from_id: int
    epoch: int = 0


class BanSeen(_Control, frozen=True, tag="ban"):
    """The venue said 418: nothing is asked before `until_ns`. On the stream's address, also 429: nothing connects."""

    venue: str
    until_ns: int
    channel: Literal["rest", "stream"] = "rest"


class Unserved(_Control, frozen=True, tag="unserved"):
    """The venue refused to serve these ids: the request itself, not its moment, was wrong in its eyes."""

    venue: str
    symbol: str
    first_id: int
    last_id: int
    reason: str
    epoch: int = 0


class ListingBegins(_Control, frozen=True, tag="listing"):
    """What this lane holds of a day's file from here on, up to `Listed`, is the venue's own listing of the day."""

    venue: str
    symbol: str
    day: str


class Listed(_Control, frozen=True, tag="listed"):
    """The venue's own listing of a day lies in this lane, whole: so many rows, each a trade."""

    venue: str
    symbol: str
    day: str
    trades: int


Control = (
    Started
    | Connected
    | Disconnected
    | LostRecord
    | HandoverRecord
    | Declared
    | Undertaken
    | BanSeen
    | Unserved
    | ListingBegins
    | Listed
)

_ENCODER = msgspec.json.Encoder()
_CONTROL: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)


def encode_control(control: Control) -> bytes:
    """Return the bytes of a control record's one frame."""
    return _ENCODER.encode(control)


def decode_control(frame: bytes) -> Control:
    """Return the control record.

    Raises
    ------
    FrameError : of kind ``control`` for bytes that are none.
    """
    try:
        return _CONTROL.decode(frame)
    except REFUSED as error:
        raise FrameError("control", str(error)) from error


class PageHeader(msgspec.Struct, frozen=True):
    """The first frame of a PAGE record, saying what the second frame, the answer's body, answers.

    Asked for were all ids from `from_id` on, up to `to_id` as far as they fit into one page. Of kind ``archive`` the
    second frame is compressed rows of the venue's file of `day`, `size` bytes of them; the ids are those of all days
    that are being fetched.
    """

    venue: str
    kind: Literal["trades", "head", "instruments", "archive"]
    symbol: str = ""
    from_id: int | None = None
    to_id: int | None = None
    source: Literal["rest", "archive"] = "rest"
    epoch: int = 0  # of the ids that were asked for
    # How many resets of the symbol's ids were recorded; None: those known when the page came. Stored as "turns".
    resets: int | None = msgspec.field(default=None, name="turns")
    after_ns: int = 0  # a head asked for when this was the latest that was known of the end, see lane_clock.py
    listening: bool = False  # a head asked for while a stream of the symbol was open: its end stays live
    cursor: str | None = None  # where the page begins, in its adapter's words; None: at `from_id`
    channel: str = TRADES
    day: str = ""
    size: int = 0


_PAGE: msgspec.json.Decoder[PageHeader] = msgspec.json.Decoder(PageHeader)


def encode_page(page: PageHeader) -> bytes:
    """Return the bytes of a PAGE record's first frame."""
    return _ENCODER.encode(page)


def decode_page(frame: bytes) -> PageHeader:
    """Return what a PAGE record answers. Raises FrameError of kind ``page``."""
    try:
        return _PAGE.decode(frame)
    except REFUSED as error:
        raise FrameError("page", str(error)) from error
