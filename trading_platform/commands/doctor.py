"""``doctor``: what is wrong on this machine, and what to do. Each check is a function; none changes anything."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from trading_platform.commands.support.arguments import emit

if TYPE_CHECKING:
    from trading_platform.settings import Settings

EXAMPLE = "trading-platform doctor"
LEAST_FREE = 5 << 30
LEAST_FILES = 1024
SLOW_SYNC_MS = 50.0
FAR_S = 0.5
"""So far our clock may be from a venue's before latencies and days of trades near midnight are doubtful."""
VENUE_WITHIN_S = 5.0
OLDEST, NEWEST = (3, 11), (3, 13)

State = Literal["ok", "look", "wrong"]


class Finding(NamedTuple):
    """What one check found.

    Attributes
    ----------
    check : what was looked at.
    state : ok; look: it works, and may not for long; wrong: it does not work.
    found : in words.
    advice : what to do, "" if nothing.
    """

    check: str
    state: State
    found: str
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--offline``."""
    parser.add_argument("--offline", action="store_true", help="ask no venue")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print every finding; exit 1 if something is wrong."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [python, folder, disk, files, port, database]
    if not args.offline:
        checks.append(venues)
    found = [finding for check in checks for finding in check(settings)]
    wrong = sum(finding.state == "wrong" for finding in found)
    width = max(len(finding.check) for finding in found)
    lines = []
    for one in found:
        lines.append(f"{one.state:<5}  {one.check:<{width}}  {one.found}")
        if one.advice:
            lines.append(f"{'':<7}{'':<{width}}  → {one.advice}")
    lines.append(f"{len(found)} checks, {wrong} wrong" if wrong else f"{len(found)} checks, nothing is wrong")
    emit(args, [finding._asdict() for finding in found], "\n".join(lines))
    return 1 if wrong else 0


def python(settings: Settings) -> Iterator[Finding]:
    """Yield the versions that run here."""
    from importlib.metadata import version

    from trading_platform import __version__

    here = sys.version_info[:2]
    told = f"{here[0]}.{here[1]}, platform {__version__}, dagster {version('dagster')}, pyarrow {version('pyarrow')}"
    good = OLDEST <= here <= NEWEST
    advice = "" if good else "use Python 3.11, 3.12 or 3.13: the locked dependencies are of these"
    yield Finding("python", "ok" if good else "look", told, advice)


def folder(settings: Settings) -> Iterator[Finding]:
    """Yield whether the data directory can be used."""
    from trading_platform.commands.support import runtime
    from trading_platform.domain.errors import UsageError

    try:
        data = runtime.data_dir(settings)
    except UsageError as error:
        yield Finding("data directory", "wrong", str(error), "change its owner or permissions, or give --data-dir")
        return
    there = "holds a recording" if data.ledger_path.exists() else "is empty" if data.root.exists() else "is not there"
    yield Finding("data directory", "ok", f"{data.root} {there}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Yield free space, and how long an fdatasync takes where the log would lie."""
    place = next(
        path for path in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(place).free
    told = f"{free / 2**30:.1f} GiB free at {place}"
    if free < LEAST_FREE:
        yield Finding("disk", "wrong", told, "free space, or set log.retention: a full disk stops recording")
    else:
        yield Finding("disk", "ok", told)
    try:
        took = _sync_ms(place)
    except OSError as error:
        yield Finding("fdatasync", "wrong", f"{place} cannot be written: {error.strerror}", "give another --data-dir")
        return
    slow = took > SLOW_SYNC_MS
    advice = "a trade is durable after that long: use a local disk with a write cache that survives a power loss"
    yield Finding("fdatasync", "look" if slow else "ok", f"{took:.1f} ms, the median of 11", advice if slow else "")


def _sync_ms(place: Path) -> float:
    took = []
    with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-") as file:
        for _ in range(11):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return sorted(took)[5]


def files(settings: Settings) -> Iterator[Finding]:
    """Yield how many files a process may open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= LEAST_FILES
    yield Finding(
        "open files", "ok" if good else "look", f"{soft} (at most {hard})", "" if good else f"ulimit -n {LEAST_FILES}"
    )


def port(settings: Settings) -> Iterator[Finding]:
    """Yield whether the UI's usual port, and that of the metrics, are free."""
    for name, number in (("UI port", 3000), ("metrics port", settings.metrics.port or 0)):
        if not number:
            continue
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", number)) == 0
        advice = "it may be a running `up`; else give another port" if taken else ""
        yield Finding(name, "look" if taken else "ok", f"{number} is {'in use' if taken else 'free'}", advice)


def database(settings: Settings) -> Iterator[Finding]:
    """Yield whether the database answers, and is this directory's."""
    url = settings.database_url.get_secret_value()
    if not url:
        yield Finding("database", "ok", "none is set; everything is embedded")
        return
    from trading_platform.domain.errors import PlatformError
    from trading_platform.store.database import access, urls
    from trading_platform.store.fs.layout import DataDir

    try:
        access.reader(DataDir(settings.data_dir), url).close()
    except PlatformError as error:
        advice = "recording goes on without it; start it with: database up, prepare it with: database migrate"
        yield Finding("database", "wrong", str(error), advice)
    else:
        yield Finding("database", "ok", f"{urls.shown(url)} answers and is this data directory's")


def venues(settings: Settings) -> Iterator[Finding]:
    """Yield for each venue of the settings whether its REST answers, and how far its clock is from ours."""
    if not settings.venues:
        yield Finding("venues", "ok", "the settings name none; `up` plays the built-in simulator")
        return
    import httpx

    from trading_platform.venues import VENUES

    for name, configured in settings.venues.items():
        request = VENUES[name].ping_request()
        address = str(configured.rest_url or VENUES[name].rest_url).rstrip("/")
        try:
            began = time.time()
            answer = httpx.get(f"{address}{request.path}", params=dict(request.params), timeout=VENUE_WITHIN_S)
            ended = time.time()
        except httpx.HTTPError as error:
            advice = "recording starts nevertheless and fetches later; check network, proxy and venues.*.rest_url"
            yield Finding(name, "wrong", f"{address} does not answer: {error}", advice)
            continue
        yield _answered(name, answer.status_code, answer.headers.get("date"), (began + ended) / 2)


def _answered(name: str, status: int, date: str | None, at_s: float) -> Finding:
    """Return what an answer tells; its date has whole seconds, so half of one is no news."""
    if status >= 400:
        return Finding(name, "wrong", f"answers with {status}", "see docs/venues.md; 403 and 451 mean this location")
    if date is None:
        return Finding(name, "ok", "answers")
    from email.utils import parsedate_to_datetime

    away = parsedate_to_datetime(date).timestamp() + 0.5 - at_s
    far = abs(away) > 0.5 + FAR_S
    advice = "set the clock (chrony, systemd-timesyncd)" if far else ""
    return Finding(name, "wrong" if far else "ok", f"answers; its clock is {away:+.1f} s from ours, ± 0.5", advice)
