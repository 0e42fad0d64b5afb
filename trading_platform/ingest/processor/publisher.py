"""Publish what lies in staging. How one leaf is published is store/lake/publish.py; here is only which and when."""

from __future__ import annotations

from collections.abc import Callable

from trading_platform.domain.verdict import Gate
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import day_boundary as midnight, publish as lake, staging
from trading_platform.store.lake.publish import Published
from trading_platform.store.ledger import Ledger
from trading_platform.store.ledger.voids import Withdrawn
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

EVERY_S = 30.0
"""Pause between publishes; the contract allows five minutes."""
REST_FACTOR = 20.0
"""A publish that takes long is repeated after this many times its duration."""


def publish_staged(data: DataDir, ledger: Ledger, gate: Gate, *, disk: Disk = REAL_DISK) -> list[Published]:
    """Publish every leaf that has staged parts; a leaf that its gate refuses keeps its parts and its last good file.

    Also those that may hold ids which turned out to hold no trade.
    """
    published = []
    withdrawn = {one: _holders(ledger, one) for one in ledger.withdrawn()}  # first: what comes later waits
    again = {leaf for leaves in withdrawn.values() for leaf in leaves}
    refused = set()
    for leaf in sorted(again.union(staging.parts(data))):
        result = lake.publish(data, leaf, ledger=ledger, gate=gate, disk=disk, again=leaf in again)
        if result is None:
            continue
        published.append(result)
        midnight.settle(data, leaf, ledger=ledger, disk=disk)
        if not result.verdict.passed:
            refused.add(leaf)
            log.error("refused by its gate", leaf=str(leaf.path), failures=[f.check for f in result.verdict.failures])
    if done := [one for one, leaves in withdrawn.items() if refused.isdisjoint(leaves)]:
        ledger.left_out(done)
    return published


def _holders(ledger: Ledger, one: Withdrawn) -> list[Leaf]:
    """Return the published days that may hold an id: a venue may print copies of it on both sides of a midnight."""
    found = []
    for leaf, record in ledger.leaves("ticks", one.venue, one.symbol).items():
        first, last = record.first_id, record.last_id
        # A day of several numberings may begin with a greater id than it ends with.
        told = first is None or last is None or first > last or first <= one.trade_id <= last
        if told or leaf.day == one.day:
            found.append(leaf)
    return found


def publish_until(
    data: DataDir,
    ledger: Ledger,
    gate: Gate,
    *,
    monotonic: Callable[[], float],
    wait: Callable[[float], bool],
    afterwards: Callable[[], object] = lambda: None,
    disk: Disk = REAL_DISK,
) -> None:
    """Publish again and again until `wait` says stop, and once more then.

    Parameters
    ----------
    afterwards : called after each publish but the last: what is published no longer needs its log as it was.
    """
    pause = EVERY_S
    while not wait(pause):
        began = monotonic()
        publish_staged(data, ledger, gate, disk=disk)
        pause = max(EVERY_S, REST_FACTOR * (monotonic() - began))
        afterwards()
    publish_staged(data, ledger, gate, disk=disk)
