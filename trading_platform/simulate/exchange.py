"""The interface of a simulated exchange, implemented in exchanges/, and the values that pass through it.

Here: sessions, answers, limits, the form of a sent trade, what every REST side holds. Not here: sockets and the clock
(venue_server.py), what is traded (tape.py), faults (faults.py), the exchanges themselves (exchanges/).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.faults import Event, FaultPlan, RequestFaults
from trading_platform.simulate.issued_trades import IssuedTrades
from trading_platform.simulate.synthetic_market import PROFILES, Profile
from trading_platform.simulate.tape import ListedSymbol, Market, Print
from trading_platform.simulate.tape_epochs import TapeNumbering

Ids = Literal["contiguous", "opaque"]
"""What a trade's id is: every missing one is a missing trade, or unique text without order."""

ADDRESS_BYTES = 8000
"""The longest path of a stream with its query: servers and proxies accept request lines of 8 KB."""


Captured: TypeAlias = Print | Literal["aggregate", "other market"] | None
"""What a captured message is: a trade, aggregate trades, something of another market than ours, or nothing of these."""


class Capture(Protocol):
    """What an exchange sent, read out of a capture."""

    def is_of_another_market(self, aside: bytes) -> bool:
        """Tell whether a line about a connection or request shows that the capture is of another market."""
        ...

    def read(self, message: bytes) -> Captured:
        """Return what a message is. Raises ValueError for a trade that is not whole."""
        ...


class HttpAnswer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class RequestRecord(NamedTuple):
    """One request as the venue saw it; limits are judged by these.

    Attributes
    ----------
    wall_ns, mono_s : when it was answered, by the two clocks.
    weight : what it was charged; used_weight: what is charged in the running window after it.
    """

    wall_ns: int
    mono_s: float
    path: str
    params: dict[str, str]
    weight: int
    status: int
    used_weight: int


class Refusal(NamedTuple):
    """An answer instead of a stream; `note` is what is remembered of it, "" for nothing."""

    status: int
    text: str
    note: str = "refused"
    retry_after_s: int | None = None


class StreamLimits(NamedTuple):
    """What an exchange allows those who connect to its stream.

    Attributes
    ----------
    connects, connects_window_s : connection attempts in a window.
    address_bytes : the longest path of a stream with its query.
    inbound_per_s : messages, pings and pongs a client may send on one connection in a second, None for no limit.
    lifetime_s : when a healthy connection is cut, None for never; lifetime_text: the reason given.
    ping_every_s : how often the exchange sends a protocol ping, None for never.
    idle_s : a client from which nothing came for so long is cut off, None for never.
    too_many_status : what is answered to more connects.
    ban_status, ban_text : what a banned client's connection is answered; ban_tells_when: whether with Retry-After.
    """

    connects: int
    connects_window_s: float
    address_bytes: int = ADDRESS_BYTES
    inbound_per_s: int | None = None
    lifetime_s: float | None = None
    lifetime_text: str = ""
    ping_every_s: float | None = None
    idle_s: float | None = None
    too_many_status: int = 429
    ban_status: int = 429
    ban_text: str = "banned\n"
    ban_tells_when: bool = False


class StreamedTrade(NamedTuple):
    """A trade as the exchange's stream tells it; one of the two ids is None.

    Attributes
    ----------
    price, quantity : the literals of the stream.
    """

    trade_id: int | None
    trade_uid: str | None
    ts_event: int
    price: str
    quantity: str
    side: Literal["buy", "sell"]


class StreamSession(Protocol):
    """One stream connection, without its socket."""

    @property
    def topics(self) -> dict[str, None]:
        """What it is subscribed to, spelled as `Exchange.topic` does; other things than trades too."""
        ...

    @property
    def form(self) -> Hashable:
        """In which form it gets trades: sessions of one form get the same frames."""
        ...

    def greet(self) -> Sequence[bytes]:
        """Return what is said as soon as the connection is open."""
        ...

    def reply(self, message: str | bytes) -> Sequence[bytes]:
        """Carry a client's message out and return what is sent for it."""
        ...


class Api(Protocol):
    """REST of one exchange.

    Attributes
    ----------
    requests : what was asked, in order.
    """

    requests: deque[RequestRecord]

    def handle(
        self, method: str, path: str, query: str, headers: Mapping[str, str], *, now_s: float, wall_ns: int
    ) -> HttpAnswer:
        """Answer one request; `headers` have lower-case names."""
        ...

    def begin(self, event: Event, now_s: float) -> None:
        """Let every request fail as the event says, for its seconds."""
        ...

    def end_trading(self, venue_symbols: Iterable[str], *, listed: bool) -> None:
        """Say from now on that these are halted, or know nothing of them any more."""
        ...


class Archive(Protocol):
    """Files of past days, served over HTTP beside REST."""

    def serves(self, path: str) -> bool:
        """Tell whether a path is one of the archive's, whatever it leads to."""
        ...

    def get(self, path: str, headers: Mapping[str, str], *, now_s: float) -> HttpAnswer:
        """Answer one request; may take seconds, and runs beside everything else. `headers` have lower-case names."""
        ...

    def damage(self, count: int) -> None:
        """Let the next downloads arrive damaged."""
        ...

    def close(self) -> None:
        """Give up files that are being made; their requests fail."""
        ...


class Stage(NamedTuple):
    """What an exchange may know of the simulation that it plays in.

    Attributes
    ----------
    market : what is traded, in the market's own ids.
    head : a market's symbol to the highest id issued so far, None if none is.
    now_ns : the simulated time.
    numbering : how the market's ids are shown.
    plan, seed : what goes wrong, and the seed of chance.
    """

    market: Market
    head: Callable[[str], int | None]
    now_ns: Callable[[], int]
    numbering: TapeNumbering
    plan: FaultPlan
    seed: int


_REMEMBERED = 100_000
"""So many requests of an address are remembered."""


class RestState:
    """What a REST side answers from: what is listed and issued, and how requests are to fail.

    Parameters
    ----------
    stage : the simulation it plays in.

    Attributes
    ----------
    requests : what was asked, in order.
    faults : planned failures of requests.
    issued : the trades of the past, as REST serves them.
    """

    def __init__(self, stage: Stage) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_REMEMBERED)
        self.faults = RequestFaults(stage.plan, stage.seed)
        self._now_ns = stage.now_ns
        self._listings = {row.venue_symbol: row for row in stage.market.listings}
        self._halted: set[str] = set()
        symbols = {row.venue_symbol: row.symbol for row in stage.market.listings}
        self.issued = IssuedTrades(stage.market, stage.head, stage.numbering, stage.plan.events, symbols)

    def begin(self, event: Event, now_s: float) -> None:
        """Let every request fail as the event says, for its seconds."""
        self.faults.begin(event, now_s)

    def end_trading(self, venue_symbols: Iterable[str], *, listed: bool) -> None:
        """Say from now on that these are halted, or know nothing of them any more."""
        for name in venue_symbols:
            if listed:
                self._halted.add(name)
            else:
                self._listings.pop(name, None)

    def lists(self, venue_symbol: str) -> bool:
        """Tell whether a symbol is listed now."""
        return venue_symbol in self._listings


class Exchange(ABC):
    """One exchange's protocol, imitated. A class declares it, an instance is one simulated venue.

    Parameters
    ----------
    stage : the simulation it plays in.
    limits : what its REST allows an address, of the exchange's own type; None for what it documents.

    Attributes
    ----------
    name : the venue's canonical name.
    ids : what an id of it is.
    limits : of its streams.
    cannot : kinds of fault that it cannot show.
    profiles : what its synthetic market trades.
    choice : what `up` records of it from the built-in simulator, (): all of `profiles`.
    heartbeat : a message sent after `heartbeat_s` in which a subscribed client got no other; b"" for none.
    api : its REST.
    archive : its files of past days, None if it has none.
    """

    name: ClassVar[str]
    ids: ClassVar[Ids]
    limits: ClassVar[StreamLimits]
    cannot: ClassVar[frozenset[str]] = frozenset()
    profiles: ClassVar[Sequence[Profile]] = PROFILES
    choice: ClassVar[tuple[str, ...]] = ()
    heartbeat: ClassVar[bytes] = b""
    heartbeat_s: ClassVar[float] = 1.0
    api: Api
    archive: Archive | None = None

    @abstractmethod
    def __init__(self, stage: Stage, limits: Any = None) -> None: ...

    @classmethod
    def check(cls, plan: FaultPlan) -> None:
        """Raise UsageError for a plan with a kind of fault that the exchange cannot show."""
        for event in plan.events:
            if event.kind in cls.cannot:
                raise UsageError(f"fault plan: {cls.name} cannot show {event.kind}")

    @classmethod
    def shown(cls) -> tuple[str, ...]:
        """Return the symbols that `up` records of it from the built-in simulator."""
        return cls.choice or tuple(profile.symbol for profile in cls.profiles)

    @abstractmethod
    def topic(self, listing: ListedSymbol) -> str:
        """Return what a session is subscribed to that gets this listing's trades."""

    @abstractmethod
    def open(self, target: str) -> StreamSession | Refusal:
        """Return the session that a request's path and query ask for."""

    @abstractmethod
    def payloads(self, rows: Sequence[Print], form: Hashable) -> list[tuple[str, bytes]]:
        """Return the messages that tell of these trades, each with the topic it belongs to."""

    @abstractmethod
    def told(self, row: Print) -> StreamedTrade:
        """Return the trade as the stream tells it."""

    def farewell(self, session: StreamSession) -> bytes:  # noqa: ARG002  of those that send one
        """Return the message that announces the end of a connection.

        Raises
        ------
        UsageError : if it announces none: an exchange that names `server_shutdown` in `cannot`, whose plans are refused
            before.
        """
        raise UsageError(f"{self.name} does not announce the end of a connection")
