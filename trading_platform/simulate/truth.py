"""The truth file: what a simulated venue issued, one JSON line per trade, for tests to judge the platform by."""

from __future__ import annotations

import os
from pathlib import Path

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.tape import Print
from trading_platform.venues.binance import timestamp_ns


class TruthFile:
    """Collect lines and write them whole: whoever reads meanwhile sees no half line.

    Parameters
    ----------
    path : emptied if it exists; None collects nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._lines: list[str] = []
        self._descriptor: int | None = None
        if path is not None:
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise UsageError(f"truth file {path}: {error.strerror or error}") from None

    def add(self, row: Print, symbol: str, *, sent: bool) -> None:
        """Remember one trade; `sent` tells whether a frame of it goes to anyone, now or later."""
        if self._descriptor is not None:
            self._lines.append(_line(row, symbol, sent=sent))

    def write(self) -> None:
        """Write what was added; called before any of its frames is sent."""
        if self._lines and self._descriptor is not None:
            data = memoryview("".join(self._lines).encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._descriptor is not None:
            self.write()
            os.close(self._descriptor)
            self._descriptor = None


def _line(row: Print, symbol: str, *, sent: bool) -> str:
    side = "sell" if row.buyer_is_maker else "buy"
    return (
        f'{{"venue":"binance","symbol":"{symbol}","epoch":0,"trade_id":{row.trade_id},'
        f'"ts_event":{timestamp_ns(row.time)},"price":"{row.price}","quantity":"{row.quantity}",'
        f'"side":"{side}","sent":{"true" if sent else "false"}}}\n'
    )
