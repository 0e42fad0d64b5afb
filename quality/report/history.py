"""The reports that are kept: a page a day, and beside it what the next report compares with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from quality.report.collect import collect, newest_day
from quality.report.page import render, worst_first
from trading_platform.store.fs.disk import make_directory, write_atomically
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from quality.report.facts import ReportFacts
    from quality.report.revisions import Contents
    from trading_platform.store.ledger import Ledger

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class WrittenReport(NamedTuple):
    """A report that was written: where it lies, and its facts."""

    path: Path
    facts: ReportFacts

    @property
    def texts(self) -> list[str]:
        """What it tells that a person should look at, the worst first."""
        return [f"{note.subject}: {note.text}" for note in worst_first(self.facts)]


def write(data: DataDir, ledger: Ledger, now_ns: int, day: str | None = None) -> WrittenReport:
    """Write a day's report, in place of an older one of the same day.

    Parameters
    ----------
    day : the newest that is over unless named.

    Raises
    ------
    UsageError : if nothing is held of the day.
    """
    import json

    day = day or newest_day(ledger, now_ns)
    before = [at for at in days(data) if at < day]
    earlier = {at: _contents(data, at) if at == before[-1] else None for at in before}
    facts, contents = collect(data, ledger, day, now_ns, earlier=earlier)
    page = render(facts)
    make_directory(data.reports)
    scores = {f"{s.venue} {s.symbol}": s.score.value for s in facts.symbols}
    kept = {"day": day, "written_ns": now_ns, "scores": scores, "contents": contents}
    write_atomically(data.reports / f"{day}.json", json.dumps(kept, indent=1, sort_keys=True).encode())
    path = data.reports / f"{day}.html"
    write_atomically(path, page.encode())
    return WrittenReport(path, facts)


def days(data: DataDir) -> list[str]:
    """Return the days that have a report, ascending."""
    found = (path.stem for path in data.reports.glob("*.html"))
    return sorted(name for name in found if _DAY.fullmatch(name))


def _contents(data: DataDir, day: str) -> Contents | None:
    """Return what an earlier report looked at, None if that is not readable: then nothing is compared."""
    import json

    try:
        kept = json.loads((data.reports / f"{day}.json").read_bytes())["contents"]
        return {str(name): (str(digest), int(rows)) for name, (digest, rows) in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
