"""``database``: the local TimescaleDB of a data directory. The server is store/database/local/."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import emit

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform database up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action."""
    parser.add_argument("action", choices=["up", "down", "status"], help="start it, stop it, or show whether it runs")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Start, stop or show the local server."""
    return _ACTIONS[args.action](args, settings)


def _up(args: argparse.Namespace, settings: Settings) -> int:
    from trading_platform.commands.support import runtime
    from trading_platform.store.database.local.server import LocalServer

    data = runtime.data_dir(settings).create()
    kept = LocalServer(data).up(lambda line: print(line, file=sys.stderr, flush=True))
    emit(args, {"url": kept.url}, f"export TRADING_PLATFORM_DATABASE_URL={kept.url}")
    return 0


def _down(args: argparse.Namespace, settings: Settings) -> int:
    from trading_platform.commands.support import runtime
    from trading_platform.store.database.local.server import LocalServer

    ran = LocalServer(runtime.data_dir(settings)).down()
    emit(args, {"stopped": ran}, "the local database is stopped" if ran else "the local database was not running")
    return 0


def _status(args: argparse.Namespace, settings: Settings) -> int:
    from trading_platform.commands.support import runtime
    from trading_platform.store.database.local.server import LocalServer

    server = LocalServer(runtime.data_dir(settings))
    kept = server.kept()
    if kept is None:
        text = "there is no local database; make one with: database up"
        emit(args, {"running": False, "kind": None, "port": None}, text)
        return 0
    running = server.running()
    state = "runs" if running else "is stopped"
    text = f"the local database ({kept.kind}) {state}, port {kept.port} of this machine; files in {server.folder}"
    emit(args, {"running": running, "kind": kept.kind, "port": kept.port}, text)
    return 0


_ACTIONS = {"up": _up, "down": _down, "status": _status}
