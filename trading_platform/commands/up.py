"""``up``: the whole platform in the foreground. Its processes are orchestration/platform.py.

Nothing heavy is imported before ingest runs: recording starts within three seconds.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.commands.common import emit

if TYPE_CHECKING:
    from trading_platform.orchestration.platform import Platform, Recorded
    from trading_platform.settings import Settings
    from trading_platform.store.ledger import Ledger

EXAMPLE = "trading-platform up --port 3000"

SIMULATED_DIR = "data-simulated"
_POLL_S = 0.25
_UI_WITHIN_S = 90.0
_SHOW_S = {True: 1.0, False: 10.0}
"""How often the counts are shown, on a terminal and elsewhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--port`` and ``--no-ui``."""
    parser.add_argument("--port", type=int, default=3000, metavar="N", help="port of the UI (default: 3000; 0: any)")
    parser.add_argument("--no-ui", action="store_true", help="no UI; sensors and schedules run all the same")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run everything until SIGTERM or SIGINT, then stop it in order."""
    from trading_platform.commands.runtime import check_usable
    from trading_platform.orchestration.platform import Platform, free_port
    from trading_platform.store.layout import DataDir
    from trading_platform.store.locks import FileLock

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    root, recorded = _what(settings)
    port = None if args.no_ui else free_port(args.port)
    data = DataDir(root.absolute())
    check_usable(data)
    data.create()
    with FileLock.acquire(data.run / "up.lock", f"data directory {root}"):
        platform = Platform(data.root, recorded, simulated=not settings.venues, port=port)
        try:
            platform.start(stopping.wait)
            _watch(args, settings, platform, stopping)
            _say("stopping: ingest, then Dagster …")
        finally:
            platform.stop()
        _say("stopped")
    return 0


def _what(settings: Settings) -> tuple[Path, tuple[Recorded, ...]]:
    """Return the data directory and what is recorded: what the settings name, else the synthetic market."""
    from trading_platform.orchestration.platform import SYNTHETIC, Recorded

    if settings.venues:
        named = (Recorded(name, venue.symbols, venue.ws_url, venue.rest_url) for name, venue in settings.venues.items())
        return settings.data_dir, tuple(named)
    chosen = settings.source_of("data_dir") != "default"
    return settings.data_dir if chosen else Path(SIMULATED_DIR), (SYNTHETIC,)


def _watch(args: argparse.Namespace, settings: Settings, platform: Platform, stopping: threading.Event) -> None:
    """Keep everything up and show counts, until told to stop."""
    counts = _Counts(settings, platform)
    announced = False
    started = shown = time.monotonic()
    _say(f"recording {counts.what}; starting Dagster …")
    while not stopping.wait(_POLL_S):
        platform.keep_up()
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
    }
    lines = [f"UI: {address}" if address else "no UI; sensors and schedules run"]
    lines += [f"export DAGSTER_HOME={shlex.quote(str(platform.home))}", "Ctrl-C stops everything."]
    _say("")
    emit(args, payload, "\n".join(lines))


class _Counts:
    """The live line: trades held by symbol, what came since the last time, what is missing."""

    def __init__(self, settings: Settings, platform: Platform) -> None:
        self._settings = settings
        self._platform = platform
        self._ledger: Ledger | None = None
        self._before: dict[str, int] = {}
        self._at = time.monotonic()
        self._terminal = sys.stderr.isatty()

    @property
    def what(self) -> str:
        """What is recorded, in words."""
        platform = self._platform
        venues = "; ".join(f"{', '.join(r.symbols)} of {r.venue}" for r in platform.recorded)
        return f"{venues}{' (the built-in simulator)' if platform.simulated else ''} into {platform.root}"

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
            from trading_platform.store.layout import DataDir
            from trading_platform.store.ledger import Ledger

            url = self._settings.database_url.get_secret_value()
            self._ledger = Ledger.open(DataDir(self._platform.root), url)
        return self._ledger

    def _of(self, ledger: Ledger) -> str:
        now = time.monotonic()
        elapsed, self._at = max(now - self._at, 1e-3), now
        parts = []
        for venue, symbol in ledger.symbols():
            held = sum(day.stored for day in ledger.days(venue, symbol))
            gained = held - self._before.get(symbol, held)
            self._before[symbol] = held
            parts.append(f"{symbol} {held:,} (+{gained / elapsed:,.0f}/s)")
        gaps = ledger.gaps()
        missing = sum(gap.missing for gap in gaps)
        return "  ".join([*(parts or ["no trade yet"]), f"| open gaps {len(gaps)} ({missing:,} trades)"])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
