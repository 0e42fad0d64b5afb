"""Name trades by what they say where a venue's channels have no id in common: a hash and an ordinal. Pure.

Two trades of one instant, price, quantity and side are equal in everything that all channels tell. They are told apart
by their ordinal among the equals of one delivery: of two deliveries the one that shows more of them holds, since its
ordinals contain the other's. Merging copies of one text id is store/lake/merge.py.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from trading_platform.domain.trades.trade import Trade

MEMORY_NS = 1_000_000_000
"""A delivery is remembered for so long behind its newest trade. What comes later counts as the first of its equals:
one trade may then be lacking until the venue's listing shows it, never one too many."""


class EqualTrades(msgspec.Struct):
    """What one delivery of a symbol's trades has shown of late.

    Attributes
    ----------
    newest_ns : the latest trade time.
    equals : by payload hash the trade time and the channel's ids, in the order in which they came.
    swept_ns : `newest_ns` when what is too old was last taken out.
    """

    newest_ns: int = 0
    equals: dict[str, tuple[int, list[str]]] = {}
    swept_ns: int = 0

    def name(self, trade: Trade) -> Trade:
        """Return the trade with its text id.

        The order of arrival counts among equals only, and only by how many there are.

        >>> one = Trade("BTC-USDT", None, 1_000, "1.50", "2", "buy", channel_id="a")
        >>> delivery = EqualTrades()
        >>> names = [delivery.name(each).trade_uid for each in (one, one._replace(channel_id="b"), one)]
        >>> names[0] == names[2], names[0][:-1] == names[1][:-1], [name[-2:] for name in names]
        (True, True, ['-0', '-1', '-0'])
        """
        payload = payload_hash(trade)
        self.newest_ns = max(self.newest_ns, trade.ts_event)
        if self.newest_ns - self.swept_ns > MEMORY_NS:
            self._sweep()
        ordinal = 0
        if trade.ts_event >= self.newest_ns - MEMORY_NS:
            _, ids = self.equals.setdefault(payload, (trade.ts_event, []))
            if trade.channel_id is None or trade.channel_id not in ids:
                ids.append(trade.channel_id or "")
                ordinal = len(ids) - 1
            else:
                ordinal = ids.index(trade.channel_id)
        return trade._replace(trade_uid=f"{payload}-{ordinal}")

    def _sweep(self) -> None:
        oldest, self.swept_ns = self.newest_ns - MEMORY_NS, self.newest_ns
        self.equals = {key: held for key, held in self.equals.items() if held[0] >= oldest}


def payload_hash(trade: Trade) -> str:
    """Return the hash of a trade's instant, price, quantity and side; numbers count, not how they are written.

    >>> one = Trade("BTC-USDT", None, 1_000, "1.50", "2", "buy")
    >>> payload_hash(one) == payload_hash(one._replace(price="1.5", quantity="2.000"))
    True
    """
    told = f"{trade.ts_event} {float(trade.price)!r} {float(trade.quantity)!r} {trade.side or ''}"
    return blake2b(told.encode(), digest_size=12).hexdigest()
