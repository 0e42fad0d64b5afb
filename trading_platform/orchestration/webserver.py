"""``python -m trading_platform.orchestration.webserver --workspace FILE --port N``: Dagster's UI behind our guard.

It wraps Dagster's own web application in one process, because `dagster-webserver` cannot be extended. Which requests
are allowed is guard.py.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from trading_platform.orchestration.guard import Application, Guard
from trading_platform.orchestration.pages.application import Pages, beside
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.store.fs.layout import DataDir

_LOOPBACK = "127.0.0.1"
# The defaults of `dagster-webserver`.
_STATEMENT_TIMEOUT_MS = 15_000
_POOL_RECYCLE_S = 3600
_POOL_OVERFLOW = 20
_POLL_MS = 2000
_FAREWELL_S = 2
"""Pages that are open, with an answer that does not end, are given this long at a stop."""


def application(context: WorkspaceProcessContext, hosts: Sequence[str], data: DataDir) -> Application:
    """Return Dagster's web application and our own pages, guarded."""
    dagster = create_app_from_workspace_process_context(context, "", _POLL_MS, lifespan=_lifespan)
    return Guard(beside(Pages(data).application, dagster), hosts)


@asynccontextmanager
async def _lifespan(_: object) -> AsyncIterator[None]:
    with suppress(asyncio.CancelledError):  # how uvicorn ends it at SIGINT
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m trading_platform.orchestration.webserver")
    parser.add_argument("--workspace", type=Path, required=True, help="Dagster's workspace file")
    parser.add_argument("--port", type=int, required=True, help="port on the loopback")
    parser.add_argument("--read-only", action="store_true", help="refuse every change, as Dagster's own option does")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    setup_interrupt_handlers()
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_TIMEOUT_MS, _POOL_RECYCLE_S, _POOL_OVERFLOW)
        target = WorkspaceFileTarget(paths=[str(args.workspace)])
        with WorkspaceProcessContext(
            instance, workspace_load_target=target, version=__version__, read_only=args.read_only
        ) as context:
            settings = settings_in_force()
            guarded = application(context, settings.ui.hosts, DataDir(settings.data_dir))
            uvicorn.run(
                guarded, host=_LOOPBACK, port=args.port, log_level="warning", timeout_graceful_shutdown=_FAREWELL_S
            )


if __name__ == "__main__":
    main()
