"""Planned faults of the simulated venue: the plan as a value, and pure decisions which frames and requests it affects.

Whether a frame is hit depends on a hash of seed, symbol and trade id, not on timing or other planned faults. Applying
faults to sockets and answers is venue_server.py; a plan's JSON is described at `FaultPlan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.tape import Print

KINDS: dict[str, tuple[str, frozenset[str]]] = {
    "drop": ("the next `count` frames are never sent", frozenset({"count"})),
    "duplicate": ("the next `count` frames are sent twice", frozenset({"count"})),
    "reorder": ("the next `count` frames arrive `depth` frames of their symbol late", frozenset({"count", "depth"})),
    "replay": ("the last `count` frames sent are sent again (history after a reconnect)", frozenset({"count"})),
    "silence": ("no trade is sent for `seconds` of simulated time; connections stay healthy", frozenset({"seconds"})),
    "cut": ("connections end without a close frame", frozenset()),
    "hole": ("connections stay open and dead, nothing sent or read, and end after `seconds`", frozenset({"seconds"})),
    "server_shutdown": ("a shutdown is announced, connections close after `seconds`", frozenset({"seconds"})),
    "ping_flood": ("`count` pings of 125 bytes at once", frozenset({"count"})),
    "close": ("connections are closed with `code` (1008 and 1013: come back later)", frozenset({"code"})),
    "refuse_connect": ("new connections are answered `status` for `seconds`", frozenset({"seconds", "status"})),
    "ban_connect": ("connections end, and new ones are answered with a ban for `seconds`", frozenset({"seconds"})),
    "deaf": ("open connections get no more trades of `symbol`, though they are subscribed", frozenset()),
    "empty_ack": ("the next `count` subscriptions to `symbol` are accepted and get no trade", frozenset({"count"})),
    "renumber": ("ids start again at `first_id`; REST serves the new numbering only", frozenset({"first_id"})),
    "stray_id": ("before its own frame, one of the same trade is sent as `shown_id`", frozenset({"shown_id"})),
    "odd_time": ("the next `count` frames tell `shown_time` as trade time", frozenset({"count", "shown_time"})),
    "halt": ("`symbol` trades no more, and its listing says so", frozenset()),
    "delist": ("`symbol` trades no more, is not listed, and REST does not know it", frozenset()),
    "rest_429": ("every request is refused as too many for `seconds`", frozenset({"seconds", "retry_after"})),
    "rest_418": ("every request is answered with a ban for `seconds`", frozenset({"seconds", "retry_after"})),
    "rest_5xx": ("every request is answered `status` for `seconds`", frozenset({"seconds", "status"})),
    "rest_garbage": ("every request is answered 200 with a page of HTML for `seconds`", frozenset({"seconds"})),
    "rest_forget": ("`count` ids from `at_id` on are never served by REST", frozenset({"count"})),
    "rest_conflict": ("REST serves the trade `at_id` at another price", frozenset({"count"})),
    "archive_forget": ("`count` ids from `at_id` on are in no archive file", frozenset({"count"})),
    "archive_republish": (
        "`count` ids from `at_id` on are missing from their archive file until `seconds` after it is first asked for",
        frozenset({"count", "seconds"}),
    ),
    "archive_late": ("the archive file of `at_id` appears `seconds` of simulated time later", frozenset({"seconds"})),
    "archive_damage": ("the next `count` downloads of archive files arrive damaged", frozenset({"count"})),
}
"""Every kind of event: what it does, and the options it takes beside `kind`, `at_s` or `at_id`, and `symbol`."""

FRAME_KINDS = frozenset({"drop", "duplicate", "reorder", "silence", "renumber", "stray_id", "odd_time"})
"""Kinds that change which frames are sent, or as what; the rest is done to connections and answers."""
STORED_KINDS = frozenset({"rest_forget", "rest_conflict", "archive_forget", "archive_republish", "archive_late"})
"""Kinds that are about stored trades, named by their ids; nothing begins at a moment."""
_ENDING = frozenset({"cut", "close", "hole", "ban_connect", "deaf"})
_PROBABILITIES = ("drop", "duplicate", "reorder", "cut", "rest_429", "rest_5xx")
_COMMON = ("kind", "at_s", "at_id", "symbol")
_DEEPEST_BY_CHANCE = 20
_GREATEST_ID = 1 << 62
_BY_CHANCE_S = 2.0
"""What a request is told to wait that is refused by chance."""
_NEVER_SENT = frozenset({1004, 1005, 1006})
"""Close codes that stand for an end without a close frame."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One planned fault.

    Attributes
    ----------
    kind : one of `KINDS`.
    at_s : seconds of simulated time since its clock started; or at_id: the trade it happens at.
    symbol : canonical; None hits every symbol.
    count, depth, seconds, status, code, first_id, shown_id, shown_time : as the kind says. Seconds of `silence` are
        simulated, all others real, because what they meet are clients' timers.
    retry_after : the header's text; "" leaves the header out; None tells the truth.
    """

    kind: str
    at_s: float | None = None
    at_id: int | None = None
    symbol: str | None = None
    count: int = 1
    depth: int = 1
    seconds: float = 1.0
    status: int = 503
    code: int = 1008
    first_id: int = 1
    shown_id: int = 1
    shown_time: int = 0
    retry_after: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"fault plan: {self.kind[:40]!r} is not a kind; known: {' '.join(KINDS)}")
        if (self.at_s is None) == (self.at_id is None):
            raise UsageError(f"fault plan: event {self.kind} needs either at_s or at_id")
        if self.kind in STORED_KINDS and self.at_id is None:
            raise UsageError(f"fault plan: event {self.kind} needs at_id")
        if self.at_s is not None and not 0 <= self.at_s < float("inf"):
            raise UsageError(f"fault plan: at_s {self.at_s} lies before the start")
        if self.count < 1 or self.depth < 1 or not 0 <= self.seconds < float("inf"):
            raise UsageError(f"fault plan: event {self.kind}: count and depth are at least 1, seconds not negative")
        if not (0 <= self.first_id < _GREATEST_ID and 0 <= self.shown_id < _GREATEST_ID):
            raise UsageError(f"fault plan: event {self.kind}: an id lies in 0…{_GREATEST_ID - 1}")
        least, known = (300, "refusal") if self.kind == "refuse_connect" else (500, "5xx")
        if not least <= self.status <= 599:
            raise UsageError(f"fault plan: status {self.status} is no {known}")
        if not (1000 <= self.code <= 1014 or 3000 <= self.code <= 4999) or self.code in _NEVER_SENT:
            raise UsageError(f"fault plan: {self.code} is no code that a close frame may carry")

    def meets(self, row: Print, symbol: str, elapsed_s: float) -> bool:
        """Tell whether the event begins with this trade."""
        if self.symbol is not None and self.symbol != symbol:
            return False
        return elapsed_s >= self.at_s if self.at_s is not None else row.trade_id == self.at_id


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """Everything that shall go wrong.

    Attributes
    ----------
    drop, duplicate, reorder, cut : probability per frame.
    rest_429, rest_5xx : probability per request.
    events : single faults at a time or a trade id.

    Examples
    --------
    >>> FaultPlan.parse(b'{"drop": 0.01, "events": [{"at_id": 17, "kind": "cut"}]}').events[0].at_id
    17
    >>> FaultPlan.parse(b'{"dorp": 0.01}')
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: fault plan: unknown key 'dorp'; known: drop duplicate reorder cut ...
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    cut: float = 0.0
    rest_429: float = 0.0
    rest_5xx: float = 0.0
    events: Sequence[Event] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"fault plan: {name} is {value}; a probability lies in 0…1")

    @property
    def by_chance(self) -> bool:
        """Tell whether any frame can be hit by chance."""
        return bool(self.drop or self.duplicate or self.reorder or self.cut)

    @classmethod
    def load(cls, path: Path) -> FaultPlan:
        """Read a plan. Raises UsageError, one line, for a missing file and whatever `parse` refuses."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise UsageError(f"fault plan {path}: cannot be read: {error.strerror or error}") from None
        try:
            return cls.parse(text)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, text: bytes) -> FaultPlan:
        """Return the plan that the JSON describes.

        Raises
        ------
        UsageError : for text that is not JSON, a key or kind that does not exist, a value of the wrong type or size.
        """
        try:
            told = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"fault plan: not JSON: {error}") from None
        if not isinstance(told, dict):
            raise UsageError("fault plan: not a JSON object")
        _refuse_unknown("fault plan", told, [f.name for f in fields(cls)])
        chances = {name: _number("fault plan", name, told[name]) for name in _PROBABILITIES if name in told}
        events = told.get("events", [])
        if not isinstance(events, list):
            raise UsageError("fault plan: events is a list")
        return cls(**chances, events=tuple(_event(n, item) for n, item in enumerate(events)))


def _event(number: int, told: Any) -> Event:
    where = f"fault plan: events[{number}]"
    if not isinstance(told, dict):
        raise UsageError(f"{where} is not an object")
    kind = told.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"{where}: {str(kind)[:40]!r} is not a kind; known: {' '.join(KINDS)}")
    _refuse_unknown(where, told, [*_COMMON, *sorted(KINDS[kind][1])])
    values: dict[str, Any] = {}
    for name, value in told.items():
        if name in {"at_s", "seconds"}:
            values[name] = _number(where, name, value)
        elif name in {"at_id", "count", "depth", "status", "code", "first_id", "shown_id", "shown_time"}:
            if type(value) is not int:
                raise UsageError(f"{where}: {name} is {str(value)[:40]!r}; it is a whole number")
            values[name] = value
        elif name == "retry_after":
            values[name] = "" if value is None else str(value)
        elif not isinstance(value, str):
            raise UsageError(f"{where}: {name} is {str(value)[:40]!r}; it is a text")
        else:
            values[name] = value
    return Event(**values)


def _refuse_unknown(where: str, told: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in told:
        if name not in known:
            raise UsageError(f"{where}: unknown key {name[:40]!r}; known: {' '.join(known)}")


def _number(where: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: {name} is {str(value)[:40]!r}; it is a number")
    return float(value)


class Signal(NamedTuple):
    """Something to do to connections or answers, before the next frame is sent."""

    event: Event


Delivery = Print | Signal


class FrameFaults:
    """Decide, trade by trade, which frames are sent and in which order. Pure: no clock, no socket.

    Parameters
    ----------
    plan, seed : what may go wrong, and the seed of chance.
    symbols : venue's spelling to canonical.
    last_ids : per venue symbol the id after which nothing comes; chance spares it, as it does the first delivered.

    Examples
    --------
    >>> faults = FrameFaults(FaultPlan(events=[Event(at_id=2, kind="drop")]), 0, {"BTCUSDT": "BTC-USDT"}, {})
    >>> row = Print(0, 0, 2, "BTCUSDT", 0, 0, "1", "1", True)
    >>> faults.step(row, heard=True, elapsed_s=0.0)
    ([], False)
    """

    def __init__(
        self, plan: FaultPlan, seed: int, symbols: Mapping[str, str], last_ids: Mapping[str, int | None]
    ) -> None:
        self._plan = plan
        self._key = blake2b(str(seed).encode(), digest_size=32).digest()
        self._symbols = symbols
        self._last_ids = last_ids
        self._waiting = [event for event in plan.events if event.kind not in STORED_KINDS]
        self._left: dict[tuple[str, str], int] = {}
        self._depth: dict[str, int] = {}
        self._odd_time: dict[str, int] = {}
        self._silent_until: dict[str, float] = {}
        self._first_is_out: set[str] = set()
        self._held: dict[str, list[tuple[int, Print]]] = {}
        self._sent: list[Print] = []
        self._remember = max((event.count for event in self._waiting if event.kind == "replay"), default=0)
        self.idle = not self._waiting and not plan.by_chance

    def due(self, elapsed_s: float, kind: str | None = None) -> list[Signal]:
        """Return what is planned for connections and answers up to this time, only of `kind` if given."""
        return [
            Signal(event)
            for event in self._take(
                lambda event: (
                    event.at_s is not None
                    and event.at_s <= elapsed_s
                    and event.kind not in FRAME_KINDS
                    and event.kind != "replay"
                    and kind in {None, event.kind}
                )
            )
        ]

    def step(self, row: Print, *, heard: bool, elapsed_s: float) -> tuple[list[Delivery], bool]:
        """Return what to send and do for one issued trade, and whether its own frame is sent, now or later.

        `heard` tells whether anyone is subscribed to it. A `Signal` that ends connections comes before the frame,
        which is then sent to nobody.
        """
        name = row.venue_symbol
        symbol = self._symbols[name]
        out: list[Delivery] = []
        if self._waiting:
            for event in self._take(lambda event: event.meets(row, symbol, elapsed_s)):
                heard &= self._begin(event, name, elapsed_s, out)
        if not heard or elapsed_s < self._silent_until.get(name, -1.0):
            return out, False
        fate = self._fate(row)
        if fate == "cut":
            out += self.flush()
            out.append(Signal(Event(kind="cut", at_id=row.trade_id, symbol=symbol)))
            return out, False
        if fate == "drop":
            return out, False
        if fate.startswith("reorder"):
            self._held.setdefault(name, []).append((int(fate[7:]), row))
            return out, True
        self._send(out, row._replace(time=self._odd_time[name]) if fate == "odd_time" else row)
        if fate == "duplicate":
            self._send(out, row)
        self._first_is_out.add(name)
        self._release(name, out)
        return out, True

    def flush(self) -> list[Delivery]:
        """Return every frame still held back."""
        out: list[Delivery] = []
        for held in self._held.values():
            for _, row in held:
                self._send(out, row)
        self._held.clear()
        return out

    def _take(self, wanted: Any) -> Iterator[Event]:
        taken = [event for event in self._waiting if wanted(event)]
        if taken:
            self._waiting = [event for event in self._waiting if event not in taken]
        return iter(taken)

    def _begin(self, event: Event, name: str, elapsed_s: float, out: list[Delivery]) -> bool:
        """Start an event; return whether anyone can still hear the frame."""
        names = [n for n, symbol in self._symbols.items() if event.symbol in {None, symbol}]
        if event.kind in {"drop", "duplicate", "reorder", "odd_time"}:
            self._left[event.kind, name] = event.count
            self._depth[name] = event.depth
            self._odd_time[name] = event.shown_time
        elif event.kind == "silence":
            self._silent_until.update(dict.fromkeys(names, elapsed_s + event.seconds))
        elif event.kind == "replay":
            out += [row for row in self._sent[-event.count :] if row.venue_symbol in names]
        else:
            if event.kind in _ENDING:
                out += self.flush()
            out.append(Signal(event))
            return event.kind not in _ENDING
        return True

    def _fate(self, row: Print) -> str:
        name = row.venue_symbol
        for kind in ("drop", "reorder", "duplicate", "odd_time"):
            left = self._left.get((kind, name), 0)
            if left:
                self._left[kind, name] = left - 1
                return f"reorder{self._depth[name]}" if kind == "reorder" else kind
        plan = self._plan
        if not plan.by_chance or name not in self._first_is_out or row.trade_id == self._last_ids.get(name):
            return "send"
        digest = blake2b(f"{name}:{row.trade_id}".encode(), key=self._key, digest_size=40).digest()
        draws = [int.from_bytes(digest[at : at + 8], "big") / 2.0**64 for at in range(0, 40, 8)]
        if draws[0] < plan.cut:
            return "cut"
        if draws[1] < plan.drop:
            return "drop"
        if draws[2] < plan.reorder:
            return f"reorder{1 + int(draws[4] * _DEEPEST_BY_CHANCE)}"
        return "duplicate" if draws[3] < plan.duplicate else "send"

    def _send(self, out: list[Delivery], row: Print) -> None:
        out.append(row)
        if self._remember:
            self._sent.append(row)
            del self._sent[: -self._remember]

    def _release(self, name: str, out: list[Delivery]) -> None:
        """Count the held frames of a symbol down by the one just sent; send those whose turn it is."""
        held = self._held.pop(name, None)
        if held is None:
            return
        last = self._sent_last(name, out)
        waiting = []
        for frames, row in held:
            if frames <= 1 or last:
                self._send(out, row)
            else:
                waiting.append((frames - 1, row))
        if waiting:
            self._held[name] = waiting

    def _sent_last(self, name: str, out: Sequence[Delivery]) -> bool:
        last_id = self._last_ids.get(name)
        return last_id is not None and any(isinstance(row, Print) and row.trade_id == last_id for row in out)


class RequestFailure(NamedTuple):
    """How a request fails: the kind of fault, for how much longer, and the event if it was a planned one."""

    kind: str
    left_s: float
    event: Event | None


class RequestFaults:
    """Decide which requests fail: while an event lasts all of them, else by a hash of seed and the request's number.

    Attributes
    ----------
    failing : the event that every request meets, and until when; None for none.
    """

    def __init__(self, plan: FaultPlan, seed: int) -> None:
        self._plan = plan
        self._key = blake2b(f"rest {seed}".encode(), digest_size=32).digest()
        self._count = 0
        self.failing: tuple[Event, float] | None = None

    def begin(self, event: Event, now_s: float) -> None:
        """Let every request fail as the event says, for its seconds."""
        self.failing = (event, now_s + event.seconds)

    def meets(self, now_s: float) -> RequestFailure | None:
        """Return how the next request fails, None if it does not."""
        kind = self.next()
        if self.failing is not None and now_s < self.failing[1]:
            event, until_s = self.failing
            return RequestFailure(event.kind, until_s - now_s, event)
        return None if kind is None else RequestFailure(kind, _BY_CHANCE_S, None)

    def next(self) -> str | None:
        """Return the kind of fault that the next request meets by chance, None for none."""
        self._count += 1
        digest = blake2b(str(self._count).encode(), key=self._key, digest_size=16).digest()
        if int.from_bytes(digest[:8], "big") / 2.0**64 < self._plan.rest_429:
            return "rest_429"
        return "rest_5xx" if int.from_bytes(digest[8:], "big") / 2.0**64 < self._plan.rest_5xx else None
