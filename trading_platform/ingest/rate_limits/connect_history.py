"""Keep the times of connection attempts in a file, for the next recorder: the venue counts attempts by address.

What follows from them is connect_policy.py. A ban is kept in the log (stream_bans.py).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import google_crc32c

from trading_platform.domain.units import NS_PER_S
from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

_MOST_KEPT = 4096
"""Attempts in the file before it is written anew without the old ones."""
_TIME = struct.Struct("<q")
_RECORD = struct.Struct("<qI")


class ConnectHistory:
    """The attempts of the last minutes, in a file of their times (wall, ns), each with its CRC32C.

    It is written before an attempt is made and outlives the process, not a power cut: nothing is synced. After a power
    cut half the venue's budget is left (we use only the other half), and the machine takes a while to come back.
    A damaged time counts as now: one attempt too many keeps the budget, one too few may exceed it.

    Parameters
    ----------
    path : shared by all recorders of the venue in this data directory; appending is atomic.
    window_s : how long an attempt counts.
    """

    def __init__(self, path: Path, window_s: float) -> None:
        self._path = path
        self._window_ns = int(window_s * NS_PER_S)

    def recall(self, wall_ns: int) -> list[int]:
        """Return how long ago (ns) each attempt of the window was made, the oldest first.

        After the clock was set back, what lies less than a window ahead counts as made now.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole = content[: len(content) - len(content) % _RECORD.size]
        found = list(_RECORD.iter_unpack(whole))
        sound = [time for time, crc in found if crc == _crc(time)]
        damaged = [wall_ns] * (len(found) - len(sound))
        times = [time for time in (*sound, *damaged) if abs(wall_ns - time) < self._window_ns]
        # A damaged time would be now for ever.
        if len(found) > _MOST_KEPT or whole != content or damaged:
            self._rewrite(times)
        return sorted((max(0, wall_ns - time) for time in times), reverse=True)

    def note(self, wall_ns: int) -> None:
        """Write down that an attempt is about to be made."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, _record(wall_ns))
            finally:
                os.close(file)
        except OSError as error:
            # It counts in this process all the same; recording goes on.
            log.warning("connection attempt not saved", path=str(self._path), reason=str(error))

    def _rewrite(self, times: list[int]) -> None:
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        aside.write_bytes(b"".join(map(_record, times)))
        aside.rename(self._path)


def _record(wall_ns: int) -> bytes:
    return _RECORD.pack(wall_ns, _crc(wall_ns))


def _crc(wall_ns: int) -> int:
    return int(google_crc32c.value(_TIME.pack(wall_ns)))
