"""The live market as server-sent events: a snapshot first, then what changed, and a heartbeat when nothing did.

One reading serves every page that is open, and nothing is read while none is. What is read is
pipeline/live_market.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from trading_platform.domain.errors import PlatformError
from trading_platform.domain.units import NS_PER_S
from trading_platform.pipeline.live_market import SymbolMarket

EVERY_S = 1.0
REST_FACTOR = 10.0
"""A reading that takes long is followed by a rest ten times as long: pages must not slow down recording."""
HEARTBEAT_S = 10.0
MOST_PAGES = 32

Row = dict[str, Any]
Read = Callable[[], Sequence[SymbolMarket]]


class _State(NamedTuple):
    """What was read last; `error` in words if it could not be."""

    number: int
    rows: dict[str, Row]
    error: str


class Feed:
    """Gives each page that is open the market's rows as they change.

    Parameters
    ----------
    read : the market; called in a thread, one call at a time.
    """

    def __init__(
        self,
        read: Read,
        *,
        every_s: float = EVERY_S,
        heartbeat_s: float = HEARTBEAT_S,
        rest_factor: float = REST_FACTOR,
    ) -> None:
        self._read = read
        self._rest_factor = rest_factor
        self._every_s = every_s
        self._heartbeat_s = heartbeat_s
        self._state = _State(0, {}, "")
        self._pages = 0
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether as many pages are open as are served."""
        return self._pages >= MOST_PAGES

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return self._pages

    async def events(self) -> AsyncIterator[bytes]:
        """Yield one page's events, until it is closed."""
        self._pages += 1
        if self._reading is None:
            self._state = self._state._replace(number=0)  # what was read before the last page closed is old
            self._reading = asyncio.create_task(self._keep_reading())
        try:
            async for event in self._of_one_page():
                yield event
        finally:
            self._pages -= 1
            if not self._pages and self._reading is not None:
                reading, self._reading = self._reading, None
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading

    async def _of_one_page(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        sent, told_at = _State(0, {}, ""), loop.time()
        while True:
            changed, left_s = self._changed, told_at + self._heartbeat_s - loop.time()
            if self._state.number == sent.number and left_s > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), left_s)
            state = self._state
            event = _difference(sent, state)
            sent = state
            if event is None and loop.time() - told_at >= self._heartbeat_s:
                event = _event("heartbeat", {"error": state.error})
            if event is not None:
                told_at = loop.time()
                yield event

    async def _keep_reading(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                rows = {row["key"]: row for row in map(shown, await asyncio.to_thread(self._read))}
                self._state = _State(self._state.number + 1, rows, "")
            except (PlatformError, OSError) as error:
                self._state = _State(self._state.number + 1, self._state.rows, " ".join(str(error).split())[:200])
            waiting, self._changed = self._changed, asyncio.Event()
            waiting.set()
            await asyncio.sleep(max(self._every_s, self._rest_factor * (loop.time() - began)))


def _difference(sent: _State, now: _State) -> bytes | None:
    """Return the event that makes a page that knows `sent` show `now`, None if it does."""
    if (now.rows, now.error) == (sent.rows, sent.error) and (sent.number or not now.number):
        return None
    if not sent.number or sent.rows.keys() - now.rows.keys():
        return _event("snapshot", {"rows": list(now.rows.values()), "error": now.error})
    rows = [row for key, row in now.rows.items() if sent.rows.get(key) != row]
    return _event("change", {"rows": rows, "error": now.error})


def _event(name: str, payload: object) -> bytes:
    """Return one event; JSON has no line breaks, which would end it early."""
    return f"event: {name}\ndata: {json.dumps(payload, ensure_ascii=False, allow_nan=False)}\n\n".encode()


COLUMNS = (
    ("price", ""),
    ("side", "text"),
    ("traded", "text"),
    ("rate", ""),
    ("stored", ""),
    ("gaps", ""),
    ("missing", ""),
    ("known", "text"),
)
"""The table's columns after the symbol, each with its class."""


def shown(market: SymbolMarket) -> Row:
    """Return a symbol's row as it is shown, texts only but for `concern`."""
    last = market.last
    return {
        "key": f"{market.venue} {market.symbol}",
        "venue": market.venue,
        "symbol": market.symbol,
        "price": "–" if last is None else f"{last.price:,.12g}",
        "side": "–" if last is None or last.side is None else last.side,
        "traded": "–" if last is None else _time(last.ts_event),
        "rate": "–" if market.per_second is None else f"{market.per_second:,.1f}",
        "stored": f"{market.stored:,}",
        "gaps": f"{market.gaps:,}",
        "missing": f"{market.missing:,}",
        "known": market.not_known or "up to now",
        "concern": int(market.concern),
    }


def _time(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
