"""Write what a simulated venue did as JSON lines: the truth file that tests compare with, and the REST requests."""

from __future__ import annotations

import os
from pathlib import Path

from trading_platform.domain.errors import UsageError
from trading_platform.simulate.exchange import StreamedTrade


class LineFile:
    """Collect lines and write them whole: whoever reads meanwhile sees no half line.

    Parameters
    ----------
    path : emptied if it exists; None collects nothing.
    what : what the file is, for the error message.

    Attributes
    ----------
    wanted : whether there is a file, so that nobody makes lines for none.
    """

    def __init__(self, path: Path | None, what: str) -> None:
        self.wanted = path is not None
        self._lines: list[str] = []
        self._descriptor: int | None = None
        if path is not None:
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise UsageError(f"{what} {path}: {error.strerror or error}") from None

    def add(self, line: str) -> None:
        """Remember a line, given without its end."""
        self._lines.append(line)

    def write(self) -> None:
        """Write what was added."""
        if self._lines and self._descriptor is not None:
            data = memoryview(("\n".join(self._lines) + "\n").encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._descriptor is not None:
            self.write()
            os.close(self._descriptor)
            self._descriptor = None


def truth_line(told: StreamedTrade, symbol: str, *, venue: str, sent: bool, epoch: int = 0) -> str:
    """Return the truth about one issued trade; `sent` tells whether a frame of it goes to anyone, now or later."""
    named = (
        f'"trade_id":{told.trade_id}' if told.trade_uid is None else f'"trade_id":null,"trade_uid":"{told.trade_uid}"'
    )
    return (
        f'{{"venue":"{venue}","symbol":"{symbol}","epoch":{epoch},{named},'
        f'"ts_event":{told.ts_event},"price":"{told.price}","quantity":"{told.quantity}",'
        f'"side":"{told.side}","sent":{"true" if sent else "false"}}}'
    )
