"""Is this decoded trade possible? The last check before a trade counts. Pure.

What does not pass is quarantined with its raw bytes; whether bytes are a trade at all is venues/.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_platform.domain.days import day_start
from trading_platform.domain.decimals import EXACT_DIGITS, significant_digits
from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade

_BIGGEST = 1e18
AHEAD_NS = 366 * 86_400 * 1_000_000_000
"""A trade may lie this far ahead of our clock. Wide on purpose: our clock is the weaker witness (a laptop that slept,
a replayed market that runs faster than ours), and errors of unit, which this is against, are off by a thousand."""


class CheckedNumbers(NamedTuple):
    """A trade's numbers, and what is wrong with it.

    Attributes
    ----------
    price, quantity : the nearest float64 of the literals.
    error : why it belongs in the quarantine, None if it does not.
    stored : whether it is a trade all the same: one with more digits than a float64 holds is.
    """

    price: float
    quantity: float
    error: FrameError | None = None
    stored: bool = True


class Bounds(NamedTuple):
    """Limits of a plausible trade.

    Attributes
    ----------
    earliest_ns : start of history; an earlier time is a unit error.
    ahead_ns : how far a trade time may lie ahead of its receive time.
    """

    earliest_ns: int
    ahead_ns: int = AHEAD_NS

    @classmethod
    def of(cls, history_start: str) -> Bounds:
        """Return the limits for a history that starts on this day. Age is never a reason to refuse."""
        return cls(day_start(history_start))

    def check(self, trade: Trade, ts_recv: int) -> CheckedNumbers:
        """Return the numbers of a trade that was received then, and what is wrong with it.

        >>> Bounds(0).check(Trade("BTC-USDT", 7, 1, "1.5", "2", "buy"), 1)
        CheckedNumbers(price=1.5, quantity=2.0, error=None, stored=True)
        >>> Bounds(0).check(Trade("BTC-USDT", 7, 1, "0", "2", "buy"), 1).stored
        False
        """
        price, quantity = float(trade.price), float(trade.quantity)
        in_time = self.earliest_ns <= trade.ts_event <= ts_recv + self.ahead_ns
        if not (in_time and 0.0 < price < _BIGGEST and 0.0 < quantity < _BIGGEST):
            broken = self._broken(trade, price, quantity)
            error = FrameError(broken, f"{trade.price} x {trade.quantity} at {trade.ts_event}")
            return CheckedNumbers(price, quantity, error, stored=False)
        # Most literals are short: their length alone tells that they are exact.
        long = len(trade.price) > EXACT_DIGITS or len(trade.quantity) > EXACT_DIGITS
        if long and max(significant_digits(trade.price), significant_digits(trade.quantity)) > EXACT_DIGITS:
            # Stored all the same, as the nearest float64; the raw bytes keep every digit.
            told = f"{trade.price} x {trade.quantity} has more than {EXACT_DIGITS} digits"
            return CheckedNumbers(price, quantity, FrameError("precision", told))
        return CheckedNumbers(price, quantity)

    def _broken(self, trade: Trade, price: float, quantity: float) -> str:
        """Return the name of the first limit that a trade breaks."""
        if not 0.0 < price < _BIGGEST:
            return "price"
        if not 0.0 < quantity < _BIGGEST:
            return "quantity"
        return "too_early" if trade.ts_event < self.earliest_ns else "in_the_future"
