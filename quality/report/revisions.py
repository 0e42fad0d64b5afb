"""What changed in stored days since an earlier day's report. Pure: a report keeps hashes, the next compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from quality.report.words import counted

Contents = Mapping[str, tuple[str, int]]
"""``venue symbol day`` to the hash of the published ticks and their number."""


class Revision(NamedTuple):
    """A day that was changed: trades before and now, None where nothing was or is held."""

    name: str
    before: int | None
    now: int | None

    @property
    def text(self) -> str:
        """What happened, in words.

        >>> Revision("binance BTC-USDT 2024-08-08", 10, 12).text
        '2 trades added'
        """
        if self.before is None:
            return f"published late, {counted(self.now or 0, 'trade')}"
        if self.now is None:
            return f"taken out, it had {counted(self.before, 'trade')}"
        more = self.now - self.before
        if not more:
            return "as many trades, but not the same"
        return f"{counted(abs(more), 'trade')} {'added' if more > 0 else 'removed'}"


class Revisions(NamedTuple):
    """The changes since the report of `since`, a day."""

    since: str
    changed: tuple[Revision, ...]


def revisions(since: str, before: Contents, now: Contents) -> Revisions:
    """Compare what both reports looked at of the days up to `since`; what lies outside either's span is no change.

    >>> old = {"binance BTC-USDT 2024-08-07": ("aa", 5), "binance BTC-USDT 2024-08-08": ("bb", 7)}
    >>> revisions("2024-08-08", old, old | {"binance BTC-USDT 2024-08-08": ("cc", 9)}).changed
    (Revision(name='binance BTC-USDT 2024-08-08', before=7, now=9),)
    """
    days = [name.rpartition(" ")[2] for name in now]
    first = min(days, default=since)
    names = sorted(name for name in {*before, *now} if first <= name.rpartition(" ")[2] <= since)
    changed = [
        Revision(name, *(contents[name][1] if name in contents else None for contents in (before, now)))
        for name in names
        if before.get(name, ("",))[0] != now.get(name, ("",))[0]
    ]
    return Revisions(since, tuple(changed))
