"""Publish what lies in staging. How one leaf is published is store/lake/publish.py; here is only which and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from trading_platform.domain.errors import CorruptionError
from trading_platform.domain.verdict import Gate
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, staging
from trading_platform.store.lake.publish import Published
from trading_platform.store.ledger import Ledger
from trading_platform.store.ledger.voids import Withdrawn
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

EVERY_S = 30.0
"""Pause between publishes; the contract allows five minutes."""
REST_FACTOR = 20.0
"""A publish that takes long is repeated after this many times its duration."""
TOGETHER, TOGETHER_BYTES = 16, 8 << 20
"""At most so many symbol-days, and files of so many bytes, are published together."""


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
    withdrawn = {one: _holders(ledger, one) for one in ledger.withdrawn()}  # first: what comes later waits
    again = {leaf for leaves in withdrawn.values() for leaf in leaves}
    staged = staging.parts(data)
    due = sorted(again.union(staged))
    if after is not None:
        due.sort(key=lambda leaf: leaf <= after)
    published, undone = list[Published](), set(due)
    for some in _batches(data, due, staged):
        anew = [lake.DueLeaf(leaf, again=leaf in again) for leaf in some]
        done = lake.publish_together(data, anew, ledger=ledger, gate=gate, disk=disk, enough=enough)
        results = [*done.published, *_healed(done.damaged, heal)]
        published += results
        passed = {result.leaf for result in results if result.verdict.passed}
        undone -= passed | (set(some[: done.reached]) - {result.leaf for result in results} - done.damaged.keys())
        for result in results:
            if not result.verdict.passed:
                failures = [failure.check for failure in result.verdict.failures]
                log.error("refused by its gate", leaf=str(result.leaf.path), failures=failures)
        if done.reached < len(some):
            break
    if settled := [one for one, leaves in withdrawn.items() if undone.isdisjoint(leaves)]:
        ledger.left_out(settled)
    return published


def _healed(damaged: Mapping[Leaf, CorruptionError], heal: Callable[[Leaf], Published] | None) -> Iterator[Published]:
    """Yield the damaged leaves that are rebuilt from the log."""
    for leaf, damage in damaged.items():
        try:
            if heal is None:
                raise damage
            yield heal(leaf)
        except CorruptionError as error:
            log.error("damaged, not published", leaf=str(leaf.path), reason=str(error))


def _batches(data: DataDir, due: Sequence[Leaf], staged: Mapping[Leaf, Sequence[Path]]) -> Iterator[list[Leaf]]:
    """Yield leaves by so many that a batch takes about a second: a stop waits for it, and other publishers too."""
    some: list[Leaf] = []
    size = 0
    for leaf in due:
        mine = sum(_size(path) for path in (data.lake / leaf.path, *staged.get(leaf, ())))
        if some and (len(some) >= TOGETHER or size + mine > TOGETHER_BYTES):
            yield some
            some, size = [], 0
        some.append(leaf)
        size += mine
    if some:
        yield some


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _holders(ledger: Ledger, one: Withdrawn) -> list[Leaf]:
    """Return the published days that may hold an id: a venue may print copies of it on both sides of a midnight."""
    found = []
    for leaf, record in ledger.leaves("ticks", one.venue, one.symbol).items():
        first, last = record.first_id, record.last_id
        # Of a day of several numberings older code recorded the first and the last id, not the least and the greatest.
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
