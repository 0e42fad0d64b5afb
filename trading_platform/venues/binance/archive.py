"""Binance's archive of daily spot trades: a zip with one CSV for each symbol and day, and its checksum file.

After github.com/binance/binance-public-data. Seven columns without a header: id, price, qty, quote_qty, time,
is_buyer_maker, is_best_match. Times are in ms until the end of 2024 and in µs from 2025-01-01 on; the magnitude tells.
A price of 0 uses an id up without an order-book trade, as in the stream.
"""

from __future__ import annotations

import re

from trading_platform.domain.errors import FrameError
from trading_platform.domain.trades.trade import Trade
from trading_platform.venues.archive import ArchiveFile, RowForm
from trading_platform.venues.binance.wire import MS_END, MS_FIRST, US_END, US_FIRST, trade

_COLUMNS = 7
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_TRUTHS = {"true": True, "false": False}
_CHECKSUM = re.compile(rb"([0-9a-fA-F]{64})(?:[ \t]+\*?([^\s/]{1,200}))?\s*")


class BinanceArchive:
    """The archive of Binance's spot market.

    Examples
    --------
    >>> BinanceArchive().file("BTCUSDT", "2024-08-08").path
    '/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-08.zip'
    """

    url = "https://data.binance.vision"
    published_after_s = 3600.0
    headers: tuple[bytes, ...] = ()
    row_form: RowForm | None = RowForm(
        (
            *("id", b",", "price", b",", "quantity", b",", "number", b",", "time", b","),
            *("buyer_is_maker", b",", "bool", b"\n"),
        ),
        ((MS_FIRST, MS_END, 1_000_000), (US_FIRST, US_END, 1000)),
    )

    def file(self, venue_symbol: str, day: str) -> ArchiveFile:
        """Return where the file of a day lies."""
        name = f"{venue_symbol}-trades-{day}"
        path = f"/data/spot/daily/trades/{venue_symbol}/{name}.zip"
        return ArchiveFile(path, f"{path}.CHECKSUM", "zip", f"{name}.csv")

    def read_checksum(self, body: bytes, file: ArchiveFile) -> str:
        """Return the sum that a checksum file names.

        Raises
        ------
        FrameError : of kind ``checksum`` if it names none, or that of another file.
        """
        found = _CHECKSUM.fullmatch(body)
        if found is None:
            raise FrameError("checksum", f"{body[:60]!r} names no SHA-256")
        if found[2] is not None and found[2] != file.name.encode():
            raise FrameError("checksum", f"it is of {found[2][:80]!r}, not of {file.name}")
        return found[1].decode().lower()

    def read_row(self, row: bytes, symbol: str) -> Trade:
        """Return the trade of a row.

        Raises
        ------
        FrameError : kinds ``shape``, ``number``, ``time``.

        Examples
        --------
        >>> row = b"3744529158,55143.68,0.00054,29.7775872,1723075200136,False,True"
        >>> BinanceArchive().read_row(row, "BTC-USDT")[1:6]
        (3744529158, 1723075200136000000, '55143.68', '0.00054', 'buy')
        """
        try:
            fields = row.decode("ascii").removesuffix("\r").split(",")
        except UnicodeDecodeError:
            raise FrameError("shape", f"{row[:60]!r} is not text") from None
        if len(fields) != _COLUMNS:
            raise FrameError("shape", f"{len(fields)} columns, and {_COLUMNS} were expected: {row[:80]!r}")
        number, price, quantity, _, time, maker, _ = fields
        if not (_WHOLE.fullmatch(number) and _WHOLE.fullmatch(time)):
            raise FrameError("shape", f"{row[:80]!r} has no whole number as its id or time")
        buyer_is_maker = _TRUTHS.get(maker.lower())
        if buyer_is_maker is None:
            raise FrameError("shape", f"{maker[:40]!r} is neither True nor False")
        return trade(symbol, int(number), int(time), price, quantity, buyer_is_maker)
