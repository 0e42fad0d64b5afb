"""What a venue adapter promises. Pure values: paths, limits and a decoder; no socket, no clock, no randomness.

The exchanges themselves are venues/, one file each; who sends the requests is ingest/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from trading_platform.domain.instrument import Instrument
from trading_platform.domain.trades.sequencing import Sequencing
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.answers import Answer, AnswerVerdict, Request
from trading_platform.venues.archive import DailyArchive
from trading_platform.venues.history import History
from trading_platform.venues.limits import RateLimit
from trading_platform.venues.trade_frame import TradeFrame


class KeepAlive(NamedTuple):
    """How a connection to a venue is kept alive, and what counts as life.

    Attributes
    ----------
    kind : what solicits an answer: a protocol ping, a message of text or JSON; ``none`` where nothing does.
    message : the bytes of such a message.
    interval_s : how often it is sent; answer_s: how long anything at all may take to come back.
    stale_s : silence after which the connection is dead: 15 s, or twice the venue's heartbeat if nothing solicits one.

    Examples
    --------
    >>> KeepAlive("ping").stale_s
    15.0
    """

    kind: Literal["ping", "text", "json", "none"]
    message: bytes = b""
    interval_s: float = 10.0
    answer_s: float = 5.0
    stale_s: float = 15.0


class Subscribe(NamedTuple):
    """A message that asks a venue to stream some symbols.

    Attributes
    ----------
    symbols : the venue's spellings.
    request : by what name an answer refers to the message, "" where answers name symbols.
    """

    message: bytes
    symbols: tuple[str, ...]
    request: str = ""


FrameKind = Literal["trades", "ack", "nack", "heartbeat", "farewell", "other"]


class Notice(NamedTuple):
    """What a frame says that is no trade.

    Attributes
    ----------
    kind : trades after all; a subscription acknowledged, or refused; a sign of life of the connection; the announcement
        that the venue will cut it; anything else.
    symbols : what an acknowledgement or a refusal names, in the venue's spelling.
    request : the message that it answers (`Subscribe.request`); of a refusal, every symbol of that message is refused.
    reason : of a refusal, in words; passing: it is about our rate or the venue's load, not about what was asked for.
    """

    kind: FrameKind
    symbols: tuple[str, ...] = ()
    request: str = ""
    reason: str = ""
    passing: bool = False


class StreamPlan(NamedTuple):
    """How one connection is made to carry some symbols.

    Attributes
    ----------
    url : where to connect.
    say : what is sent once it is open, in order, each within what the venue takes; () where connecting subscribes.
    """

    url: str
    say: tuple[Subscribe, ...] = ()


class StreamDecoder(Protocol):
    """Decodes the frames of one connection, in their order."""

    def decode(self, frame: bytes) -> list[Trade]:
        """Return the trades of one frame, [] if it holds none of our symbols (acknowledgements, other events).

        Raises
        ------
        FrameError : for bytes that do not decode, and nothing else, whatever the bytes.
        """
        ...

    def state(self) -> bytes:
        """Return all that later frames depend on; b"" as long as that is nothing, a few hundred bytes at most."""
        ...


class StatelessDecoder:
    """The decoder of a venue whose frames each say all by themselves.

    Parameters
    ----------
    decode_frame : returns the trades of a frame, given the symbols.
    """

    __slots__ = ("_decode_frame", "_symbols")

    def __init__(
        self, decode_frame: Callable[[bytes, Mapping[str, str]], list[Trade]], symbols: Mapping[str, str]
    ) -> None:
        self._decode_frame, self._symbols = decode_frame, symbols

    def decode(self, frame: bytes) -> list[Trade]:
        """Return the trades of one frame. Raises FrameError only."""
        return self._decode_frame(frame, self._symbols)

    def state(self) -> bytes:
        """Return nothing."""
        return b""


@runtime_checkable
class VenueAdapter(Protocol):
    """One exchange's wire format and limits.

    Attributes
    ----------
    name : the venue's canonical name.
    ws_url, rest_url : documented base addresses, used when the settings name none.
    hosts : documented addresses of its other hosts, by `Request.base`; asked at `rest_url` while that is another.
    limits : what the venue allows.
    sequencing : what a trade id proves.
    connection_lifetime_s : when the venue cuts a healthy connection.
    keepalive : how it is kept alive.
    notices : of these bytes one stands in every frame that `classify` finds to be ack, nack or farewell, and in no
        usual frame of trades: others are not looked at. () if the venue sends none.
    notice_bytes : no such frame is longer.
    trade_frame : the usual form of a trade frame, None if there is none.
    archive : its files of past days, None if it publishes none.
    listing_field : the name of the list in the answer to `instruments_request`; "" if the answer is the list.
    """

    listing_field: str
    name: str
    ws_url: str
    rest_url: str
    hosts: Mapping[str, str]
    limits: tuple[RateLimit, ...]
    sequencing: Sequencing
    connection_lifetime_s: float
    keepalive: KeepAlive
    notices: tuple[bytes, ...]
    notice_bytes: int
    trade_frame: TradeFrame | None
    archive: DailyArchive | None

    @property
    def history(self) -> History | None:
        """Its trades of the past, None if its REST serves none."""
        ...

    def judge(self, answer: Answer) -> AnswerVerdict:
        """Return what an answer means, a good one too: the venue may say there what is used up."""
        ...

    def authorize(self, request: Request, key: str) -> Request:
        """Return the request with our key, where it is one that the venue wants a key for."""
        ...

    def connect(self, base: str, venue_symbols: Sequence[str]) -> StreamPlan:
        """Return how one connection streams the trades of these symbols, which have one `stream_of`."""
        ...

    def stream_of(self, venue_symbol: str) -> str:
        """Return which of the venue's streams carries a symbol; those of two streams never share a connection."""
        ...

    def classify(self, frame: bytes) -> Notice:
        """Return what a frame is. Never raises: what is not understood is `other`."""
        ...

    def decoder(self, symbols: Mapping[str, str], state: bytes = b"") -> StreamDecoder:
        """Return what decodes the frames of one connection, from its first one on or from where `state` was taken.

        Parameters
        ----------
        symbols : the venue's spelling -> canonical name, of all that the connection carries.
        state : what `StreamDecoder.state` returned.
        """
        ...

    def peek(self, frame: bytes) -> list[tuple[str, int]]:
        """Return the venue's spelling and the id of each of a frame's trades without decoding it.

        Cheap, and never raises: what looks like a trade and is none is the decoder's to refuse.
        """
        ...

    def ping_request(self) -> Request:
        """Ask whether the venue answers; the lightest request there is."""
        ...

    def instruments_request(self) -> Request:
        """Ask for everything that trades on the venue."""
        ...

    def more_instruments(self, body: bytes) -> Request | None:
        """Return the request for what follows an answer to `instruments_request`; None: that is all.

        Raises FrameError only.
        """
        ...

    def decode_instruments(self, body: bytes) -> list[Instrument]:
        """Return the instruments that have a canonical name; the rest is left out. Raises FrameError only."""
        ...

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's spelling of a canonical symbol, without asking the venue.

        Raises
        ------
        SymbolError : if the venue cannot list such a symbol.
        """
        ...
