"""Ask a venue for the newest trade of a symbol, and again where the answer contradicts what was delivered.

What contradicts is answer_checks.py.
"""

from __future__ import annotations

from collections.abc import Callable

from trading_platform.completeness import answer_checks as doubt
from trading_platform.completeness.records import Reach
from trading_platform.domain.errors import FrameError, VenueError
from trading_platform.domain.trades.sequencing import id_facts
from trading_platform.venues.adapter import VenueAdapter
from trading_platform.venues.answers import Request
from trading_platform.venues.history import History, Missing, Page

Ask = Callable[[Request], bytes]


def ask_head(adapter: VenueAdapter, ask: Ask, venue_symbol: str, symbol: str, held: Reach | None) -> bytes:
    """Return the answer that tells the newest trade.

    Parameters
    ----------
    held : how far what is held reaches, None if nothing is.

    Raises
    ------
    VenueError : if the venue says twice what cannot be, or lists no trades between what is held and what it says.
    """
    history, about = adapter.history, f"{adapter.name} {symbol}"
    if history is None:
        raise VenueError(f"{about}: the venue serves no past trades")
    request = history.newest(venue_symbol)
    body = ask(request)
    try:
        if _stale(history.read(body, symbol), held) is not None:
            body = ask(request)  # from another server of theirs, perhaps, or a moment later
        page = history.read(body, symbol)
    except FrameError:
        return body  # no page at all: the decoder keeps it apart
    if (against := _stale(page, held)) is not None:
        raise VenueError(f"{about}: the newest trade cannot be what the venue says: {against}")
    newest = page.newest()
    if held is not None and newest is not None and newest - held.head > id_facts(adapter.sequencing).stray_ahead:
        try:
            listed = _after(history, ask, venue_symbol, symbol, held)
        except FrameError as error:
            raise VenueError(f"{about}: {error}") from error
        if listed is not None and listed.ends and (listed.trades or listed.refused):
            last = listed.newest()
            raise VenueError(f"{about}: the newest trade is said to be {newest}, but the list ends at {last}")
    return body


def _after(history: History, ask: Ask, venue_symbol: str, symbol: str, held: Reach) -> Page | None:
    """Return the page that begins with the newest trade that is held, None if the venue cannot be asked for it."""
    asked = history.from_ids(Missing(held.head, held.head, after_ns=held.last_ns))
    if asked is None:
        return None
    on = asked._replace(to_id=None)  # on to the venue's newest, as far as one page brings it
    return history.read(ask(history.request(venue_symbol, on)), symbol, on)


def _stale(page: Page, held: Reach | None) -> str | None:
    """Return why the newest trade of a page cannot be that. A newer row that cannot be read is the decoder's."""
    newest = page.newest()
    if page.refused and (held is None or newest is None or newest > held.head):
        return None
    if page.refused and held is not None and not page.trades:
        return None if newest == held.head else f"it is {newest}, although {held.head} was delivered"
    return doubt.stale_head(page.trades[-1] if page.trades else None, held)
