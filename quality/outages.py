"""Known outages: days that a person declared, in a file, with a source and a day on which the entry expires."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import UsageError

SHIPPED = Path(__file__).parent / "known_outages.toml"
"""The file that is read unless the settings name another."""

_NEEDED = {"venue", "first", "last", "source", "expires"}
_KNOWN = _NEEDED | {"symbols", "families"}


class KnownOutage(NamedTuple):
    """Days of a venue whose statistics are excused; without symbols or families it is about all of them."""

    venue: str
    symbols: tuple[str, ...]
    families: tuple[str, ...]
    first: str
    last: str
    source: str
    expires: str

    def covers(self, venue: str, symbol: str, day: str) -> bool:
        """Tell whether it is about a symbol's day."""
        return self.venue == venue and self.first <= day <= self.last and (not self.symbols or symbol in self.symbols)

    def excuses(self, family: str) -> bool:
        """Tell whether it is about a family of statistics."""
        return not self.families or family in self.families


def load_outages(path: Path, today: str) -> list[KnownOutage]:
    """Return the outages of a file that have not expired.

    Raises
    ------
    UsageError : if the file cannot be read, or an entry is not whole.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("outage", [])
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
    found = [_outage(path, number, entry) for number, entry in enumerate(entries, 1)]
    return [outage for outage in found if today <= outage.expires]


def _outage(path: Path, number: int, entry: dict[str, Any]) -> KnownOutage:
    where = f"{path}: outage {number}"
    if missing := sorted(name for name in _NEEDED if not str(entry.get(name, "")).strip()):
        raise UsageError(f"{where} needs {', '.join(missing)}")
    if unknown := sorted(entry.keys() - _KNOWN):
        raise UsageError(f"{where} has unknown {', '.join(unknown)}; known are {', '.join(sorted(_KNOWN))}")
    days = {name: parse_day(str(entry[name])) for name in ("first", "last", "expires")}
    if days["first"] > days["last"]:
        raise UsageError(f"{where} ends on {days['last']}, before it begins on {days['first']}")
    return KnownOutage(
        str(entry["venue"]),
        _texts(where, "symbols", entry.get("symbols", [])),
        _texts(where, "families", entry.get("families", [])),
        days["first"],
        days["last"],
        str(entry["source"]),
        days["expires"],
    )


def _texts(where: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError(f"{where}: {name} is a list of texts")
    return tuple(value)
