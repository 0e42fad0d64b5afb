"""Prometheus metrics: the table of all names. Serving them is metrics_server.py.

The worker processes of one ingest write into a shared folder (`telemetry.SHARED`: the library's multiprocess mode, an
environment variable that must be set before this module is imported), and their parent serves the sum. Those of the
contract must keep their names and labels. Labels take few values: venues, symbols that are recorded, and words of our
own; never an id, an address or an error's text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets where latencies are expected; the library's defaults resolve little below 100 ms."""

TICK_LATENCY = Histogram(
    "market_data_tick_latency_seconds",
    "Exchange trade time to decoded, of each live trade; refetched ones do not count.",
    buckets=LATENCY_BUCKETS_S,
)
TICKS = Counter("market_data_ticks_total", "Trades taken in, each once.", ["venue", "symbol", "source"])
AHEAD = Counter("market_data_ticks_ahead_total", "Live trades whose exchange time was later than our clock.", ["venue"])
VALIDATION_FAILURES = Counter(
    "data_validation_failures_total", "Records that failed a check.", ["venue", "symbol", "failure_type"]
)
RECONNECTS = Counter("ingest_reconnects_total", "Connections opened again, by reason.", ["venue", "reason"])
COMMIT_SECONDS = Histogram(
    "ingest_commit_seconds", "Time of one commit of the log, fdatasync included.", buckets=LATENCY_BUCKETS_S
)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    # When several processes set one gauge, the latest value counts.
    return Gauge(name, meaning, labels, multiprocess_mode="mostrecent")


LAST_TICK = _gauge("market_data_last_tick_timestamp", "Exchange time of the newest trade, Unix s.", "venue", "symbol")
LAST_RECEIVED = _gauge(
    "market_data_last_received_timestamp", "When the newest live trade was received, Unix s.", "venue", "symbol"
)
GAPS_OPEN = _gauge("market_data_gaps_open", "Open gaps, tails included.", "venue", "symbol")
OPEN_GAP_AGE = _gauge("market_data_open_gap_age_seconds", "Age of the oldest open gap; 0: none.", "venue", "symbol")
MISSING_IDS = _gauge("market_data_missing_ids", "Ids in open gaps.", "venue", "symbol")
CLOCK_OFFSET = _gauge(
    "exchange_clock_offset_seconds",
    "Exchange clock minus ours at least: less the shortest delay of ten minutes, s.",
    "venue",
)
DURABLE_LAG = _gauge("ingest_durable_lag_seconds", "From receipt of a commit's oldest frame to its fdatasync, s.")
RECEIVE_QUEUE = _gauge("ingest_receive_queue_bytes", "Received and not durable yet.", "venue")
UNDECODED = _gauge("ingest_undecoded_seconds", "From receipt to decoding, of the newest batch, s.", "venue")
UNSTAGED = _gauge("ingest_unstaged_trades", "Decoded and not in staging yet.", "venue")
DISK_FULL = _gauge("ingest_disk_full", "1 while a recorder waits for space on its disk.", "lane")
DISK_FREE = _gauge("ingest_disk_free_bytes", "Free on the disk of the data directory.", "venue")
MEMORY = _gauge("ingest_memory_bytes", "Resident memory of a worker.", "venue", "role")
REST_WEIGHT = _gauge("rest_weight_used", "Share of the venue's REST limit in use by this address, 0 to 1.", "venue")
SINK_LAG = _gauge("sink_lag_seconds", "How far a sink is behind the log, s.", "sink")
BREAKER_STATE = _gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", "name")


def word_of(text: str, known: Collection[str], else_word: str = "other") -> str:
    """Return the first word of a text if it is a known one, for a label that must take few values.

    >>> word_of("connect: [Errno 111]", {"connect", "http"}), word_of("8f2c", {"http"})
    ('connect', 'other')
    """
    first = text.partition(" ")[0].rstrip(":")
    return first if first in known else else_word


def observe_each(histogram: Histogram, values: npt.NDArray[np.float64]) -> None:
    """Observe many values at once; equal to `histogram.observe` of each, at a cost that does not grow with them.

    Parameters
    ----------
    histogram : without labels.
    values : float64, shape (n,), finite.

    The library has no call for it; what is used here of its inside is held by a test.
    """
    import numpy as np  # not above: the recorder goes without it

    if not len(values):
        return
    bounds: Sequence[float] = histogram._upper_bounds
    places = np.searchsorted(np.asarray(bounds), values, side="left")
    for place, count in enumerate(np.bincount(places, minlength=len(bounds)).tolist()):
        if count:
            histogram._buckets[place].inc(count)
    histogram._sum.inc(float(values.sum()))
