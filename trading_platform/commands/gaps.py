"""``gaps``: list single gaps, retry one, or declare one lost. Each action is logged and written to the audit table."""

from __future__ import annotations

import argparse
import getpass
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import MOST_ID, emit, whole
from trading_platform.commands.support.tables import column_table, quick_json, table, uncollected
from trading_platform.domain.days import day_of
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Gap, Ledger

QUICK = True  # usually needs only the data directory of the settings
EXAMPLE = 'trading-platform gaps declare 7 --reason "the venue lost them, ticket 4711"'
COLUMNS = "id venue symbol epoch first_missing last_missing missing state reason attempts".split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action (list, retry, declare), the gap's number and the reason."""
    parser.add_argument("action", nargs="?", default="list", choices=["list", "retry", "declare"], help="default: list")
    parser.add_argument("id", nargs="?", type=whole(1, MOST_ID), metavar="ID", help="number of the gap")
    parser.add_argument("--reason", metavar="TEXT", help="why these ids are declared lost")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """List open gaps, make a gap due now, or declare its ids lost."""
    from trading_platform.commands.support import runtime

    data = runtime.existing(settings)
    ledger = runtime.open_ledger(data)
    if args.action == "list":
        if args.id is not None or args.reason is not None:
            raise UsageError("gaps list takes neither a number nor a reason")
        with uncollected():
            print(_list(ledger, args), flush=True)
        return 0
    if args.id is None:
        raise UsageError(f"gaps {args.action} needs the number of a gap; `gaps list` shows them")
    gap = ledger.gap(args.id)
    if args.action == "retry":
        gap = ledger.retry(gap.id)
        ledger.audit(time.time_ns(), getpass.getuser(), "retry", f"gap {gap.id}", "due now")
    else:
        gap = _declare(data, ledger, gap, args.reason, settings)
    emit(args, _row(gap), table([_row(gap)], COLUMNS))
    return 0


def _list(ledger: Ledger, args: argparse.Namespace) -> str:
    if args.json:
        return quick_json([_row(gap) for gap in ledger.gaps()])
    columns = ledger.gap_columns()
    ends = zip(columns["first_missing"], columns["last_missing"], strict=True)
    columns["missing"] = [last - first + 1 for first, last in ends]
    told = column_table({name: columns[name] for name in COLUMNS}) if columns["id"] else "no gap is open"
    return "\n".join([told, *_not_compared(ledger)])


def _not_compared(ledger: Ledger) -> Iterator[str]:
    """Yield a line for each symbol whose ids show no gaps, and which of its past days differ from the venue's file."""
    days: dict[tuple[str, str], list[str]] = {}
    today = day_of(time.time_ns())
    for day in ledger.text_days():
        if not day.equal and day.day < today:
            days.setdefault((day.venue, day.symbol), []).append(day.day)
    for (venue, symbol), open_days in days.items():
        which = open_days[0] if len(open_days) == 1 else f"{len(open_days):,} days, {open_days[0]} .. {open_days[-1]}"
        yield f"{venue} {symbol}: its ids show no gaps; not equal to the venue's daily file, or not compared: {which}"


def _declare(data: DataDir, ledger: Ledger, gap: Gap, reason: str | None, settings: Settings) -> Gap:
    """Write the declaration into the log, from which it reaches the ledger."""
    from trading_platform.ingest.decoder.bounds import Bounds
    from trading_platform.ingest.recovery.fetch_lane import FetchLane
    from trading_platform.store.log import control_records as control
    from trading_platform.venues import VENUES

    if not reason or not reason.strip():
        raise UsageError("gaps declare needs --reason TEXT, which is stored with the ids")
    if gap.state not in ("open", "leased"):
        raise UsageError(f"gap {gap.id} is {gap.state}; no id of it is missing")
    ids = (gap.first_missing, gap.last_missing)
    fact = control.Declared(gap.venue, gap.symbol, *ids, reason.strip()[:500], gap.epoch)
    with FetchLane(data, ledger, VENUES, Bounds.of(settings.history_start)) as lane:
        lane.fact(fact)
    ledger.audit(time.time_ns(), getpass.getuser(), "declare", f"gap {gap.id}", fact.reason)
    return ledger.gap(gap.id)


def _row(gap: Gap) -> dict[str, object]:
    return {**gap._asdict(), "missing": gap.missing}
