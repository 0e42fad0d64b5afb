"""What frames and pages of Binance have in common: ids, times, a trade, errors. Frames are spot.py, pages pages.py."""

from __future__ import annotations

from trading_platform.domain.decimals import check_decimal
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues import strict_json

REFUSED = strict_json.REFUSED

Id = strict_json.Id

# 2016-01-01 to 2100-01-01. The two ranges are disjoint, so the magnitude alone names the unit.
MS_FIRST, MS_END = 1_451_606_400_000, 4_102_444_800_000
US_FIRST, US_END = MS_FIRST * 1000, MS_END * 1000


def timestamp_ns(value: int) -> int:
    """Return ns since the epoch of a venue time in ms or µs.

    Raises
    ------
    FrameError : of kind ``time`` if it is neither between 2016 and 2100.

    >>> timestamp_ns(1672515782136), timestamp_ns(1672515782136000)
    (1672515782136000000, 1672515782136000000)
    """
    if MS_FIRST <= value < MS_END:
        return value * 1_000_000
    if US_FIRST <= value < US_END:
        return value * 1000
    raise FrameError("time", f"{value} is neither ms nor µs between 2016 and 2100")


def trade(
    symbol: str, trade_id: int, time: int, price: str, quantity: str, buyer_is_maker: bool, kind: str = "MARKET"
) -> Trade:
    """Return a trade of the venue's texts, void if its id is used up without an order-book trade. Raises FrameError."""
    check_decimal(price)
    check_decimal(quantity)
    void = None
    if kind != "MARKET":
        void = f"type {kind[:40]}"
    elif price[0] in "0." and not price.lower().partition("e")[0].strip("0."):
        void = "price 0"
    return Trade(symbol, trade_id, timestamp_ns(time), price, quantity, "sell" if buyer_is_maker else "buy", void)


def broken(body: bytes, error: Exception) -> FrameError:
    """Return the FrameError of bytes that msgspec refused."""
    return strict_json.broken(body, error, "code", "msg")
