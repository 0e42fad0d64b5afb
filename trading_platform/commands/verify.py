"""``verify``: check that log, ledger and lake agree with each other. The checks are store/verify.py."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import emit

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform verify"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no arguments of its own."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run all checks; exit 1 if one is violated."""
    from quality.schemas import GATES
    from trading_platform.commands.support import database_feed, runtime
    from trading_platform.store.verify import verify_store

    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    result = verify_store(data, ledger, GATES, wait=time.sleep)
    database = database_feed.compare(settings, data, ledger)
    if database is not None:
        result = result._replace(violations=(*result.violations, *database.violations))
    lines = [f"{v.check}: {v.subject}: {v.detail}" for v in result.violations]
    held = f"{result.sequences} sequences, {result.files} files, {result.trades:,} trades"
    lines.append(f"{held}: {'all holds' if not result.violations else f'{len(result.violations)} violations'}")
    if database is not None:
        lines.append(f"database: {database.leaves} files compared, {database.waiting} not copied yet")
    payload = {**result._asdict(), "ok": not result.violations}
    payload["database"] = None if database is None else {"files": database.leaves, "waiting": database.waiting}
    emit(args, payload, "\n".join(lines))
    return 1 if result.violations else 0
