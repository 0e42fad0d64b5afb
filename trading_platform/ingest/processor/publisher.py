"""Publish what lies in staging. How one leaf is published is store/lake/publish.py; here is only which and when."""

from __future__ import annotations

from collections.abc import Callable

from trading_platform.domain.errors import CorruptionError
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


def publish_staged(
    data: DataDir,
    ledger: Ledger,
    gate: Gate,
    *,
    disk: Disk = REAL_DISK,
    enough: Callable[[], bool] = lambda: False,
    after: Leaf | None = None,
    heal: Callable[[Leaf], Published] | None = None,
) -> list[Published]:
    """Publish every leaf that has staged parts; a leaf that its gate refuses keeps its parts and its last good file.

    Also those that may hold ids which turned out to hold no trade. A leaf that is damaged keeps none of the others
    from being published.

    Parameters
    ----------
    enough : asked before each leaf; once it says so the others are left as they are, for another round.
    after : where an earlier round broke off: this one begins behind it and comes back to it at its end.
    heal : rebuilds a damaged leaf from the log; without it the leaf keeps its parts.
    """
    published = []
    withdrawn = {one: _holders(ledger, one) for one in ledger.withdrawn()}  # first: what comes later waits
    again = {leaf for leaves in withdrawn.values() for leaf in leaves}
    undone = set()
    due = sorted(again.union(staging.parts(data)))
    if after is not None:
        due.sort(key=lambda leaf: leaf <= after)
    for at, leaf in enumerate(due):
        if enough():
            undone |= set(due[at:])
            break
        try:
            result = _publish(data, leaf, ledger, gate, disk, again=leaf in again, heal=heal)
        except CorruptionError as error:
            undone.add(leaf)
            log.error("damaged, not published", leaf=str(leaf.path), reason=str(error))
            continue
        if result is None:
            continue
        published.append(result)
        if not result.verdict.passed:
            undone.add(leaf)
            log.error("refused by its gate", leaf=str(leaf.path), failures=[f.check for f in result.verdict.failures])
    if done := [one for one, leaves in withdrawn.items() if undone.isdisjoint(leaves)]:
        ledger.left_out(done)
    return published


def _publish(
    data: DataDir,
    leaf: Leaf,
    ledger: Ledger,
    gate: Gate,
    disk: Disk,
    *,
    again: bool,
    heal: Callable[[Leaf], Published] | None,
) -> Published | None:
    """Publish one leaf, rebuilt from the log if what is published or staged of it is damaged."""
    try:
        result = lake.publish(data, leaf, ledger=ledger, gate=gate, disk=disk, again=again)
        if result is not None:
            midnight.resolve_neighbours(data, leaf, ledger=ledger, disk=disk)
    except CorruptionError:
        if heal is None:
            raise
        return heal(leaf)
    return result


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


def publish_until(  # noqa: PLR0913  clock, disk and callbacks are handed in by name
    data: DataDir,
    ledger: Ledger,
    gate: Gate,
    *,
    monotonic: Callable[[], float],
    wait: Callable[[float], bool],
    afterwards: Callable[[], object] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
    over: Callable[[], bool] = lambda: False,
    heal: Callable[[Leaf], Published] | None = None,
    disk: Disk = REAL_DISK,
) -> int:
    """Publish again and again until `wait` says stop, and once more then; return how many symbol-days are left.

    A round that is under way when the stop comes breaks off, so that no symbol-day is published twice while others
    wait. What is left stays in staging, durable: the next start publishes it.

    Parameters
    ----------
    afterwards : called after each publish but the last: what is published no longer needs its log as it was.
    stopping : whether `wait` would say stop.
    over : whether the time for a stop is used up.
    heal : see `publish_staged`.
    """
    pause, last = EVERY_S, None
    while not wait(pause):
        began = monotonic()
        published = publish_staged(data, ledger, gate, disk=disk, enough=stopping, heal=heal)
        last = published[-1].leaf if published else None
        pause = max(EVERY_S, REST_FACTOR * (monotonic() - began))
        if not stopping():
            last = None
            afterwards()
    refused = [
        each.leaf
        for each in publish_staged(data, ledger, gate, disk=disk, enough=over, after=last, heal=heal)
        if not each.verdict.passed
    ]
    left = len(staging.parts(data).keys() - set(refused))
    if left:
        log.warning("left to be published by the next start", symbol_days=left)
    return left
