"""Bybit's archive of daily trades as the simulator serves it: gzipped CSV for each past day, and listing pages.

After public.bybit.com, its files and its pages as others have described them.

Imitated:

- Linear: `/trading/BTCUSDT/BTCUSDT2024-08-08.csv.gz`, with a header; times in seconds with four decimals (finer than
  the stream's ms), `trdMatchID` is the stream's id.
- Spot: `/spot/BTCUSDT/BTCUSDT_2024-08-08.csv.gz`, with a header; times in ms, `id` counts the rows of the file and is
  no id of the exchange, sides in lower case.
- Both have a column more, RPI, from May 2025 on (the day that the exchange added it is not known exactly).
- Prices and quantities have no zeros at their end: the same numbers as on the stream, other literals.
- `/trading/`, `/spot/` and each symbol's folder are pages of links. A file appears an hour after its day's end; missing
  ones are 404; there is no checksum; ranges. Planned: files that lack trades, for ever or until they are published
  again, that come late, or arrive damaged. Whether other trades are there is for who compares to find out.

Not imitated: monthly files of spot, order by other than time, the columns' floats beyond what their literals say.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import re
from collections.abc import Iterator, Mapping

from trading_platform.simulate.daily_files import DailyFiles
from trading_platform.simulate.exchange import HttpAnswer, Stage
from trading_platform.simulate.exchanges.bybit_spelling import spelling, trade_uid, trimmed
from trading_platform.simulate.tape import Print, time_ns

_AFTER_S = 3600.0
_FILE = re.compile(r"/(?:trading/(?P<l>[^/]+)/(?P=l)|spot/(?P<s>[^/]+)/(?P=s)_)(?P<day>\d{4}-\d\d-\d\d)\.csv\.gz")
_FOLDER = re.compile(r"/(?P<root>trading|spot)/(?:(?P<name>[^/]+)/)?")
_EPOCH = dt.date(1970, 1, 1)
_RPI_SINCE = dt.date(2025, 5, 1)
_MISSING = HttpAnswer(404, b"<html><body><h1>404 Not Found</h1></body></html>", (("content-type", "text/html"),))
_ROOTS = {"trading": "linear", "spot": "spot"}
_LINEAR = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
_SPOT = "id,timestamp,price,volume,side"


class BybitArchiveServer:
    """The archive of one simulated venue."""

    def __init__(self, stage: Stage) -> None:
        self._files = DailyFiles(stage, _AFTER_S)
        spelled = {row.venue_symbol: spelling(row) for row in stage.market.listings}
        self._names = {(spelling.category, spelling.name): name for name, spelling in spelled.items()}
        self._markets = len(spelled)

    def serves(self, path: str) -> bool:
        """Tell whether a path is one of the archive's."""
        return path.startswith(("/trading/", "/spot/"))

    def damage(self, count: int) -> None:
        """Let the next downloads arrive damaged."""
        self._files.damage(count)

    def close(self) -> None:
        """Give up files that are being made."""
        self._files.close()

    def get(self, path: str, headers: Mapping[str, str], *, now_s: float) -> HttpAnswer:
        """Return a file or a page of links."""
        folder = _FOLDER.fullmatch(path)
        if folder is not None:
            return self._page(_ROOTS[folder["root"]], folder["name"])
        asked = _FILE.fullmatch(path)
        category = "linear" if asked is not None and asked["l"] else "spot"
        symbol = "" if asked is None else asked["l"] or asked["s"]
        name = self._names.get((category, symbol))
        if asked is None or name is None:
            return _MISSING
        try:
            date = dt.date.fromisoformat(asked["day"])
        except ValueError:
            return _MISSING
        if not self._files.is_there(name, (date - _EPOCH).days):
            return _MISSING

        def make(pages: Iterator[list[Print]]) -> bytes:
            lines = self._linear(symbol, date, pages) if category == "linear" else self._spot(date, pages)
            return _gzip(lines)

        body = self._files.file(name, (date - _EPOCH).days, now_s, make)
        return self._files.download(body, "application/gzip", headers)

    def _page(self, category: str, symbol: str | None) -> HttpAnswer:
        if symbol is None:
            links = sorted(f"{name}/" for of, name in self._names if of == category)
        else:
            market_name = self._names.get((category, symbol))
            if market_name is None:
                return _MISSING
            mark = "_" if category == "spot" else ""
            days = (_EPOCH + dt.timedelta(days=day) for day in self._files.days(market_name))
            links = [f"{symbol}{mark}{day}.csv.gz" for day in days]
        rows = "".join(f'    <li><a href="{link}">{link}</a></li>\n' for link in links)
        page = (
            f"<!DOCTYPE html>\n<html>\n  <body>\n    <h1>Index of</h1>\n    <ul>\n{rows}    </ul>\n  </body>\n</html>\n"
        )
        return HttpAnswer(200, page.encode(), (("content-type", "text/html"),))

    def _linear(self, symbol: str, date: dt.date, pages: Iterator[list[Print]]) -> Iterator[str]:
        rpi = date >= _RPI_SINCE
        yield _LINEAR + (",RPI\n" if rpi else "\n")
        end = ",0\n" if rpi else "\n"
        for rows in pages:
            yield "".join(self._linear_line(symbol, row) + end for row in rows)

    def _linear_line(self, symbol: str, row: Print) -> str:
        ms = time_ns(row.time) // 1_000_000
        price, size = trimmed(row.price), trimmed(row.quantity)
        value = float(price) * float(size)
        side = "Sell" if row.buyer_is_maker else "Buy"
        tick = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")[row.trade_id % 4]
        uid = trade_uid(row, "linear", self._markets)
        # Trades of one ms share the digit below it: their order stays that of their times.
        return (
            f"{ms // 1000}.{ms % 1000:03d}{ms * 2_654_435_761 % 10},{symbol},{side},{size},{price},{tick},{uid},"
            f"{value * 1e8:.10g},{size},{value:.10g}"
        )

    def _spot(self, date: dt.date, pages: Iterator[list[Print]]) -> Iterator[str]:
        rpi = date >= _RPI_SINCE
        yield _SPOT + (",rpi\n" if rpi else "\n")
        end = ",0\n" if rpi else "\n"
        number = 0
        for rows in pages:
            lines = []
            for row in rows:
                number += 1
                ms = time_ns(row.time) // 1_000_000
                side = "sell" if row.buyer_is_maker else "buy"
                lines.append(f"{number},{ms},{trimmed(row.price)},{trimmed(row.quantity)},{side}{end}")
            yield "".join(lines)


def _gzip(pieces: Iterator[str]) -> bytes:
    """Return the text compressed; a pure function of it."""
    written = io.BytesIO()
    with gzip.GzipFile(fileobj=written, mode="wb", compresslevel=1, mtime=0) as file:
        for piece in pieces:
            file.write(piece.encode())
    return written.getvalue()
