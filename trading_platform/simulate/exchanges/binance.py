"""Simulated Binance spot: the exchange's limits, topics and payloads.

Streams are binance_stream.py, REST is binance_rest.py, daily files are binance_archive.py.

Imitated: raw and combined trade streams subscribed by address or by message, pings every 20 s, five messages a second,
300 connects in 5 minutes, 1,024 streams a connection, 24 hours of life, serverShutdown; REST with request weight, 429
and 418. Not imitated: other streams than trades (accepted, silent), aggregates of several trades, sparse listings.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal

from trading_platform.simulate.exchange import Exchange, Refusal, Stage, StreamedTrade, StreamLimits
from trading_platform.simulate.exchanges.binance_archive import BinanceArchiveServer
from trading_platform.simulate.exchanges.binance_rest import BinanceRest, WeightLimit
from trading_platform.simulate.exchanges.binance_stream import (
    MAX_STREAMS,
    BinanceSession,
    shutdown_payload,
    stream_of,
    streams_of,
    trade_payload,
)
from trading_platform.simulate.tape import ListedSymbol, Print, time_ns


class BinanceExchange(Exchange):
    """The spot market of Binance, after its web-socket-streams.md and rest-api.md."""

    name = "binance"
    ids = "contiguous"
    limits = StreamLimits(
        connects=300,
        connects_window_s=300.0,
        inbound_per_s=5,
        lifetime_s=86_400.0,
        lifetime_text="24 hours are over",
        ping_every_s=20.0,
        ban_status=HTTPStatus.IM_A_TEAPOT,
        ban_text="Way too many requests; IP banned\n",
        ban_tells_when=True,
    )

    def __init__(self, stage: Stage, limits: WeightLimit | None = None) -> None:
        self._now_ns = stage.now_ns
        self.archive = BinanceArchiveServer(stage)
        self.api = BinanceRest(
            stage.market,
            head=stage.head,
            server_ms=self._server_ms,
            plan=stage.plan,
            seed=stage.seed,
            limits=limits,
            numbering=stage.numbering,
        )

    def topic(self, listing: ListedSymbol) -> str:
        """Return the listing's trade stream."""
        return stream_of(listing.venue_symbol)

    def open(self, target: str) -> BinanceSession | Refusal:
        """Return the session of an address, or why there is none."""
        streams = streams_of(target)
        if streams is None:
            return Refusal(HTTPStatus.NOT_FOUND, "Not found\n", "")
        if len(streams) > MAX_STREAMS:
            return Refusal(HTTPStatus.BAD_REQUEST, f"More than {MAX_STREAMS} streams\n")
        session = BinanceSession.open(target)
        assert session is not None
        return session

    def payloads(self, rows: Sequence[Print], form: Any) -> list[tuple[str, bytes]]:
        """Return an event for each trade."""
        combined, micros = form
        return [(stream_of(row.venue_symbol), trade_payload(row, combined=combined, micros=micros)) for row in rows]

    def told(self, row: Print) -> StreamedTrade:
        """Return the trade as it is on the tape, which has the venue's own literals."""
        return told(row)

    def farewell(self, session: Any) -> bytes:
        """Return serverShutdown."""
        return shutdown_payload(self._server_ms(), combined=session.combined)

    def _server_ms(self) -> int:
        return self._now_ns() // 1_000_000


def told(row: Print) -> StreamedTrade:
    """Return a trade as the stream tells it.

    >>> told(Print(0, 0, 7, "BTCUSDT", 1_723_161_255_342, 0, "61837.63000000", "0.02000000", True)).side
    'sell'
    """
    side: Literal["buy", "sell"] = "sell" if row.buyer_is_maker else "buy"
    return StreamedTrade(row.trade_id, None, time_ns(row.time), row.price, row.quantity, side)
