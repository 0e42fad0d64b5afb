"""Serve an exchange's daily archive files: which trades a file holds, when it appears, how it is downloaded.

Format and name of a file belong to each exchange (exchanges/); faults are faults.py.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

from trading_platform.domain.days import DAY_NS
from trading_platform.simulate.exchange import HttpAnswer, Stage
from trading_platform.simulate.faults import Event
from trading_platform.simulate.tape import Print

_PAGE = 10_000
_KEPT = 8
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


STOPPED = HttpAnswer(503, b"")
"""What a request for a file is answered that was being made when the venue stopped."""


class _StoppedError(Exception):
    """The venue stops while a file is being made."""


class DailyFiles:
    """The files of an exchange, made when they are asked for and kept for a while.

    Parameters
    ----------
    stage : the simulation it plays in.
    after_s : how long after the end of its day a file appears, in simulated seconds.
    """

    def __init__(self, stage: Stage, after_s: float) -> None:
        self._stage, self._after_s = stage, after_s
        self._symbols = {row.venue_symbol: row.symbol for row in stage.market.listings}
        self._events = [event for event in stage.plan.events if event.kind.startswith("archive_")]
        self._asked: dict[tuple[str, int], float] = {}
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()  # downloads come from threads
        self._closed = threading.Event()
        self._damaged = 0

    def damage(self, count: int) -> None:
        """Let the next downloads arrive damaged."""
        self._damaged += count

    def close(self) -> None:
        """Give up files that are being made: a venue that stops waits for none."""
        self._closed.set()

    def days(self, name: str) -> list[int]:
        """Return the days whose file is there, as days since the epoch."""
        first = self._stage.market.start_ns // DAY_NS
        last = self._stage.now_ns() // DAY_NS
        return [day for day in range(first, last) if self.is_there(name, day)]

    def is_there(self, name: str, day: int) -> bool:
        """Tell whether the file of a day has appeared; a day without a trade has none."""
        begin, end = self._span(name, day)
        if begin >= end:
            return False
        late_s = sum(
            event.seconds
            for event in self._of("archive_late", name)
            if event.at_id is not None and begin <= event.at_id < end
        )
        return self._stage.now_ns() >= (day + 1) * DAY_NS + int((self._after_s + late_s) * 1e9)

    def rows(self, name: str, day: int, version: Sequence[Event]) -> Iterator[list[Print]]:
        """Yield the trades of a day in the order of their ids, without those that this version of the file lacks."""
        market, numbering = self._stage.market, self._stage.numbering
        at, end = self._span(name, day)
        lacking = [(event.at_id or 0, (event.at_id or 0) + event.count) for event in version]
        while at < end and (rows := market.page(name, at, end - 1, _PAGE)):
            if self._closed.is_set():
                raise _StoppedError  # never half a file that looks whole
            at = rows[-1].trade_id + 1
            if lacking:
                rows = [row for row in rows if not any(first <= row.trade_id < past for first, past in lacking)]
            yield rows if numbering.plain else [numbering.shown(row) for row in rows]

    def file(self, name: str, day: int, now_s: float, make: Callable[[Iterator[list[Print]]], bytes]) -> bytes | None:
        """Return the file of a day as it is now, made by `make` of its trades; None if the venue stops meanwhile."""
        asked_s = self._asked.setdefault((name, day), now_s)
        lacking = self._of("archive_forget", name)
        lacking += [event for event in self._of("archive_republish", name) if now_s < asked_s + event.seconds]
        key = (name, day, tuple(event.at_id for event in lacking), self._span(name, day))
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = make(self.rows(name, day, lacking))
                except _StoppedError:
                    return None
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def download(self, body: bytes | None, kind: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Return a file as it is downloaded: whole, or the range that is asked for; damaged if that is planned."""
        if body is None:
            return STOPPED
        if self._damaged > 0:
            self._damaged -= 1
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        sent = (
            ("content-type", kind),
            ("accept-ranges", "bytes"),
            ("etag", f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'),
        )
        asked = _RANGE.fullmatch(headers.get("range", ""))
        if asked is None:
            return HttpAnswer(200, body, sent)
        first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        if first > last:
            return HttpAnswer(416, b"", (("content-range", f"bytes */{len(body)}"),))
        return HttpAnswer(206, body[first : last + 1], (*sent, ("content-range", f"bytes {first}-{last}/{len(body)}")))

    def _span(self, name: str, day: int) -> tuple[int, int]:
        """Return the first id of a day and the one after its last, in the market's own ids."""
        head = self._stage.head(name)
        before, last = (self._stage.market.head_at(name, edge * DAY_NS - 1) for edge in (day, day + 1))
        if head is None or last is None:
            return 0, 0
        return 0 if before is None else before + 1, min(head, last) + 1

    def _of(self, kind: str, name: str) -> list[Event]:
        return [event for event in self._events if event.kind == kind and event.symbol in {None, self._symbols[name]}]
