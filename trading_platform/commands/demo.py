"""``demo``: run the whole platform once, offline: record a simulated venue with faults, recover, compute, verify.

This module only calls the steps in order; each is the real part that `up` also uses.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_platform.commands.simulate import add_market, parse_speed
from trading_platform.commands.support.arguments import emit, parse_venue
from trading_platform.domain.datasets import COMPUTED
from trading_platform.domain.errors import UsageError, WorkError
from trading_platform.domain.units import NS_PER_S

if TYPE_CHECKING:
    from trading_platform.completeness.records import TextDay
    from trading_platform.settings import Settings
    from trading_platform.simulate.faults import FaultPlan
    from trading_platform.simulate.tape import Market
    from trading_platform.simulate.venue_thread import VenueThread
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger
    from trading_platform.store.verify import Verified

EXAMPLE = "trading-platform demo --seconds 20"
FOLDER = "data-demo"
SPEED, RECORDING_SPEED = "180", "60"
"""An hour of the synthetic market: a regime is labelled from the 22nd bar on."""
SECONDS = 20.0
INGEST_STOP_S = 60.0
FILES_S = 60.0
"""For so long daily files are waited for: simulated, the first appears an hour after its midnight."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the market, its speed, its duration and its faults."""
    parser.add_argument("--venue", metavar="V", help="the simulated exchange (default: binance)")
    add_market(parser, f"{SPEED}; a recording: {RECORDING_SPEED}")
    parser.add_argument("--seconds", type=float, metavar="N", help=f"how long to play (synthetic market: {SECONDS:g})")
    parser.set_defaults(speed=None)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Record with faults, recover, compute, verify; exit 0 only if the identity holds and no gap is open."""
    from trading_platform.commands.support import database_feed, runtime
    from trading_platform.telemetry import logs

    if args.seconds is not None and not 0 < args.seconds < 86_400:
        raise UsageError(f"--seconds {args.seconds:g} is not a duration of up to a day")
    args.venue = _venue_name(args)
    args.speed = args.speed or (RECORDING_SPEED if args.recording else SPEED)
    stop = runtime.stop_event()
    say = _narrator()
    # Refused requests are planned faults here: hide their log lines, the sentences on stderr tell what matters.
    logs.configure(level="error", as_json=False)
    plan = _plan(args)
    make = _market(args)
    settings = _in_folder(args, settings)
    data = runtime.data_dir(settings).create()
    with database_feed.own_database(settings, data) as settings:
        summary = _play(args, settings, data, _venue(args, plan, make, data), make, stop, say)
    emit(args, summary, _text(summary, data))
    return 0 if summary["ok"] else 1


def _play(
    args: argparse.Namespace,
    settings: Settings,
    data: DataDir,
    venue: VenueThread,
    make: _Market,
    stop: threading.Event,
    say: Callable[[str], None],
) -> dict[str, object]:
    """Play the market to its end and return the summary."""
    from trading_platform.commands.support import database_feed, runtime

    with venue:
        symbols = sorted(listing.symbol for listing in make.market.listings)
        say(f"a simulated {args.venue} plays {', '.join(symbols)} at {args.speed} x real time, with faults")
        _record(args, data, venue, symbols, stop, make.seconds)
        ledger = runtime.open_ledger(data)
        say("recording ended; asking for what is missing")
        pages = _recover(args, settings, data, ledger, venue, stop)
        _compare(args, settings, data, ledger, venue, stop, say)
    say("computing bars, indicators and regimes")
    rows = _compute(settings, data, ledger)
    say("checking everything against itself")
    database_feed.feed(settings, data, ledger)
    compared = database_feed.compare(settings, data, ledger)
    checked = _verify(data, ledger)
    if compared is not None:
        say(f"a database of its own holds {compared.leaves} files of the lake, row for row")
        checked = checked._replace(violations=(*checked.violations, *compared.violations))
    summary = _summary(data, ledger, rows, pages, checked)
    say("writing the quality report")
    summary["report"] = _report(data, ledger)
    ledger.close()
    return summary


def _venue_name(args: argparse.Namespace) -> str:
    """Return the name of the exchange to simulate, checked: it must also be a venue that can be recorded."""
    from trading_platform.simulate.exchanges import DEFAULT, EXCHANGES
    from trading_platform.venues import VENUES

    return parse_venue(args.venue, [name for name in VENUES if name in EXCHANGES]) or DEFAULT


class _Market(NamedTuple):
    market: Market
    seconds: float | None


def _narrator() -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", file=sys.stderr, flush=True)

    return say


def _plan(args: argparse.Namespace) -> FaultPlan:
    from trading_platform.simulate.faults import FaultPlan

    if args.faults is not None:
        return FaultPlan.load(args.faults)
    return FaultPlan(drop=0.01, duplicate=0.01, reorder=0.02, cut=0.0001, rest_5xx=0.05)


def _market(args: argparse.Namespace) -> _Market:
    """Return the market to play: recordings to their end, or a part of the synthetic market."""
    from trading_platform.simulate.exchanges import EXCHANGES
    from trading_platform.simulate.recorded_market import RecordedMarket
    from trading_platform.simulate.synthetic_market import DEMO_START_NS, SyntheticMarket

    speed = parse_speed(args.speed)
    if args.recording:
        return _Market(RecordedMarket.load(args.recording), args.seconds)
    seconds = args.seconds or SECONDS
    length_ns = int(seconds * (speed or float(SPEED)) * NS_PER_S)
    end_ns, profiles = DEMO_START_NS + length_ns, EXCHANGES[args.venue].profiles
    return _Market(SyntheticMarket(seed=args.seed, start_ns=DEMO_START_NS, end_ns=end_ns, profiles=profiles), None)


def _in_folder(args: argparse.Namespace, settings: Settings) -> Settings:
    """Return settings with the demonstration's folder, emptied."""
    from trading_platform.settings import DEFAULT, load

    if settings.source_of("data_dir") != DEFAULT:
        if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
            raise UsageError(f"{settings.data_dir} is not empty; give demo a new folder, or none")
        return settings
    folder = Path(FOLDER)
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "ledger.sqlite").exists():
            raise UsageError(f"{folder} holds data that is not a demonstration; move it away or give --data-dir")
        shutil.rmtree(folder)
    return load(overrides={"data_dir": FOLDER})


def _venue(args: argparse.Namespace, plan: FaultPlan, play: _Market, data: DataDir) -> VenueThread:
    from trading_platform.simulate.exchanges import EXCHANGES
    from trading_platform.simulate.venue_server import VenueServer
    from trading_platform.simulate.venue_thread import VenueThread

    return VenueThread(
        lambda: VenueServer(
            play.market,
            exchange=EXCHANGES[args.venue],
            plan=plan,
            seed=args.seed,
            speed=parse_speed(args.speed),
            truth_path=data.run / "truth.jsonl",
        )
    )


def _record(
    args: argparse.Namespace,
    data: DataDir,
    venue: VenueThread,
    symbols: list[str],
    stop: threading.Event,
    seconds: float | None,
) -> None:
    """Run the real ``ingest`` against the venue until the market has ended, then stop it in order."""
    from trading_platform.processes.process_tree import start, wait_or_kill

    command = [sys.executable, "-m", "trading_platform", "ingest", "--venue", args.venue, "--simulated"]
    command += ["--symbols", ",".join(symbols), "--ws-url", venue.ws_url, "--rest-url", venue.rest_url]
    command += ["--data-dir", str(data.root), "--json"]
    with (data.run / "ingest.log").open("wb") as log:
        # The child ends with this process: a killed demonstration leaves nothing running.
        process = start(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            ends = None if seconds is None else time.monotonic() + seconds
            while process.poll() is None and not venue.wait_ended(0.1) and not stop.is_set():
                if ends is not None and time.monotonic() >= ends:
                    break
        finally:
            process.send_signal(signal.SIGTERM)
            code = wait_or_kill(process, INGEST_STOP_S)
    if stop.is_set():
        raise WorkError("stopped before the end; nothing is left running")
    if code != 0:
        raise WorkError(f"ingest ended with {code}; see {data.run / 'ingest.log'}")


def _recover(
    args: argparse.Namespace,
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    venue: VenueThread,
    stop: threading.Event,
) -> int:
    from trading_platform.commands.support import runtime
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.ingest.recovery.recovery import recover_missing
    from trading_platform.venues import VENUES

    endpoint = Endpoint(VENUES[args.venue], venue.rest_url)
    # No other program shares this venue's request limit.
    context = runtime.fetch_context(settings, stop.wait)._replace(rng=random.Random(0), share=1.0)
    return recover_missing(data, ledger, {args.venue: endpoint}, context).pages


def _compare(
    args: argparse.Namespace,
    settings: Settings,
    data: DataDir,
    ledger: Ledger,
    venue: VenueThread,
    stop: threading.Event,
    say: Callable[[str], None],
) -> None:
    """Compare the days that are over with the venue's daily files, where ids prove nothing; wait for these a while."""
    from trading_platform.commands.support import runtime
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.ingest.recovery.recovery import fetch_days
    from trading_platform.venues import VENUES

    if VENUES[args.venue].archive is None:
        return
    endpoints = {args.venue: Endpoint(VENUES[args.venue], venue.rest_url)}
    context = runtime.fetch_context(settings, stop.wait)._replace(rng=random.Random(0), share=1.0)
    ends = time.monotonic() + (FILES_S if parse_speed(args.speed) is not None else 0.0)
    told = False
    while wanting := _not_equal(ledger):
        if not told:
            say("its ids prove nothing: comparing the days that are over with its daily files")
            told = True
        days = [day.day for day in wanting]
        pairs = sorted({(day.venue, day.symbol) for day in wanting})
        fetch_days(data, ledger, endpoints, context, pairs, min(days), max(days))
        if time.monotonic() >= ends or stop.wait(1.0):
            return


def _not_equal(ledger: Ledger) -> list[TextDay]:
    """Return the days that are over, because a later one is held, and do not equal the venue's listing."""
    days = ledger.text_days()
    newest = {(day.venue, day.symbol): day.day for day in days}  # in their order
    return [day for day in days if day.day < newest[day.venue, day.symbol] and not day.equal]


def _compute(settings: Settings, data: DataDir, ledger: Ledger) -> dict[str, int]:
    from quality.schemas import GATES
    from trading_platform.commands.support import runtime
    from trading_platform.pipeline.pipeline import Pipeline

    pipeline = Pipeline.from_settings(
        data, ledger, settings, gates=GATES, heal=runtime.leaf_rebuilder(settings, data, ledger)
    )
    numbered = {day.day for venue, symbol in ledger.symbols() for day in ledger.days(venue, symbol)}
    days = sorted(numbered | {day.day for day in ledger.text_days()})
    if not days:
        raise WorkError("no trade was received")
    reports = pipeline.refresh_range(COMPUTED, days[0], days[-1])
    return {name: sum(report.rows for report in reports if report.dataset == name) for name in COMPUTED}


def _verify(data: DataDir, ledger: Ledger) -> Verified:
    from quality.schemas import GATES
    from trading_platform.store.verify import verify_store

    return verify_store(data, ledger, GATES)


class _IdCounts(NamedTuple):
    """How many ids of one or several sequences are stored, void or open."""

    issued: int
    held: int
    void: int
    open: int

    @classmethod
    def of(cls, parts: Iterable[_IdCounts]) -> _IdCounts:
        """Add up."""
        return cls(*map(sum, zip(*parts, strict=True)))


def _summary(data: DataDir, ledger: Ledger, rows: dict[str, int], pages: int, checked: Verified) -> dict[str, object]:
    from trading_platform.ingest.recovery.open_tails import open_tails
    from trading_platform.venues import VENUES

    issued, unsent = _truth(data.run / "truth.jsonl")
    symbols: dict[str, dict[str, Any]] = {}
    total = _IdCounts(0, 0, 0, 0)
    for venue, symbol in ledger.symbols():
        epochs = {}
        for row in ledger.sequences(venue, symbol):
            state = ledger.state(venue, symbol, row.epoch)
            missing = sum(last - first + 1 for first, last in state.open())
            epochs[row.epoch] = _IdCounts(issued[symbol, row.epoch], len(state.stored), len(state.void), missing)
        mine = _IdCounts.of(epochs.values())._replace(
            issued=sum(n for (name, _), n in issued.items() if name == symbol)
        )
        total = _IdCounts.of((total, mine))
        symbols[symbol] = {
            **mine._asdict(),
            "days": sorted({day.day for day in ledger.days(venue, symbol)}),
            "epochs": [{"epoch": epoch, **counts._asdict()} for epoch, counts in epochs.items()],
        }
    for (venue, symbol), days in _text_days(ledger).items():
        counts = _IdCounts(issued[symbol, 0], sum(day.held for day in days), 0, 0)
        symbols[symbol] = {
            **counts._asdict(),
            "days": [day.day for day in days],
            "equal": None if VENUES[venue].archive is None else [day.day for day in days if day.equal],
            "epochs": [],
        }
    nothing_open = not ledger.gaps() and not open_tails(data, ledger)
    # Every id that the venue used is a stored trade or known to be void; where days are proved by the venue's files,
    # every day that is over equals its file.
    exact = all(
        counts["held"] <= counts["issued"] and counts["equal"] == counts["days"][:-1]
        if counts.get("equal") is not None
        else counts["held"] + counts["void"] == counts["issued"]
        for counts in symbols.values()
    )
    return {
        "ok": nothing_open and exact and not checked.violations and bool(symbols),
        "symbols": symbols,
        "issued": sum(issued.values()),
        "void": total.void,
        "never_delivered": unsent,
        "pages": pages,
        "rows": rows,
        "open_gaps": len(ledger.gaps()),
        "violations": [violation._asdict() for violation in checked.violations],
        "files": checked.files,
    }


def _report(data: DataDir, ledger: Ledger) -> dict[str, Any] | None:
    """Write the quality report of the newest day, None where no trade is held: the summary says so already."""
    from quality.report.history import write
    from trading_platform.commands.report import payload

    return payload(write(data, ledger, time.time_ns())) if ledger.day_report(time.time_ns()) else None


def _text_days(ledger: Ledger) -> dict[tuple[str, str], list[TextDay]]:
    """Return the days of each symbol whose ids prove nothing."""
    found: dict[tuple[str, str], list[TextDay]] = {}
    for day in ledger.text_days():
        found.setdefault((day.venue, day.symbol), []).append(day)
    return found


def _truth(path: Path) -> tuple[Counter[tuple[str, int]], int]:
    """Return how many ids the venue used, by symbol and epoch, and how many of them it never sent."""
    issued: Counter[tuple[str, int]] = Counter()
    unsent = 0
    with path.open() as lines:
        for line in lines:
            truth = json.loads(line)
            issued[truth["symbol"], truth["epoch"]] += 1
            unsent += not truth["sent"]
    return issued, unsent


def _text(summary: dict[str, Any], data: DataDir) -> str:
    rows, violations = summary["rows"], summary["violations"]
    what = "trades" if not summary["void"] else "trade ids"
    again = f"They were fetched again, in {summary['pages']} pages."
    if any(symbol.get("equal") is not None for symbol in summary["symbols"].values()):
        again = "Those of days that are over came from daily files."
    lines = [
        f"The venue issued {summary['issued']:,} {what}. {summary['never_delivered']:,} never came over the stream:",
        f"dropped, or sent while the connection was cut. {again}",
    ]
    if summary["void"]:
        lines.append(f"{summary['void']:,} of the ids are void: the venue used them up without an order-book trade.")
    lines.append("")
    for name, symbol in summary["symbols"].items():
        days = f"{symbol['days'][0]} to {symbol['days'][-1]}" if symbol["days"] else "no day"
        lines.append(f"  {name:<10} {_held(symbol)} ({days})")
        if symbol.get("equal") is not None:
            equal = " ".join(symbol["equal"]) or "none yet"
            lines.append(f"    its ids prove nothing; days that equal the venue's daily file: {equal}")
        elif "equal" in symbol:
            lines.append("    its ids prove nothing, and the venue publishes no daily files: its days stay unproven")
        if len(symbol["epochs"]) > 1:
            lines += [f"    ids, numbering {part['epoch'] + 1}: {_held(part)}" for part in symbol["epochs"]]
    where = f" --data-dir {shlex.quote(str(data.root))}"
    lines += [
        "",
        "Computed: " + ", ".join(f"{count:,} rows of {name}" for name, count in rows.items()) + ".",
        f"Checked: identity, order, duplicates, checksums, bar invariants in {summary['files']} files: "
        + ("all hold." if not violations else f"{len(violations)} VIOLATED, first: {violations[0]}"),
        "",
        *(() if summary["report"] is None else (f"Quality report: {summary['report']['path']}", "")),
        "Look at it:",
        f"  trading-platform status --days{where}",
        f"  trading-platform query \"SELECT * FROM regimes WHERE timeframe = '1m' AND label IS NOT NULL\"{where}",  # noqa: S608  for a person to type
        f"  trading-platform up --demo{'' if str(data.root) == FOLDER else where}",
    ]
    return "\n".join(lines)


def _held(counts: dict[str, int]) -> str:
    void = f", {counts['void']:,} void" if counts["void"] else ""
    return f"{counts['held']:>9,} of {counts['issued']:,} trades held{void}, {counts['open']:,} open"
