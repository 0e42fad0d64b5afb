"""What a recorder does when its disk is full: say so, end its lane in order, stop reading, try again until it can.

Its process lives on; connections are closed, so tails are open and what was missed is fetched later. How a lane ends
although nothing fits is store/log/reserve.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from trading_platform.domain.errors import DiskFull
from trading_platform.store.log.writer import LaneWriter
from trading_platform.telemetry import metrics
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

RETRY_S = 5.0
"""Pause between two looks for space."""


async def record_with_space(
    lane: str,
    open_writer: Callable[[Callable[[], None]], LaneWriter],
    record: Callable[[LaneWriter, asyncio.Event], Awaitable[None]],
    stop: asyncio.Event,
    *,
    retry_s: float = RETRY_S,
) -> None:
    """Record until `stop` is set; while the disk is full, wait.

    Parameters
    ----------
    open_writer : opens the lane; what it is given is called, in any thread, once the reserve is spent.
    record : records into the writer until its event is set.

    Raises
    ------
    StorageError : when the disk refuses for another reason than space; recording must begin anew.
    """
    full = False
    while not stop.is_set():
        reason = await _record_until_full(open_writer, record, stop, lane if full else None)
        if reason is None:
            return
        if not full or not reason.startswith("open"):
            log.error("disk full: recording paused until there is space", lane=lane, reason=reason)
        full = True
        metrics.DISK_FULL.labels(lane).set(1)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), retry_s)


async def _record_until_full(
    open_writer: Callable[[Callable[[], None]], LaneWriter],
    record: Callable[[LaneWriter, asyncio.Event], Awaitable[None]],
    stop: asyncio.Event,
    resumed: str | None,
) -> str | None:
    """Record; return why there was no space, None once it was stopped."""
    loop = asyncio.get_running_loop()
    full, pause = asyncio.Event(), asyncio.Event()

    def on_full() -> None:
        loop.call_soon_threadsafe(full.set)

    try:
        writer = open_writer(on_full)
    except DiskFull as error:
        return f"open: {error}"
    if resumed is not None:
        metrics.DISK_FULL.labels(resumed).set(0)
        log.info("disk has space again: recording resumed", lane=resumed)
    either = [asyncio.create_task(event.wait()) for event in (stop, full)]
    for task in either:
        task.add_done_callback(lambda task: None if task.cancelled() else pause.set())
    try:
        with writer:
            await record(writer, pause)
    except DiskFull as error:
        return str(error)
    finally:
        for task in either:
            task.cancel()
    return "the reserve is spent" if full.is_set() else None
