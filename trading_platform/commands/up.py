"""``up``: run the whole platform in the foreground. Its processes are commands/support/stack.py.

Nothing heavy is imported before ingest runs, so recording starts within three seconds.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.support.arguments import emit, whole
from trading_platform.domain.errors import UsageError

if TYPE_CHECKING:
    from trading_platform.commands.support.stack import Platform, Recorded
    from trading_platform.settings import Settings
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform up --port 3000"

SIMULATED_DIR = "data-simulated"
DEMO_DIR = "data-demo"
_SAME_IDS = 10_000
"""How far ids of one instant may differ within one market."""
_POLL_S = 0.25
_UI_WITHIN_S = 90.0
_SHOW_S = {True: 1.0, False: 10.0}
"""How often the counts are shown, on a terminal and elsewhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--port``, ``--no-ui`` and ``--demo``."""
    parser.add_argument(
        "--port", type=whole(0, 65535), default=3000, metavar="N", help="port of the UI (default: 3000; 0: any)"
    )
    parser.add_argument("--no-ui", action="store_true", help="no UI; sensors and schedules still run")
    parser.add_argument("--demo", action="store_true", help=f"show what `demo` left in {DEMO_DIR}; record nothing")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run everything until SIGTERM, SIGINT or SIGHUP, then stop it in order."""
    from trading_platform.commands.support.runtime import check_usable, stop_event
    from trading_platform.commands.support.stack import Platform, free_port
    from trading_platform.orchestration.dagster_home import check_home
    from trading_platform.store.fs.layout import DataDir
    from trading_platform.store.fs.locks import FileLock

    stopping = stop_event()
    root, recorded = _what(args, settings)
    simulated = args.demo or not settings.venues
    plays = None if args.demo or settings.venues else settings.simulator.venues
    port = None if args.no_ui else free_port(args.port)
    data = DataDir(root.absolute())
    check_usable(data)
    check_home(data.root)
    _check_held(args, settings, data)
    data.create()
    with FileLock.acquire(data.run / "up.lock", f"data directory {root}"):
        folder = None if args.demo or settings.metrics.port is None else _metrics_folder(data)
        platform = Platform(data.root, recorded, simulated=simulated, plays=plays, port=port, metrics=folder)
        try:
            platform.start(stopping.wait)
            with _served_metrics(settings, platform, folder):
                _watch(args, settings, platform, stopping)
            _say("stopping: ingest, then Dagster …")
        finally:
            platform.stop()
        _say("stopped")
    return 0


def _metrics_folder(data: DataDir) -> Path:
    """Return the folder of the metrics of all ingests, emptied of an earlier run's values."""
    folder = data.run / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()


@contextmanager
def _served_metrics(settings: Settings, platform: Platform, folder: Path | None) -> Iterator[None]:
    """Serve the metrics of all venues and whether they are recorded, if the settings name a port."""
    if settings.metrics.port is None or folder is None:
        yield
        return
    from trading_platform.telemetry import metrics_server

    symbols = [(recorded.venue, symbol) for recorded in platform.recorded for symbol in recorded.symbols]
    port, stop = metrics_server.serve(settings.metrics.port, shared=folder, symbols=symbols, ready=platform.not_ready)
    _say(f"metrics: http://127.0.0.1:{port}/metrics")
    try:
        yield
    finally:
        stop()


def _what(args: argparse.Namespace, settings: Settings) -> tuple[Path, tuple[Recorded, ...]]:
    """Return the data directory and what is recorded of real exchanges: what the settings name."""
    from trading_platform.commands.support.stack import Recorded

    chosen = settings.source_of("data_dir") != "default"
    if args.demo:
        return settings.data_dir if chosen else Path(DEMO_DIR), ()
    if settings.venues:
        return settings.data_dir, tuple(Recorded(name, venue.symbols) for name, venue in settings.venues.items())
    return settings.data_dir if chosen else Path(SIMULATED_DIR), ()


def _check_held(args: argparse.Namespace, settings: Settings, data: DataDir) -> None:
    """Refuse a venue or market that does not fit the data already stored, before anything starts.

    Raises
    ------
    UsageError : with the message that ingest would give.
    """
    if not data.ledger_path.exists():
        if args.demo:
            raise UsageError(f"no demonstration is in {data.root}; run `trading-platform demo` first")
        return
    from trading_platform.commands.support.runtime import open_ledger
    from trading_platform.domain.errors import LedgerUnavailable

    try:
        ledger = open_ledger(data)
    except LedgerUnavailable:
        return  # a broken ledger must not stop recording
    try:
        if args.demo and ledger.kind() != "simulated":
            raise UsageError(f"no demonstration is in {data.root}; it holds {ledger.kind() or 'no'} data")
        if not args.demo:
            ledger.check_kind("live" if settings.venues else "simulated")
        if not args.demo and not settings.venues:
            _check_markets(ledger)
    finally:
        ledger.close()


def _check_markets(ledger: Ledger) -> None:
    """Refuse stored data of other markets than the built-in ones: by their name, or without a name by their ids."""
    from trading_platform.ingest.recovery.simulated_market import MarketName, mismatch
    from trading_platform.simulate.exchanges import EXCHANGES
    from trading_platform.simulate.synthetic_market import GENESIS_NS, SyntheticMarket

    held = {venue for venue, _ in ledger.symbols()}
    for venue, exchange in EXCHANGES.items():
        if venue not in held:
            continue
        market = SyntheticMarket(start_ns=GENESIS_NS, profiles=exchange.profiles)
        if MarketName(ledger, venue).expect(market.name) is not None:
            continue
        for listing in market.listings:
            reach = ledger.reach(venue, listing.symbol)
            head = None if reach is None else market.head_at(listing.venue_symbol, reach.first_ns) or 0
            if reach is not None and head is not None and abs(head - reach.from_id) > _SAME_IDS:
                raise mismatch(f"{listing.symbol} from id {reach.from_id} on", f"the simulated market {market.name!r}")


def _watch(args: argparse.Namespace, settings: Settings, platform: Platform, stopping: threading.Event) -> None:
    """Keep everything up and show counts, until told to stop."""
    counts = _LiveLine(platform)
    announced = False
    started = shown = time.monotonic()
    _say(f"{'showing' if args.demo else 'about to record'} {counts.what}; starting Dagster …")
    while not stopping.wait(_POLL_S):
        platform.keep_up()
        counts.tell_recording()
        now = time.monotonic()
        if not announced and (platform.port is None or platform.ui_answers() or now - started > _UI_WITHIN_S):
            _announce(args, platform)
            announced = True
        if now - shown >= _SHOW_S[sys.stderr.isatty()]:
            counts.show()
            shown = now


def _announce(args: argparse.Namespace, platform: Platform) -> None:
    address = None if platform.port is None else f"http://127.0.0.1:{platform.port}"
    payload = {
        "ui": address,
        "dagster_home": str(platform.home),
        "data_dir": str(platform.root),
        "simulated": platform.simulated,
        "recording": bool(platform.recorded),
    }
    lines = [f"UI: {address}", f"status, live market, reports: {address}/platform/"] if address else []
    lines = lines or ["no UI; sensors and schedules run"]
    lines += [f"export DAGSTER_HOME={shlex.quote(str(platform.home))}", "Ctrl-C stops everything."]
    _say("")
    emit(args, payload, "\n".join(lines))


class _LiveLine:
    """The live line: stored trades by symbol, of several venues by venue; the rate since the last line, what misses."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._ledger: Ledger | None = None
        self._before: dict[str, int] = {}
        self._at = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._silent = {recorded.venue for recorded in platform.recorded}

    @property
    def what(self) -> str:
        """A sentence about what is recorded or shown."""
        platform = self._platform
        if not platform.recorded:
            return f"the demonstration in {platform.root}, nothing is recorded"
        return f"{'; '.join(map(self._named, platform.recorded))} into {platform.root}"

    def _named(self, recorded: Recorded) -> str:
        simulator = " (the built-in simulator)" if self._platform.simulated else ""
        return f"{', '.join(recorded.symbols)} of {recorded.venue}{simulator}"

    def tell_recording(self) -> None:
        """Print for each venue that it is recorded, once a trade received since the start is durable."""
        from trading_platform.domain.errors import PlatformError

        for recorded in self._platform.recorded:
            if recorded.venue not in self._silent:
                continue
            try:
                heard_ns = self._open().heard_ns(recorded.venue)
            except (PlatformError, OSError):
                continue
            if heard_ns >= self._platform.began_ns:
                self._silent.remove(recorded.venue)
                _say(f"recording {self._named(recorded)} into {self._platform.root}")

    def show(self) -> None:
        """Write the line; on a terminal over the one before."""
        line = self._line()
        if self._terminal:
            print(f"\r\x1b[K{line[:200]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def _line(self) -> str:
        from trading_platform.domain.errors import PlatformError

        try:
            return self._of(self._open())
        except (PlatformError, OSError) as error:
            return f"no counts: {error}"

    def _open(self) -> Ledger:
        if self._ledger is None:
            from trading_platform.store.fs.layout import DataDir
            from trading_platform.store.ledger import Ledger

            self._ledger = Ledger.open(DataDir(self._platform.root))
        return self._ledger

    def _of(self, ledger: Ledger) -> str:
        now = time.monotonic()
        elapsed, self._at = max(now - self._at, 1e-3), now
        texts = ledger.text_symbols()
        held = {pair: sum(day.stored for day in ledger.days(*pair)) for pair in ledger.symbols()}
        for listed in ledger.text_days():
            held[listed.venue, listed.symbol] += listed.held
        several = len({venue for venue, _ in held}) > 1
        shown: Counter[str] = Counter()
        for (venue, symbol), count in held.items():
            shown[venue if several else symbol] += count
        parts = []
        # Where ids prove nothing trades are counted once they are published.
        late = {venue if several else symbol for venue, symbol in texts}
        for name, count in shown.items():
            if name in late:
                parts.append(f"{name} {count:,} published")
                continue
            gained = count - self._before.get(name, count)
            self._before[name] = count
            parts.append(f"{name} {count:,} (+{gained / elapsed:,.0f}/s)")
        gaps = ledger.gaps()
        missing = sum(gap.missing for gap in gaps)
        told = [*(parts or ["no trade yet"]), f"| open gaps {len(gaps)} ({missing:,} trades)"]
        return "  ".join([*told, *self._unknown(ledger)])

    def _unknown(self, ledger: Ledger) -> list[str]:
        """Name the symbols of which nothing is known for more than a minute."""
        from trading_platform.completeness.open_ends import Concern
        from trading_platform.ingest.recovery.open_tails import open_ends
        from trading_platform.store.fs.layout import DataDir

        now_ns = time.time_ns()
        ends = [end for end in open_ends(DataDir(self._platform.root), ledger.sequences()) if end.concern(now_ns)]
        if not ends or not self._platform.recorded:
            return []
        oldest = min(ends, key=lambda end: end.since_ns)
        mark = "!! " if oldest.concern(now_ns) is Concern.RED else ""
        more = f" and {len(ends) - 1} more" if len(ends) > 1 else ""
        return [f"| {mark}{oldest.symbol}{more} {oldest.text(now_ns)}"]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
