"""Binance's archive of daily trades as the simulator serves it: a zip and its checksum for each past day.

After github.com/binance/binance-public-data. Imitated: the addresses
`/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-08.zip` and the same with `.CHECKSUM`; seven columns without a
header (id, price, qty, quote_qty, time, is_buyer_maker, is_best_match); times in ms until the end of 2024 and in µs
since; a file appears an hour after its day's end, missing ones are 404; ranges. Planned: files that lack ids, for ever
or until they are published again with another checksum, that come late, or arrive damaged.

Not imitated: monthly files, other data than trades, the listing (it is another host's).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping

from trading_platform.simulate.daily_files import DailyFiles
from trading_platform.simulate.exchange import HttpAnswer, Stage
from trading_platform.simulate.tape import Print

_ROOT = "/data/"
_AFTER_S = 3600.0
_FILE = re.compile(r"/data/spot/daily/trades/(?P<name>[^/]+)/(?P=name)-trades-(\d{4}-\d\d-\d\d)\.zip(\.CHECKSUM)?")
_MICROS_SINCE = dt.date(2025, 1, 1)
_EPOCH = dt.date(1970, 1, 1)
_MISSING = HttpAnswer(
    404,
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
    b"<Message>The specified key does not exist.</Message></Error>",
    (("content-type", "application/xml"),),
)


class BinanceArchiveServer:
    """The archive of one simulated venue."""

    def __init__(self, stage: Stage) -> None:
        self._files = DailyFiles(stage, _AFTER_S)
        self._names = {listing.venue_symbol for listing in stage.market.listings}

    def serves(self, path: str) -> bool:
        """Tell whether a path is one of the archive's."""
        return path.startswith(_ROOT)

    def damage(self, count: int) -> None:
        """Let the next downloads of zips arrive damaged."""
        self._files.damage(count)

    def close(self) -> None:
        """Give up files that are being made."""
        self._files.close()

    def get(self, path: str, headers: Mapping[str, str], *, now_s: float) -> HttpAnswer:
        """Return a zip or its checksum."""
        asked = _FILE.fullmatch(path)
        if asked is None or asked["name"] not in self._names:
            return _MISSING
        try:
            date = dt.date.fromisoformat(asked[2])
        except ValueError:
            return _MISSING
        name, day = asked["name"], (date - _EPOCH).days
        if not self._files.is_there(name, day):
            return _MISSING
        body = self._files.file(name, day, now_s, lambda rows: _zip(f"{name}-trades-{date}.csv", date, rows))
        if asked[3] is None or body is None:
            return self._files.download(body, "application/zip", headers)
        line = f"{hashlib.sha256(body).hexdigest()}  {name}-trades-{date}.zip\n"
        return HttpAnswer(200, line.encode(), (("content-type", "binary/octet-stream"),))


def _zip(name: str, date: dt.date, pages: Iterator[list[Print]]) -> bytes:
    """Return a zip with one file; a pure function of the rows."""
    written = io.BytesIO()
    unit = 1 if date >= _MICROS_SINCE else 1000
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        after = _EPOCH + dt.timedelta(days=(date - _EPOCH).days + 1)
        info = zipfile.ZipInfo(name, (after.year, after.month, after.day, 1, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w") as file:
            for rows in pages:
                file.write("".join(_line(row, unit) for row in rows).encode())
    return written.getvalue()


def _line(row: Print, unit: int) -> str:
    micros = row.time if row.time >= 10**14 else row.time * 1000
    maker = "True" if row.buyer_is_maker else "False"
    quote = int(row.price.replace(".", "")) * int(row.quantity.replace(".", ""))
    quote = quote * 10**8 // 10 ** (_places(row.price) + _places(row.quantity))
    told = f"{quote // 10**8}.{quote % 10**8:08d}"
    return f"{row.trade_id},{row.price},{row.quantity},{told},{micros // unit},{maker},True\n"


def _places(literal: str) -> int:
    at = literal.find(".")
    return 0 if at < 0 else len(literal) - at - 1
