"""What a refresh says it did: one result a leaf, one report a dataset and day. Plain values, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from trading_platform.domain.verdict import Verdict
from trading_platform.store.fs.layout import Leaf

Status = Literal["computed", "unchanged", "refused", "waiting", "absent"]


class LeafResult(NamedTuple):
    """What became of one leaf.

    Attributes
    ----------
    leaf : for ``absent`` without a timeframe: the symbol-day has no leaf of this dataset at all.
    status : ``computed`` (published anew), ``unchanged``, ``refused`` (its gate or its upstream's said no, the last
        good file stays), ``waiting`` (an earlier day or the upstream is not computed), ``absent``.
    rows : rows of what is published now.
    verdict : the gate's answer where it was asked.
    reason : one line for ``refused`` and ``waiting``, else empty.
    end_state_changed : whether the state that the next day starts from is another than before.
    healed : what was wrong with the published file that this one replaced, empty if nothing was.
    """

    leaf: Leaf
    status: Status
    rows: int = 0
    verdict: Verdict | None = None
    reason: str = ""
    end_state_changed: bool = False
    healed: str = ""


class DayReport(NamedTuple):
    """What became of one dataset's day.

    Examples
    --------
    >>> leaf = Leaf("bars", "binance", "BTC-USDT", "2024-08-08", "1m")
    >>> report = DayReport("bars", "2024-08-08", (LeafResult(leaf, "computed", 1440),))
    >>> report.rows, report.ok, dict(report.counts)
    (1440, True, {'computed': 1})
    """

    dataset: str
    day: str
    results: tuple[LeafResult, ...] = ()

    @property
    def rows(self) -> int:
        """Rows published for this day."""
        return sum(result.rows for result in self.results)

    @property
    def counts(self) -> Counter[str]:
        """How many leaves have which status."""
        return Counter(result.status for result in self.results)

    @property
    def failed(self) -> tuple[LeafResult, ...]:
        """What was refused or had to wait."""
        return tuple(result for result in self.results if result.status in ("refused", "waiting"))

    @property
    def healed(self) -> tuple[LeafResult, ...]:
        """What was damaged and has been made again."""
        return tuple(result for result in self.results if result.healed)

    @property
    def ok(self) -> bool:
        """Tell whether nothing was refused and nothing had to wait."""
        return not self.failed


def describe(verdict: Verdict) -> str:
    """Return a verdict against a frame in one line.

    >>> from trading_platform.domain.verdict import Failure
    >>> describe(Verdict((Failure("ids rise", 2, "row 7: trade_id=3"), Failure("one day", 1, "row 0"))))
    'ids rise (2 rows, row 7: trade_id=3) and 1 more'
    """
    if verdict.passed:
        return "passed"
    check, rows, example = verdict.failures[0]
    more = f" and {len(verdict.failures) - 1} more" if len(verdict.failures) > 1 else ""
    return f"{check} ({rows} row{'s' if rows != 1 else ''}, {example[:120]}){more}"
