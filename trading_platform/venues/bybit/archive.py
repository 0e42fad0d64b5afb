"""Bybit's daily files: a gzipped CSV for each symbol and day, with a header and without a checksum.

Linear names each trade by the id that its stream has too, at a time in seconds with more digits than the stream's ms.
Spot numbers its rows: that is no id of the exchange, and only tells equal trades of one file apart. A column more, RPI,
stands at the end of newer files.
"""

from __future__ import annotations

import re

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.archive import ArchiveFile, RowForm
from trading_platform.venues.bybit.wire import LINEAR, SPOT, spelled, spelling, timestamp_ns, trade

_LINEAR = b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
_SPOT = b"id,timestamp,price,volume,side"
_RPI = (b",rpi", b",RPI")
_SECONDS = re.compile(r"([0-9]{10})(?:\.([0-9]{1,9}))?", re.ASCII)
_MS = re.compile(r"[0-9]{13}", re.ASCII)


class BybitArchive:
    """The archive of Bybit's spot and linear markets.

    Examples
    --------
    >>> archive = BybitArchive()
    >>> archive.file("linear/BTCUSDT", "2024-08-08").path, archive.file("spot/BTCUSDT", "2024-08-08").path
    ('/trading/BTCUSDT/BTCUSDT2024-08-08.csv.gz', '/spot/BTCUSDT/BTCUSDT_2024-08-08.csv.gz')
    """

    url = "https://public.bybit.com"
    published_after_s = 3600.0
    headers: tuple[bytes, ...] = tuple(first + more for first in (_LINEAR, _SPOT) for more in (b"", *_RPI))
    row_form: RowForm | None = None

    def file(self, venue_symbol: str, day: str) -> ArchiveFile:
        """Return where the file of a day lies."""
        category, name = spelled(venue_symbol)
        if category == LINEAR:
            return ArchiveFile(f"/trading/{name}/{name}{day}.csv.gz", None, "gzip")
        return ArchiveFile(f"/spot/{name}/{name}_{day}.csv.gz", None, "gzip")

    def read_checksum(self, body: bytes, file: ArchiveFile) -> str:
        """Refuse: there are none."""
        del body
        raise FrameError("checksum", f"{file.name} has none")

    def read_row(self, row: bytes, symbol: str) -> Trade:
        """Return the trade of a row.

        Raises
        ------
        FrameError : kinds ``shape``, ``stream`` (a row of another symbol), ``number``, ``time``, ``id``.

        Examples
        --------
        >>> row = b"1723075200.1364,BTCUSDT,Buy,0.01,55143.6,PlusTick,0e9f-11,55143600000,0.01,551.436"
        >>> BybitArchive().read_row(row, "BTC-USDT-PERP").ts_event
        1723075200136400000
        >>> BybitArchive().read_row(b"1,1723075200136,55143.68,0.00054,buy,0", "BTC-USDT").channel_id
        '1'
        """
        try:
            fields = row.decode("ascii").removesuffix("\r").split(",")
        except UnicodeDecodeError:
            raise FrameError("shape", f"{row[:60]!r} is not text") from None
        category, name = spelled(spelling(symbol))
        if category == LINEAR and len(fields) in (10, 11):
            told, of, side, quantity, price, _, uid = fields[:7]
            if of != name:
                raise FrameError("stream", f"a row of {of[:40]!r}")
            return trade(symbol, LINEAR, uid, _seconds_ns(told), price, quantity, side)
        if category == SPOT and len(fields) in (5, 6):
            number, told, price, quantity, side = fields[:5]
            if _MS.fullmatch(told) is None:
                raise FrameError("time", f"{told[:40]!r} is no time in ms")
            return trade(symbol, SPOT, number, timestamp_ns(int(told)), price, quantity, side)
        raise FrameError("shape", f"{len(fields)} columns are none of {category}: {row[:80]!r}")


def _seconds_ns(text: str) -> int:
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise FrameError("time", f"{text[:40]!r} is no time in seconds")
    return timestamp_ns(int(found[1]) * 1000) + int((found[2] or "0").ljust(9, "0"))
