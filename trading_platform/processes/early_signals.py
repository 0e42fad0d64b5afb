"""End in order on a signal that comes before a command has begun: while its modules are still being imported.

Nothing is open then and nothing was printed, so the process can leave at once, without a traceback. Once a command
begins it takes the signals over (commands/support/runtime.py); what it does with them is its business.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

UNTIL_STOPPED = frozenset({"up", "ingest", "recover", "simulate"})
"""Commands that run until they are told to stop: stopped in order they have done what they say, exit 0."""
_INTERRUPTED = 130


def arm(arguments: Sequence[str]) -> None:
    """Have signals end this process at once, with the exit code of a command that was stopped in order.

    A command that ends by itself keeps what SIGTERM does to any process: it has not done what it says.
    """
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name in UNTIL_STOPPED:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, _stopped)
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def disarm() -> None:
    """Let a command that ends by itself be interrupted as Python does it: its ``finally`` clauses run."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stopped(*_: object) -> None:
    os._exit(0)


def _interrupted(*_: object) -> None:
    os._exit(_INTERRUPTED)
