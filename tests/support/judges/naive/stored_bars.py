"""What bars the contract promises for a set of held trades, said as plainly as possible. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

DAY = 86_400 * 10**9


class Held(NamedTuple):
    """A held trade; price and quantity as the venue printed them, `buy` None where nobody knows the taker."""

    trade_id: int
    ts: int
    price: str
    quantity: str
    buy: bool | None


class Bar(NamedTuple):
    """A row; prices None where no trade is held, the takers' sums where a held one's side is unknown."""

    ts_open: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float
    quote_volume: float
    taker_buy_volume: float | None
    taker_buy_quote_volume: float | None
    trade_count: int
    vwap: float | None
    complete: bool


def stored_bars(held: Sequence[Held], voids: Iterable[int], width: int, begin: int) -> dict[int, list[Bar]]:
    """Return day number → rows, for every day that has a leaf.

    `held` ascend by id, and time never falls with the id; `begin`: the first id that we undertook to hold.
    """
    used_up = set(voids)
    ids = [trade.trade_id for trade in held]
    missing = [number for number in range(begin, ids[-1] + 1) if number not in used_up and number not in set(ids)]
    days = {trade.ts // DAY for trade in held}
    for number in missing:
        if number > ids[0]:
            before = max(t.ts for t in held if t.trade_id < number)
            after = min(t.ts for t in held if t.trade_id > number)
            days.update(range(before // DAY, after // DAY + 1))
    return {day: list(_day(held, missing, width, day)) for day in sorted(days)}


def _day(held: Sequence[Held], missing: Sequence[int], width: int, day: int) -> Iterable[Bar]:
    newest = max(t.ts for t in held)
    # When a trade that is missing before all others was made nobody knows: it may have been at 00:00.
    oldest = held[0].ts // DAY * DAY if any(number < held[0].trade_id for number in missing) else held[0].ts
    for ts_open in range(day * DAY, (day + 1) * DAY, width):
        if ts_open > newest:
            return
        if ts_open + width <= oldest:
            continue
        inside = [t for t in held if ts_open <= t.ts < ts_open + width]
        complete = _complete(held, missing, ts_open, ts_open + width)
        if inside or not complete:
            yield bar_of(inside, ts_open, complete=complete)


def _complete(held: Sequence[Held], missing: Sequence[int], ts_open: int, ts_close: int) -> bool:
    before = [t.trade_id for t in held if t.ts < ts_open]
    after = [t.trade_id for t in held if t.ts >= ts_close]
    if not before or not after:
        return False
    return not any(max(before) < number < min(after) for number in missing)


def bar_of(trades: Sequence[Held], ts_open: int, *, complete: bool) -> Bar:
    """Return the row of the trades of one interval."""
    prices = [Decimal(t.price) for t in trades]
    volume = sum((Decimal(t.quantity) for t in trades), Decimal(0))
    quote = sum((Decimal(t.price) * Decimal(t.quantity) for t in trades), Decimal(0))
    buys = [t for t in trades if t.buy]
    buy = sum((Decimal(t.quantity) for t in buys), Decimal(0))
    known = all(t.buy is not None for t in trades)
    buy_quote = sum((Decimal(t.price) * Decimal(t.quantity) for t in buys), Decimal(0))
    return Bar(
        ts_open,
        float(prices[0]) if trades else None,
        float(max(prices)) if trades else None,
        float(min(prices)) if trades else None,
        float(prices[-1]) if trades else None,
        float(volume),
        float(quote),
        float(buy) if known else None,
        float(buy_quote) if known else None,
        len(trades),
        float(Fraction(quote) / Fraction(volume)) if trades else None,
        complete,
    )


def touched(held: Sequence[Held], missing: Sequence[int], ts_open: int, ts_close: int) -> bool:
    """Tell whether a missing id may lie in the interval, also where time falls with the id.

    What is before a missing id reaches to the latest time below it, what is after it from the earliest above; between
    the two, whichever comes first, lies the doubt.
    """
    for number in missing:
        below = max(t.ts for t in held if t.trade_id < number)
        above = min(t.ts for t in held if t.trade_id > number)
        if min(below, above) < ts_close and max(below, above) >= ts_open:
            return True
    return min(t.ts for t in held) >= ts_open or max(t.ts for t in held) < ts_close
