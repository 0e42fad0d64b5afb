"""What the processor knows of each symbol's silence, and whom it tells: the shell around stale_symbols.py.

The processor decodes every id anyway; the recorder, which must not be slowed, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from queue import SimpleQueue

from trading_platform.ingest.decoder.decoded import Decoded
from trading_platform.ingest.liveness.keepalive import PauseDetector
from trading_platform.ingest.liveness.stale_symbols import SilenceLimits, SilenceTracker
from trading_platform.ingest.workers import messages

JUDGE_NS = 500_000_000


class SilenceWatch:
    """Watches the symbols of one live lane.

    Parameters
    ----------
    symbols : canonical.
    tell : sends a line to the parent; dropped lines are sent again in time.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        tell: Callable[[bytes], object],
        monotonic_ns: Callable[[], int],
        patience: SilenceLimits | None = None,
    ) -> None:
        self._silence = SilenceTracker(symbols, patience or SilenceLimits())
        self._tell, self._monotonic_ns = tell, monotonic_ns
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._judged_ns = monotonic_ns()
        self._own = PauseDetector(self._judged_ns, self._judged_ns)

    def observe(self, decoded: Decoded) -> None:
        """Take note of a decoded batch."""
        now_ns = self._monotonic_ns()
        for key, columns in decoded.trades.items():
            # Of trades without usable ids the time says which is newest.
            newest = columns.trade_id if columns.trade_uid is None else columns.ts_event
            self._silence.seen(key.symbol, int(newest.max()), now_ns, key.epoch)
        for key, seen in decoded.batch.seen.items():
            if seen.tails and seen.tails[-1].tail == "open":
                self._silence.lost(key.symbol)

    def on_message(self, line: bytes) -> None:
        """Take a message of the parent; from any thread."""
        self._lines.put(line)

    def judge(self) -> None:
        """Tell the parent what to ask and what to renew. Call when everything durable is decoded."""
        now_ns = self._monotonic_ns()
        if now_ns - self._judged_ns < JUDGE_NS:
            return
        self._judged_ns = now_ns
        if self._own.tick(now_ns, now_ns):
            self._silence.paused(now_ns)  # we did not run, or had more to decode than time
        while not self._lines.empty():
            match messages.decode_message(self._lines.get()):
                case messages.Heads(heads):
                    self._silence.probed(heads, now_ns)
        verdicts = self._silence.tick(now_ns)
        for line in (*messages.probe(verdicts.probe), *messages.renew(verdicts.renew)):
            self._tell(line)
