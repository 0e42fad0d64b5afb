"""A user's own indicators: from entry points ``trading_platform.indicators``, and from files that a setting names.

`known` is the table of all. The others' table is indicators/; where the files are is said by a root (`use_paths`,
`ask_for_paths`), for nothing here reads settings.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from trading_platform.analytics.indicator import Indicator
from trading_platform.analytics.indicators import INDICATORS
from trading_platform.domain.errors import UsageError, shown

GROUP = "trading_platform.indicators"

_own: dict[str, Indicator] = {}
_loaded: set[str] = set()
_paths: dict[str, None] = {}
_ask: list[Callable[[], Iterable[str]]] = []


def use_paths(paths: Iterable[str]) -> None:
    """Say where own indicators are: files, or folders whose ``*.py`` are taken. Read once a name is not built in."""
    _paths.update(dict.fromkeys(paths))


def ask_for_paths(source: Callable[[], Iterable[str]]) -> None:
    """Say what gives such paths; it is called once, when a name is met that is not built in."""
    _ask[:] = [source]


def known() -> Mapping[str, Indicator]:
    """Return all indicators, the built-in ones first; loads the user's own at the first call.

    Raises
    ------
    UsageError : if a file or an entry point cannot be read, holds no indicator, or names one that exists.
    """
    if GROUP not in _loaded:
        _loaded.add(GROUP)
        for point in importlib.metadata.entry_points(group=GROUP):
            _take(point.name, _of_entry_point(point))
    while _ask:
        use_paths(_ask.pop()())
    for path in list(_paths):
        load_path(Path(path))
        del _paths[path]
    return {**INDICATORS, **_own}


def load_path(path: Path) -> list[Indicator]:
    """Take the indicators of a file, or of every ``*.py`` of a folder; a second time nothing happens."""
    if path.is_dir():
        files = sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
        return [one for file in files for one in load_path(file)]
    name = f"own_indicators_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if name in _loaded:
        return []
    found = _indicators(_import(name, path), str(path))
    for indicator in found:
        _take(str(path), indicator)
    _loaded.add(name)
    return found


def code_of(indicator: Indicator) -> str | None:
    """Return a hash of a user's own indicator's code, None for a built-in one: stored values follow its changes."""
    if any(indicator is one for one in INDICATORS.values()):
        return None
    boundary = indicator.day_boundary.digest() if indicator.day_boundary else ""
    return f"{indicator.step.digest()} {boundary} {indicator.words}".strip()


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file of indicators")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's file says
        del sys.modules[name]
        raise UsageError(f"the indicators of {path} cannot be read: {shown(str(error), 160)}") from error
    return module


def _of_entry_point(point: importlib.metadata.EntryPoint) -> Indicator:
    try:
        found = point.load()
    except Exception as error:  # whatever a stranger's package says
        raise UsageError(f"the indicator {point.name!r} ({point.value}) cannot be read: {error}") from error
    if not isinstance(found, Indicator):
        raise UsageError(f"the entry point {point.name!r} ({point.value}) is no Indicator")
    return found


def _indicators(module: ModuleType, origin: str) -> list[Indicator]:
    found = [value for value in vars(module).values() if isinstance(value, Indicator)]
    own = [one for one in found if one.step.__module__ == module.__name__]
    if not own:
        raise UsageError(f"{origin} defines no Indicator")
    return own


def _take(origin: str, indicator: Indicator) -> None:
    """Add an indicator, unless its names would be another's."""
    indicator.check(origin)
    for other in (*INDICATORS.values(), *_own.values()):
        if (other.name, len(other.parameters)) == (indicator.name, len(indicator.parameters)):
            raise UsageError(f"{origin}: an indicator {indicator.spelled()!r} exists; give yours another name")
    _own[f"{indicator.name}/{len(indicator.parameters)}"] = indicator
