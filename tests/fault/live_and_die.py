"""Run by test_strace: for each data directory named on stdin a forked child lives the small scenario, or part of it.

The child stops itself first, so that it can be attached to; each trade it has acknowledged is counted in a file beside
its directory. Forked from a process that has imported everything, a child costs little.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fault.test_every_operation import SEGMENT_BYTES, live
from tests.support.builders.platform_in_process import SmallPlatform
from trading_platform.telemetry import logs


class Telling(SmallPlatform):
    """Tells after each commit how many trades it has acknowledged."""

    def record(self, ids: Iterable[int], *, together: int = 2, venue_symbol: str = "BTCUSDT") -> None:
        super().record(ids, together=together, venue_symbol=venue_symbol)
        with (self.data.root.parent / "acknowledged").open("w") as file:
            file.write(str(len(self.acknowledged)))


def main() -> None:
    logs.configure(level="error", as_json=False)  # to stderr: stdout is for answers
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGSTOP)
                platform = Telling(Path(line.strip()), segment_bytes=SEGMENT_BYTES)
                live(platform)
                platform.close()
                os._exit(0)
            finally:
                os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
