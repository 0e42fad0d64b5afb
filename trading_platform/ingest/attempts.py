"""When a venue's streams were connected to, kept where a killed recorder leaves it: the venue counts by address.

What follows from it is connects.py. A ban is kept in the log (bans.py).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from trading_platform.telemetry.logs import get_logger

log = get_logger(__name__)

_MOST_KEPT = 4096
"""Attempts in the file before it is written anew without the old ones."""
_TIME = struct.Struct("<q")
_S = 1_000_000_000


class AttemptBook:
    """The attempts of the last minutes, in a file of their times (wall, ns, 8 bytes each).

    It is written before an attempt is made and outlives the process, not the machine: nothing is synced, since who
    lost power has half the venue's budget left (we use the other half) and takes a while to come back.

    Parameters
    ----------
    path : shared by all recorders of the venue in this data directory; appending is atomic.
    window_s : how long an attempt counts.
    """

    def __init__(self, path: Path, window_s: float) -> None:
        self._path = path
        self._window_ns = int(window_s * _S)

    def recall(self, wall_ns: int) -> list[int]:
        """Return how long ago (ns) each attempt of the window was made, the oldest first.

        After the clock was set back, what lies less than a window ahead counts as made now.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        whole = content[: len(content) - len(content) % _TIME.size]
        times = [time for (time,) in _TIME.iter_unpack(whole) if abs(wall_ns - time) < self._window_ns]
        if len(whole) > _MOST_KEPT * _TIME.size or whole != content:
            self._rewrite(times)
        return sorted((max(0, wall_ns - time) for time in times), reverse=True)

    def note(self, wall_ns: int) -> None:
        """Write down that an attempt is about to be made."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, _TIME.pack(wall_ns))
            finally:
                os.close(file)
        except OSError as error:
            # It counts in this process all the same; recording goes on.
            log.warning("connect not written down", path=str(self._path), reason=str(error))

    def _rewrite(self, times: list[int]) -> None:
        aside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        aside.write_bytes(b"".join(map(_TIME.pack, times)))
        aside.rename(self._path)
