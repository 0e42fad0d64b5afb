"""The time until which a venue bans connections to its stream, as any earlier process of this machine learned it.

The ledger holds bans that are decoded; bans that are only in the log yet are read from there.
"""

from __future__ import annotations

from contextlib import suppress

from trading_platform.domain.errors import FrameError, LedgerUnavailable, LockHeld
from trading_platform.domain.position import START, Position
from trading_platform.store.fs.disk import REAL_DISK, Disk
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.ledger import Ledger
from trading_platform.store.log import control_records as control
from trading_platform.store.log.writer import Kind, LaneReader, durable_position, recover_lane

MOST_SEGMENTS = 8
"""Of a lane that has much to decode only the end is read: recording must begin within seconds."""


def stream_ban_until(data: DataDir, ledger: Ledger, venue: str, lane: str, *, disk: Disk = REAL_DISK) -> int:
    """Return the wall time (ns) before which the venue's stream may not be connected to, 0 if it may.

    If the ledger does not answer, the end of the log alone counts: recording must not wait for a database.
    """
    try:
        until_ns = ledger.ban_until(f"{venue}/stream")
        decoded, _, _ = ledger.lane(lane)
    except LedgerUnavailable:
        until_ns, decoded = 0, START
    directory = data.lane(lane)
    if not disk.exists(directory):
        return until_ns
    with suppress(LockHeld):  # its writer has recovered it
        # After a power cut the mark may lie behind what is durable, and a ban with it.
        recover_lane(directory, disk=disk)
    start = max(decoded, Position(max(0, durable_position(directory, disk=disk).segment - MOST_SEGMENTS), 0))
    with LaneReader(directory, start=start, disk=disk, on_damage=lambda damaged: None) as reader:
        while True:
            before = reader.position
            for record in reader.read():
                if record.kind == Kind.CONTROL:
                    until_ns = max(until_ns, _ban(record.frames[0], venue))
            if reader.position == before:
                return until_ns


def _ban(frame: bytes, venue: str) -> int:
    try:
        fact = control.decode_control(frame)
    except FrameError:
        return 0  # the decoder puts it into quarantine
    return fact.until_ns if isinstance(fact, control.BanSeen) and (fact.venue, fact.channel) == (venue, "stream") else 0
