"""Measure decoded batches: counts, latency of live trades, the exchange's clock, failures. The names are telemetry's.

A metric that fails never stops the processor: it is logged once and left out from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from trading_platform.domain.trades.trade import SOURCES
from trading_platform.domain.trades.trade_columns import TradeColumns
from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.store.ledger import Ledger, SequenceKey
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger

WINDOW_S = 600.0
"""Of the shortest delay: a clock is corrected, and drifts."""
_LIVE = SOURCES.index("ws")


class ClockOffset:
    """Estimates from one-way delays how far an exchange's clock is ahead of ours.

    A trade is received after it happened, so ``ts_event - ts_recv`` is the offset less a delay above zero. The largest
    such value of the last ten minutes is closest: it is low by the shortest delay, some milliseconds.

    Examples
    --------
    >>> clock = ClockOffset()
    >>> [clock.observe(at, ahead) for at, ahead in ((0.0, 1.20), (10.0, 1.27), (300.0, 1.19), (620.0, 1.10))]
    [1.2, 1.27, 1.27, 1.19]
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._best: deque[tuple[float, float]] = deque()  # falling values: whoever is older and lower never counts

    def observe(self, now_s: float, ahead_s: float) -> float:
        """Take the largest ``ts_event - ts_recv`` of some trades; return the estimate, in s."""
        best = self._best
        while best and best[-1][1] <= ahead_s:
            best.pop()
        best.append((now_s, ahead_s))
        while best[0][0] <= now_s - self._window_s:
            best.popleft()
        return best[0][1]


class BatchMetrics:
    """Observes what one venue's processor decodes.

    Parameters
    ----------
    symbols : that are recorded; what fails of others is counted together, so that labels stay few.
    clock : wall time in s.
    """

    def __init__(self, venue: str, symbols: Iterable[str], clock: Callable[[], float]) -> None:
        self._venue, self._symbols, self._clock = venue, frozenset(symbols), clock
        self._offset = ClockOffset()
        self._guard = _Guarded()

    def observe(self, decoded: Decoded, added: Mapping[SequenceKey, int]) -> None:
        """Count one batch. `added`: how many trades of each sequence were new."""
        self._guard(self._observe, decoded, added)

    def gauge(self, ledger: Ledger, unstaged: int) -> None:
        """Set what is open in the ledger, and how much is decoded and not in staging."""
        self._guard(self._gauge, ledger, unstaged)

    def _observe(self, decoded: Decoded, added: Mapping[SequenceKey, int]) -> None:
        now_s = self._clock()
        for key, columns in decoded.trades.items():
            metrics.TICKS.labels(key.venue, key.symbol, SOURCES[columns.source[-1]]).inc(added[key])
            metrics.LAST_TICK.labels(key.venue, key.symbol).set(columns.ts_event[-1] / 1e9)
            metrics.SINK_LAG.labels("staging").set(max(0.0, now_s - columns.ts_recv[0] / 1e9))
            live = columns.source == _LIVE
            if live.any():
                self._live(key, columns if live.all() else columns.rows(live), now_s)
        for item in decoded.batch.quarantine:
            symbol = item.symbol if item.symbol in self._symbols else "other"
            metrics.VALIDATION_FAILURES.labels(self._venue, symbol, item.kind).inc()
        for key in decoded.batch.resets:
            metrics.VALIDATION_FAILURES.labels(key.venue, key.symbol, "renumbered").inc()

    def _live(self, key: SequenceKey, columns: TradeColumns, now_s: float) -> None:
        metrics.LAST_RECEIVED.labels(key.venue, key.symbol).set(columns.ts_recv[-1] / 1e9)
        metrics.UNDECODED.labels(key.venue).set(max(0.0, now_s - columns.ts_recv[-1] / 1e9))
        # Differences of whole numbers first: a time in ns has more digits than a float.
        latency = (np.int64(now_s * 1e9) - columns.ts_event) / 1e9
        ahead = latency < 0
        if ahead.any():
            metrics.AHEAD.labels(key.venue).inc(int(ahead.sum()))
            latency = latency[~ahead]
        metrics.observe_each(metrics.TICK_LATENCY, latency)
        offset = self._offset.observe(now_s, int((columns.ts_event - columns.ts_recv).max()) / 1e9)
        metrics.CLOCK_OFFSET.labels(key.venue).set(offset)

    def _gauge(self, ledger: Ledger, unstaged: int) -> None:
        now_ns = int(self._clock() * 1e9)
        mine: dict[str, list[tuple[int, int]]] = {symbol: [] for symbol in self._symbols}
        for gap in ledger.gaps(venue=self._venue):
            mine.setdefault(gap.symbol, []).append((gap.missing, gap.prev_ts or gap.next_ts or now_ns))
        tails = {row.symbol for row in ledger.sequences(self._venue) if row.tail == "open"}
        for symbol, gaps in mine.items():
            metrics.GAPS_OPEN.labels(self._venue, symbol).set(len(gaps) + (symbol in tails))
            metrics.MISSING_IDS.labels(self._venue, symbol).set(sum(missing for missing, _ in gaps))
            oldest = min((at for _, at in gaps), default=now_ns)
            metrics.OPEN_GAP_AGE.labels(self._venue, symbol).set(max(0, now_ns - oldest) / 1e9)
        metrics.UNSTAGED.labels(self._venue).set(unstaged)


class _Guarded:
    """Calls what measures; after its first error not again."""

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, measure: Callable[..., None], *words: object) -> None:
        if self._failed:
            return
        try:
            measure(*words)
        except Exception as error:  # noqa: BLE001  whatever it is, recording goes on
            self._failed = True
            get_logger(__name__).error("metrics stopped", reason=repr(error))
