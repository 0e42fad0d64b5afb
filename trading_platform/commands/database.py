"""``database``: the local TimescaleDB of a data directory, and the schemas of any. What it does is store/database/."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import emit
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.store.database.migrate import Step
    from trading_platform.store.database.mirror import Copied
    from trading_platform.store.fs.layout import DataDir

EXAMPLE = "trading-platform database up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action."""
    parser.add_argument(
        "action",
        choices=list(_ACTIONS),
        help="start the local server, stop it, show it; prepare and fill the database of TRADING_PLATFORM_DATABASE_URL;"
        " forget: keep the raw log for it no longer",
    )
    parser.add_argument("--dry-run", action="store_true", help="migrate: show what would be done, and undo it")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Start, stop or show the local server, or migrate a database."""
    if args.dry_run and args.action != "migrate":
        raise UsageError("--dry-run belongs to database migrate")
    return _ACTIONS[args.action](args, settings)


def _up(args: argparse.Namespace, settings: Settings) -> int:
    from trading_platform.commands.support import runtime
    from trading_platform.store.database import access
    from trading_platform.store.database.local.server import LocalServer

    data = runtime.data_dir(settings).create()
    kept = LocalServer(data).up(lambda line: print(line, file=sys.stderr, flush=True))
    access.writer(data, kept.url).close()
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


def _migrate(args: argparse.Namespace, settings: Settings) -> int:
    from trading_platform.api.readers import outputs_of
    from trading_platform.commands.support import runtime
    from trading_platform.store.database import access, migrate, urls
    from trading_platform.store.database.upkeep import wide_view

    url = settings.database_url.get_secret_value()
    if not url:
        raise UsageError("TRADING_PLATFORM_DATABASE_URL is empty: nothing is to be migrated; see database up")
    data = runtime.data_dir(settings).create()
    steps = migrate.rehearse(url) if args.dry_run else access.prepare(data, url)
    copied, leaves = ([], 0) if args.dry_run else _copy(settings, data, url)
    if not args.dry_run:
        wide_view.make(url, outputs_of(settings))
    found = {"database": urls.shown(url), "revision": migrate.HEAD, "dry_run": args.dry_run}
    found |= {"steps": [_plain(step) for step in steps], "copied": [one._asdict() for one in copied]}
    found["leaves"] = leaves
    emit(args, found, "\n".join(_lines(args, steps, copied, leaves)))
    return 0


def _copy(settings: Settings, data: DataDir, url: str) -> tuple[list[Copied], int]:
    """Copy what the ledger knows and what the lake holds, if there is any; return tables and leaves."""
    from trading_platform.commands.support import database_feed, runtime
    from trading_platform.store.database import access
    from trading_platform.store.database.mirror import LedgerMirror, instrument_ids

    if not data.ledger_path.exists():
        access.writer(data, url).close()
        return [], 0
    ledger = runtime.open_ledger(data)
    pool = access.writer(data, url)
    try:
        with pool.transaction() as db:
            instrument_ids(db, ledger)
        copied = LedgerMirror(pool).refresh(ledger, time.time_ns())
        return copied, database_feed.feed_now(settings, data, ledger).leaves
    finally:
        pool.close()
        ledger.close()


def _forget(args: argparse.Namespace, settings: Settings) -> int:
    """Keep the log for the database no longer; while the setting names one the next ingest would begin anew."""
    from trading_platform.commands.support import runtime
    from trading_platform.ingest.processor.database_sink import NAME

    if settings.database_url.get_secret_value():
        raise UsageError("TRADING_PLATFORM_DATABASE_URL is set: ingest would feed that database again; unset it first")
    ledger = runtime.open_ledger(runtime.existing(settings))
    try:
        ledger.forget_sink(NAME, at_ns=time.time_ns(), actor=getpass.getuser())
    finally:
        ledger.close()
    emit(args, {"forgotten": NAME}, "the raw log is kept for the database no longer")
    return 0


def _plain(step: Step) -> dict[str, object]:
    return {"revision": step.revision, "title": step.title, "proofs": dict(step.proofs)}


def _lines(args: argparse.Namespace, steps: list[Step], copied: list[Copied], leaves: int) -> list[str]:
    from trading_platform.store.database import migrate

    lines = []
    for step in steps:
        lines.append(f"revision {step.revision}: {step.title}")
        lines += [f"  {name}: {result}" for name, result in step.proofs]
    if not steps:
        lines.append(f"the schemas are at revision {migrate.HEAD} already")
    lines += [
        f"platform.{one.table}: {one.rows:,} rows of the ledger, {one.written:,} written, checksums equal"
        for one in copied
    ]
    if copied:
        lines.append(f"market: {leaves:,} leaves of the lake copied, the others were there already")
    if args.dry_run:
        lines.append(f"nothing was changed; rehearsed in the time zones {', '.join(migrate.ZONES)}, with equal results")
    return lines


_ACTIONS = {"up": _up, "down": _down, "status": _status, "migrate": _migrate, "forget": _forget}
