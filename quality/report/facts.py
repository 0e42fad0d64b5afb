"""What a report tells, as plain values. Reading them is collect.py, showing them page.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from quality.report.candles import CandleComparison
from quality.report.revisions import Revisions
from quality.report.score import Score
from quality.report.trades import TradeStatistics
from quality.report.verdicts import KeptVerdicts
from quality.report.words import utc
from trading_platform.completeness.records import DayState, DayStatus, Gap


class Drift(NamedTuple):
    """A day's number of trades beside the days before it; `usual` is their median, None with less than a week."""

    trades: int
    days: int
    usual: float | None

    @property
    def ratio(self) -> float | None:
        """How many times the usual number, None if that is unknown."""
        return None if self.usual is None or not self.usual else self.trades / self.usual


class SymbolFacts(NamedTuple):
    """What is known of one symbol's day; `statistics` is None if no trade of it is published.

    Attributes
    ----------
    repeated : trades that are in the published file twice.
    conflicts : copies of a trade that say something else than the stored one.
    quarantined : records of the day that could not be taken, by kind.
    refused : files of the day that their gate refused, with the reason.
    damaged : files of the day that cannot be read, with the reason.
    not_known : in words, since when nothing is known of the symbol; empty while somebody vouches for it.
    """

    venue: str
    symbol: str
    status: DayStatus
    statistics: TradeStatistics | None
    repeated: int
    conflicts: int
    quarantined: Mapping[str, int]
    refused: Sequence[tuple[str, str]]
    damaged: Sequence[tuple[str, str]]
    drift: Drift
    candles: CandleComparison | None
    score: Score
    not_known: str = ""

    @property
    def name(self) -> str:
        """The symbol with its venue."""
        return f"{self.symbol} {self.venue}"


class HeatRow(NamedTuple):
    """One symbol's row of the calendar: a state and how much is missing for each day, None where nothing is held."""

    venue: str
    symbol: str
    cells: tuple[tuple[DayState, int] | None, ...]


class RepairedGap(NamedTuple):
    """A gap that touches the day, and what became of it."""

    gap: Gap
    begins: str
    ends: str


class Repairs(NamedTuple):
    """The gaps of a day by state, (gaps, trades) each; `shown` are some of them, what is not closed first."""

    by_state: Mapping[str, tuple[int, int]]
    shown: Sequence[RepairedGap]


class ReportFacts(NamedTuple):
    """Everything on a day's page. `heat_days` are the columns of the calendar, `earlier` the reports of days before."""

    day: str
    written_ns: int
    simulated: bool
    over: bool
    symbols: Sequence[SymbolFacts]
    heat_days: Sequence[str]
    heat: Sequence[HeatRow]
    repairs: Repairs
    quarantined_nameless: Mapping[str, int]
    revisions: Revisions | None
    candles_held: bool
    verdicts: Sequence[KeptVerdicts] | None
    earlier: Sequence[str]

    @property
    def written(self) -> str:
        """When it was written, in words."""
        return utc(self.written_ns)

    @property
    def trades(self) -> int:
        """How many trades of the day are held."""
        return sum(symbol.status.stored for symbol in self.symbols)

    @property
    def lowest(self) -> float | None:
        """The lowest score, None if none is known."""
        return min((s.score.value for s in self.symbols if s.score.value is not None), default=None)
