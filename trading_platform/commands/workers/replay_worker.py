"""Entry point of a replay's helper process: ``python -m trading_platform.commands.workers.replay_worker``.

Started by the command `replay`, not by users. It passes settings and gates to ingest/replay/helpers.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trading_platform.ingest.replay.helpers import Task, help_out
from trading_platform.processes.worker_process import Child, start
from trading_platform.telemetry import logs

if TYPE_CHECKING:
    from trading_platform.settings import Settings

VARIABLE = "TP_REPLAY_HELPER"
Span = tuple[str, str] | None


class HelperConfig(msgspec.Struct, frozen=True):
    """A helper's configuration, passed as JSON in its environment."""

    task: Task
    data_dir: str
    history_start: str
    span: Span


def starter(settings: Settings, span: Span) -> Callable[[Task, Sequence[int]], Child]:
    """Return a function that starts a helper process."""

    def start_one(task: Task, locks: Sequence[int]) -> Child:
        config = HelperConfig(task, str(settings.data_dir), str(settings.history_start), span)
        environ = {VARIABLE: msgspec.json.encode(config).decode()}
        name = f"replay helper {task.number}"
        return start(name, ["trading_platform.commands.workers.replay_worker"], environ, descriptors=locks)

    return start_one


def wanted(span: Span) -> Callable[[str], bool]:
    """Return a function that tells whether a day is wanted."""
    return lambda day: span is None or span[0] <= day <= span[1]


def main() -> int:
    """Help."""
    from quality.schemas import GATES
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.replay.tasks import ReplayContext
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.venues import VENUES

    logs.configure(level=os.environ.get("TP_LOG_LEVEL", "info"), as_json=not sys.stderr.isatty())
    config = msgspec.json.decode(os.environ.pop(VARIABLE), type=HelperConfig)
    data = DataDir(Path(config.data_dir))
    context = ReplayContext(data, VENUES, Bounds.of(config.history_start), GATES["ticks"], wanted(config.span))
    return help_out(config.task, context, partial(Ledger.open, data))


if __name__ == "__main__":
    code = main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Exit at once: an orderly interpreter shutdown takes half a second, and the replay waits for it.
    os._exit(code)
