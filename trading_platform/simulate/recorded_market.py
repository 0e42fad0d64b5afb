"""Replay captured exchange traffic as a market: files of two formats, joined by symbol, optionally looped.

Forms: hftbacktest (`<receive time in ns> <message>`, gzip) and cryptofeed (`<receive time in s>: <message>`, with
`<->` for a connect, `<-` for what the client sent, `->` for a REST answer); either may be compressed or plain. Only
trade events matter, told by their content; when they were received does not. A capture of futures is refused: what is
spelt alike there is another market. What a message holds is read by exchanges/ (`CAPTURE`), synthetic trades are
synthetic_market.py.

Files are read line by line, each of bounded length, and what unpacks to absurd sizes is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, cast

import msgspec

from trading_platform.domain.errors import RecordingError, SymbolError
from trading_platform.domain.instrument import check_symbol, normalise_asset
from trading_platform.simulate.exchange import Captured
from trading_platform.simulate.exchanges import CAPTURE
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns

_BLOCK = 4096
_MESSAGE = re.compile(rb"[0-9]{1,10}(?:\.[0-9]+)?: |[0-9]{16,20} ")
_ASIDE = re.compile(rb"(?:wss?|https?)://\S+ (?:<->|<-|->) [0-9]|configuration: ")
_NAMED_BY = 100
_LONGEST_STEP_BACK_NS = 60 * 1_000_000_000
LONGEST_LINE = 32 << 20
"""Bytes of a line: a venue's whole listing in one answer has a few million."""
MOST_TRADES = 5_000_000
"""Of all files together, half a kilobyte each."""
_UNPACKED_FREELY, _MOST_UNPACKED = 32 << 20, 100
"""Beyond so many bytes, a file that unpacks to more than a hundred times its size is no capture of messages."""

# fmt: off
_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USD1", "BIDR", "IDRT", "BVND", "BKRW", "DAI", "VAI",
    "UST", "AEUR", "EURI", "DOGE", "BTC", "ETH", "BNB", "XRP", "TRX", "DOT", "SOL", "EUR", "GBP", "AUD", "BRL",
    "TRY", "RUB", "ZAR", "UAH", "NGN", "PLN", "RON", "ARS", "JPY", "MXN", "CZK", "COP", "IDR", "USD", "PAX",
)
# fmt: on
"""Quote assets, so that a recording's `BTCUSDT` can be split without asking the venue."""


class _Track(NamedTuple):
    """One symbol's prints in the order of their ids."""

    prints: list[Print]
    ids: list[int]
    due: list[int]

    @property
    def id_span(self) -> int:
        return self.ids[-1] - self.ids[0] + 1


class RecordedMarket:
    """The trades of one or more recordings.

    A symbol's files are joined in order of trade time; a trade that was recorded twice is played once. Ids that the
    recorder missed stay missing: the venue has never heard of them.

    Parameters
    ----------
    prints : trades as recorded, in any order; when each is issued is decided here.
    loop : repeat for ever, ids and times continued by the recording's span.
    """

    def __init__(self, prints: Sequence[Print], *, loop: bool = False) -> None:
        by_symbol: dict[str, dict[int, Print]] = {}
        for row in prints:
            by_symbol.setdefault(row.venue_symbol, {}).setdefault(row.trade_id, row)
        self._tracks: dict[str, _Track] = {}
        listings = []
        for order, name in enumerate(sorted(by_symbol)):
            chosen = sorted(by_symbol[name].values(), key=lambda row: row.trade_id)
            self._tracks[name] = _track(chosen, order)
            listings.append(_listing(name, chosen))
        self.listings: tuple[ListedSymbol, ...] = tuple(listings)
        self._all = sorted(row for track in self._tracks.values() for row in track.prints)
        self.start_ns = self._all[0].due_ns
        self.name = _name(self._tracks)
        self._span_ns = self._all[-1].due_ns - self.start_ns + 1_000_000  # the next round begins a millisecond later
        self._loop = loop

    @classmethod
    def load(cls, paths: Sequence[Path], *, loop: bool = False) -> RecordedMarket:
        """Read recordings.

        Raises
        ------
        RecordingError : naming the file, if one is missing, cut off, of no known form, or without trades.
        """
        prints: dict[tuple[str, int], Print] = {}
        for path in paths:
            _read(path, prints)
        return cls(list(prints.values()), loop=loop)

    def __len__(self) -> int:
        return len(self._all)

    def blocks(self, from_ns: int) -> Iterator[list[Print]]:
        """Yield the prints due from that instant on; for ever if looped."""
        lap = max(0, (from_ns - self.start_ns) // self._span_ns) if self._loop else 0
        at = bisect_left(self._all, (from_ns - lap * self._span_ns,))
        while True:
            for first in range(at, len(self._all), _BLOCK):
                rows = self._all[first : first + _BLOCK]
                yield rows if lap == 0 else [self._shifted(row, lap) for row in rows]
            if not self._loop:
                return
            lap, at = lap + 1, 0

    def last_id(self, venue_symbol: str) -> int | None:
        """Return the recording's last id, None if it is repeated for ever."""
        return None if self._loop else self._tracks[venue_symbol].ids[-1]

    def head_at(self, venue_symbol: str, ts_ns: int) -> int | None:
        """Return the highest id due at or before the instant."""
        track = self._tracks[venue_symbol]
        lap = max(0, (ts_ns - self.start_ns) // self._span_ns) if self._loop else 0
        at = bisect_right(track.due, ts_ns - lap * self._span_ns)
        if at == 0:
            return track.ids[-1] + (lap - 1) * track.id_span if lap else None
        return track.ids[at - 1] + lap * track.id_span

    def page(self, venue_symbol: str, from_id: int, head: int, limit: int) -> list[Print]:
        """Return up to `limit` prints with from_id ≤ id ≤ head, ascending."""
        rows: list[Print] = []
        lap, at = self._place(venue_symbol, from_id)
        while len(rows) < limit and (row := self._row(venue_symbol, lap, at)) is not None and row.trade_id <= head:
            rows.append(row)
            lap, at = self._step(venue_symbol, lap, at + 1)
        return rows

    def newest(self, venue_symbol: str, head: int, limit: int) -> list[Print]:
        """Return the last `limit` prints with id ≤ head, ascending."""
        rows: list[Print] = []
        lap, at = self._place(venue_symbol, head + 1)
        while len(rows) < limit and (lap, at) > (0, 0):
            lap, at = self._step(venue_symbol, lap, at - 1)
            row = self._row(venue_symbol, lap, at)
            if row is not None:
                rows.append(row)
        return rows[::-1]

    def _place(self, venue_symbol: str, trade_id: int) -> tuple[int, int]:
        track = self._tracks[venue_symbol]
        lap = max(0, (trade_id - track.ids[0]) // track.id_span) if self._loop else 0
        return lap, bisect_left(track.ids, trade_id - lap * track.id_span)

    def _step(self, venue_symbol: str, lap: int, at: int) -> tuple[int, int]:
        size = len(self._tracks[venue_symbol].ids)
        return (lap + at // size, at % size) if self._loop else (lap, at)

    def _row(self, venue_symbol: str, lap: int, at: int) -> Print | None:
        prints = self._tracks[venue_symbol].prints
        return self._shifted(prints[at], lap) if at < len(prints) else None

    def _shifted(self, row: Print, lap: int) -> Print:
        if lap == 0:
            return row
        span_ns = lap * self._span_ns
        unit = time_ns(row.time) // row.time
        return row._replace(
            due_ns=row.due_ns + span_ns,
            trade_id=row.trade_id + lap * self._tracks[row.venue_symbol].id_span,
            time=row.time + span_ns // unit,
            event_time=row.event_time + span_ns // unit,
        )


def _name(tracks: Mapping[str, _Track]) -> str:
    """Return a name that tells by how the symbols begin: a recording that goes on for longer is the same market."""
    begins = [row[2:] for name in sorted(tracks) for row in tracks[name].prints[:_NAMED_BY]]
    digest = hashlib.sha256(repr(begins).encode()).hexdigest()[:16]
    symbols = " ".join(sorted(tracks))[:100].encode("ascii", "backslashreplace").decode()
    return f"recording {digest} of {symbols}"


def _track(rows: Sequence[Print], order: int) -> _Track:
    prints = []
    due_ns = 0
    for row in rows:
        ts_ns = time_ns(row.time)
        if ts_ns < due_ns - _LONGEST_STEP_BACK_NS:
            raise RecordingError(
                f"{row.venue_symbol}: id {row.trade_id} is {(due_ns - ts_ns) // 10**9} s older than a lower id; "
                "recordings of different numberings cannot be joined"
            )
        due_ns = max(due_ns, ts_ns)
        prints.append(row._replace(due_ns=due_ns, order=order))
    return _Track(prints, [row.trade_id for row in prints], [row.due_ns for row in prints])


def canonical_symbol(venue_symbol: str) -> str:
    """Return the canonical name of a spot symbol, told by its quote asset alone; exchangeInfo knows better.

    >>> canonical_symbol("BTCUSDT"), canonical_symbol("ETHBTC")
    ('BTC-USDT', 'ETH-BTC')
    """
    for quote in _QUOTES:
        base = venue_symbol[: -len(quote)]
        if base and venue_symbol.endswith(quote):
            return check_symbol(f"{normalise_asset(base)}-{normalise_asset(quote)}")
    raise SymbolError(f"{venue_symbol[:40]!r} does not end in a quote asset known here")


def _listing(name: str, rows: Sequence[Print]) -> ListedSymbol:
    try:
        symbol = canonical_symbol(name)
    except SymbolError as error:
        raise RecordingError(f"recording of {name[:40]!r}: {error}") from None
    return ListedSymbol(name, symbol, _finest([row.price for row in rows]), _finest([row.quantity for row in rows]))


def _finest(literals: Sequence[str]) -> str:
    """Return the smallest step that all the literals are multiples of, as a power of ten with eight decimals."""
    places = max(len(text.partition(".")[2].rstrip("0")) for text in literals)
    return f"{10.0**-places:.{max(8, places)}f}"


def _read(path: Path, prints: dict[tuple[str, int], Print]) -> None:
    """Add the trades of one file, by symbol and id."""
    found_any, aggregates, number, line = False, 0, 0, b""
    for number, line in enumerate(_lines(path), 1):
        captured = _captured(path, number, line)
        if isinstance(captured, Print):
            found_any = True
            prints.setdefault((captured.venue_symbol, captured.trade_id), captured)
            if len(prints) > MOST_TRADES:
                raise RecordingError(f"{path}: more than {MOST_TRADES:,} trades; play a shorter piece of it")
        elif captured == "aggregate":
            aggregates += 1
    if number and not line.endswith(b"\n"):
        _check_whole(path, number, line)
    if not found_any:
        held = f"it holds {aggregates} aggregate trades; " if aggregates else ""
        raise RecordingError(f"{path}: no trades in it ({held}only @trade streams can be played)")


def _captured(path: Path, number: int, line: bytes) -> Captured:
    """Return what a line holds: a trade, "aggregate", or something else that is not played."""
    found = _MESSAGE.match(line)
    if found is None:
        if _ASIDE.match(line) is None and line.strip():
            raise RecordingError(f"{path}: line {number} is of no known form (hftbacktest or cryptofeed)")
        if CAPTURE.is_of_another_market(line):
            raise _futures(path, number)
        return None
    try:
        captured = CAPTURE.read(line[found.end() :])
    except ValueError as error:
        raise RecordingError(f"{path}: line {number} is no whole trade: {error}") from None
    if captured == "other market":
        raise _futures(path, number)
    return captured


def _futures(path: Path, number: int) -> RecordingError:
    return RecordingError(
        f"{path}: line {number} is of a futures market; only captures of the spot market can be played"
    )


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a recording, compressed or not; turn what goes wrong into one line."""
    try:
        with open(path, "rb") as file:
            compressed = file.peek(2)[:2] == b"\x1f\x8b"
            if not compressed and path.suffix == ".gz":
                raise RecordingError(f"{path}: named .gz, but it is not gzip")
            lines = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if compressed else file
            unpacked = 0
            while line := lines.readline(LONGEST_LINE + 1):
                unpacked += len(line)
                if len(line) > LONGEST_LINE:
                    raise RecordingError(
                        f"{path}: a line of more than {LONGEST_LINE >> 20} MB is no message of a venue"
                    )
                if compressed and unpacked > _UNPACKED_FREELY and unpacked > _MOST_UNPACKED * file.tell():
                    raise RecordingError(
                        f"{path}: unpacks to more than {_MOST_UNPACKED} times its size; no capture of messages does"
                    )
                yield line
    except EOFError:
        raise RecordingError(f"{path}: truncated, the compressed data end too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RecordingError(f"{path}: damaged gzip: {error}") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from None


def _check_whole(path: Path, number: int, line: bytes) -> None:
    """Refuse a plain file that ends within a message."""
    found = _MESSAGE.match(line)
    if found is None:
        return
    try:
        msgspec.json.decode(line[found.end() :])
    except (ValueError, RecursionError):
        raise RecordingError(f"{path}: truncated, line {number} ends within a message") from None
