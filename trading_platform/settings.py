"""The settings model (pydantic): all keys with defaults, the sources they are read from, and one-line errors.

The entry points (cli, definitions) read them once and pass them down as arguments; nothing below imports `load`.
Sources, strongest first: the command line, ``TRADING_PLATFORM_…`` (nested with ``__``), ``trading_platform.toml`` in
the working directory, the defaults below. An unknown key is an error in each. Whether a venue or an indicator exists is
checked against their tables, not here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from trading_platform.domain.errors import SettingsError, UsageError
from trading_platform.domain.inputs.data_path import check_data_path
from trading_platform.domain.inputs.duration import duration_s
from trading_platform.domain.inputs.first_day import check_first_day
from trading_platform.domain.inputs.host import check_host
from trading_platform.domain.inputs.module import check_module
from trading_platform.domain.inputs.secrets import MASK, masked
from trading_platform.domain.instrument import check_venue, read_symbol
from trading_platform.domain.timeframe import TIMEFRAMES, timeframe_ns
from trading_platform.notify_settings import NotifySettings, Section

PREFIX = "TRADING_PLATFORM_"
FILE_NAME = "trading_platform.toml"
COMMAND_LINE = "command line"
DEFAULT = "default"


def _split(value: object) -> object:
    """Let a list be written with commas: environment variables have no lists."""
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",")) if value.strip() else ()


def _empty_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _day(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else value


def _check_text(check: Callable[[str], str]) -> Callable[[str], str]:
    def validate(text: str) -> str:
        try:
            return check(text)
        except UsageError as error:
            raise ValueError(str(error)) from None

    return validate


def _check_timeframe(text: str) -> str:
    try:
        timeframe_ns(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


def _check_url(*schemes: str) -> Callable[[str], str]:
    def validate(text: str) -> str:
        if re.fullmatch(rf"(?:{'|'.join(schemes)})://[^\s/]+(?:/\S*)?", text) is None:
            raise ValueError(f"must be an address such as {schemes[-1]}://host:port")
        return text.rstrip("/")

    return validate


def _check_database(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and re.fullmatch(r"(?:postgres|postgresql)(?:\+psycopg)?://\S+", text) is None:
        raise ValueError("must be empty (no database) or an address such as postgresql://user@host/database")
    return value


def _check_retention(text: str) -> str:
    if text != "keep":
        try:
            duration_s(text)
        except ValueError:
            raise ValueError("must be keep, or a duration such as 90d") from None
    return text


Day = Annotated[str, BeforeValidator(_day), AfterValidator(check_first_day)]
Symbol = Annotated[str, AfterValidator(_check_text(read_symbol))]
Venue = Annotated[str, AfterValidator(_check_text(check_venue))]
Host = Annotated[str, AfterValidator(_check_text(check_host))]
Timeframe = Annotated[str, AfterValidator(_check_timeframe)]
IndicatorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
WsUrl = Annotated[str, AfterValidator(_check_url("ws", "wss"))]
HttpUrl = Annotated[str, AfterValidator(_check_url("http", "https"))]
TradeId = Annotated[int, Field(ge=0, lt=1 << 63)]
Module = Annotated[str, AfterValidator(check_module)]
Names = BeforeValidator(_split)
Distinct = AfterValidator(lambda items: tuple(dict.fromkeys(items)))
Optional = BeforeValidator(_empty_is_none)


class VenueSettings(Section):
    """One venue to record, `venues.<name>`."""

    symbols: Annotated[tuple[Symbol, ...], Names, Distinct] = Field(min_length=1, description="what to record")
    ws_url: Annotated[WsUrl | None, Optional] = Field(None, description="other WebSocket base address")
    rest_url: Annotated[HttpUrl | None, Optional] = Field(None, description="other REST base address")
    archive_url: Annotated[HttpUrl | None, Optional] = Field(None, description="other address of the archive files")
    transport: Literal["websockets", "fast"] = Field(
        "websockets", description="WebSocket client; `fast` takes many frames at a time, for above 100,000 trades/s"
    )
    compression: bool = Field(
        False, description="offer permessage-deflate: a seventh of the bytes, several times the work"
    )
    api_key: Annotated[SecretStr | None, Optional] = Field(None, description="key sent with requests that need one")
    record_from: Annotated[TradeId | Day | None, Optional] = Field(
        None, description="first trade id, or first UTC day, to hold; empty: the first trade seen"
    )


class RestSettings(Section):
    """How requests are spent."""

    share: float = Field(
        0.5, gt=0, le=1, description="part of a venue's request limit to use: other programs share the address"
    )


class SimulatorSettings(Section):
    """The built-in simulator, which `up` starts if `venues` is empty."""

    venues: Annotated[tuple[Venue, ...], Names, Distinct] = Field(
        (), description="exchanges that the built-in simulator of `up` plays; empty: all"
    )


class LogSettings(Section):
    """The raw log, and the log of events."""

    retention: Annotated[str, AfterValidator(_check_retention)] = Field(
        "keep", description="how long raw frames are kept: keep, or a duration such as 90d"
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level of events shown")

    @property
    def retention_s(self) -> int | None:
        """How long raw frames are kept, in seconds; None for ever."""
        return None if self.retention == "keep" else duration_s(self.retention)


class MetricsSettings(Section):
    """Prometheus."""

    port: Annotated[int | None, Optional] = Field(
        None, ge=0, le=65535, description="serve metrics on this port of the loopback; empty: not served"
    )


class UiSettings(Section):
    """Who may open Dagster's UI."""

    hosts: Annotated[tuple[Host, ...], Names, Distinct] = Field(
        (),
        description="hosts, as a browser names them, that may open the UI besides localhost;"
        " it listens on the loopback only: a proxy or tunnel must lead there",
    )


class DagsterSettings(Section):
    """What `up` runs in Dagster besides the platform."""

    code_locations: Annotated[tuple[Module, ...], Names, Distinct] = Field(
        (), description="Python modules of your own with Dagster definitions, each loaded in a process of its own"
    )
    refresh_minutes: int = Field(15, ge=1, le=1440, description="minutes between refreshes of the running day")


class RegimeSettings(Section):
    """The regime model and what it labels."""

    model: Literal["gaussian_hmm"] = Field("gaussian_hmm", description="kind of model")
    states: int = Field(2, ge=2, le=5, description="number of regimes")
    timeframes: Annotated[tuple[Timeframe, ...], Names, Distinct] = Field(
        ("1m", "5m", "15m", "1h", "4h", "1d"), description="bars that are labelled"
    )
    min_days: int = Field(30, ge=1, le=3650, description="days of bars a fit needs; with fewer: the shipped model")
    lookback_days: int = Field(180, ge=1, le=3650, description="days of bars a fit looks at")


class Settings(Section):
    """Everything that may be set; `load` reads it."""

    data_dir: Annotated[Path, AfterValidator(check_data_path)] = Field(
        Path("data"), description="where everything is kept"
    )
    history_start: Day = Field("2016-01-01", description="first day taken: an earlier trade is a unit error")
    database_url: Annotated[SecretStr, AfterValidator(_check_database)] = Field(
        SecretStr(""), description="TimescaleDB that gets a copy of lake and ledger; empty: none"
    )
    venues: dict[Venue, VenueSettings] = Field({}, description="venues to record; none: the built-in simulator")
    simulator: SimulatorSettings = SimulatorSettings()
    rest: RestSettings = RestSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    ui: UiSettings = UiSettings()
    dagster: DagsterSettings = DagsterSettings()
    known_outages: Path | None = Field(None, description="file of known outages (default: the one shipped, empty)")
    notify: NotifySettings = NotifySettings()
    timeframes: Annotated[tuple[Timeframe, ...], Names, Distinct] = Field(
        tuple(TIMEFRAMES), min_length=1, description="bars that are built"
    )
    indicators: Annotated[tuple[IndicatorName, ...], Names, Distinct] = Field(
        ("sma_20", "ema_20", "rsi_14", "macd_12_26_9", "bbands_20_2", "atr_14", "vwap"),
        description="indicators computed on every bar",
    )
    indicator_paths: Annotated[tuple[str, ...], Names] = Field((), description="files, folders of own indicators")
    regimes: RegimeSettings = RegimeSettings()
    _origin: dict[str, str] = PrivateAttr(default_factory=dict)

    def source_of(self, key: str) -> str:
        """Tell where ``rest.share`` comes from: a variable's name, the file, ``command line`` or ``default``."""
        while key:
            if key in self._origin:
                return self._origin[key]
            key = key.rpartition(".")[0]
        return DEFAULT


def load(
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings from all sources.

    Parameters
    ----------
    environ : environment variables, by default the process's.
    cwd : where ``trading_platform.toml`` is looked for, by default the working directory.
    overrides : nested values from the command line; they win.

    Raises
    ------
    SettingsError : one line with the key, where it was set and what is allowed.

    Examples
    --------
    >>> load({"TRADING_PLATFORM_VENUES__BINANCE__SYMBOLS": "BTC-USDT,ETH-USDT"}, Path("/")).venues["binance"].symbols
    ('BTC-USDT', 'ETH-USDT')
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    file = (Path.cwd() if cwd is None else cwd) / FILE_NAME
    layers = [
        *_from_file(file),
        *_from_environ(os.environ if environ is None else environ),
        *_leaves(dict(overrides or {}), (), COMMAND_LINE),
    ]
    for path, value, source in layers:
        _check_key(path, source)
        _put(merged, path, value)
        origin[".".join(path)] = source
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, origin)) from None
    settings._origin.update(origin)
    return settings


_Leaf = tuple[tuple[str, ...], object, str]


def _from_file(file: Path) -> Iterator[_Leaf]:
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {error}") from None
    try:
        yield from _leaves(tomllib.loads(text), (), FILE_NAME)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE_NAME} is not TOML: {error}") from None


def _from_environ(environ: Mapping[str, str]) -> Iterator[_Leaf]:
    # Shorter names first, so that ..._VENUES (JSON) is refined by ..._VENUES__BINANCE__SYMBOLS.
    for name in sorted(environ, key=lambda n: (n.count("__"), n)):
        if not name.upper().startswith(PREFIX):
            continue
        parts = tuple(name[len(PREFIX) :].lower().split("__"))
        if parts[0] == "venues" and len(parts) > 1:
            parts = (parts[0], parts[1].replace("_", "-"), *parts[2:])  # a variable's name has no hyphen
        value = environ[name]
        if _is_table(parts):
            table = _parse_json(name, value)
            yield from _leaves(table, parts, name) if table else [(parts, table, name)]
        else:
            yield parts, _list_or_text(name, value), name


def _parse_json(name: str, value: str) -> dict[str, Any]:
    try:
        table = json.loads(value or "{}")
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise SettingsError(f"{name} must be a JSON object, for example {{}}")
    return table


def _list_or_text(name: str, value: str) -> object:
    if not value.lstrip().startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise SettingsError(f"{name} must be a comma list or a JSON list") from None


def _leaves(table: Mapping[str, Any], above: tuple[str, ...], source: str) -> Iterator[_Leaf]:
    for key, value in table.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and value and _is_table(path):
            yield from _leaves(value, path, source)
        else:
            yield path, value, source


def _put(merged: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        inner = merged.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = merged[part] = {}
        merged = inner
    if value != {}:
        merged[path[-1]] = value
    else:
        merged.setdefault(path[-1], {})  # an empty table takes nothing away from a weaker source


def _section(annotation: Any) -> type[Section] | None:
    for part in (annotation, *_parts(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType, Annotated) else ()


def _look_up(path: tuple[str, ...]) -> tuple[Any, list[str]]:
    """Return what is declared at a path (None: nothing) and the names that would have been possible there."""
    here: Any = Settings
    for part in path:
        if get_origin(here) is dict:
            here = get_args(here)[1]
            continue
        section = _section(here)
        if section is None:
            return None, []
        field: FieldInfo | None = section.model_fields.get(part)
        if field is None:
            return None, list(section.model_fields)
        here = field.annotation
    return here, []


def _is_table(path: tuple[str, ...]) -> bool:
    declared, _ = _look_up(path)
    return get_origin(declared) is dict or _section(declared) is not None


def _check_key(path: tuple[str, ...], source: str) -> None:
    declared, possible = _look_up(path)
    if declared is not None:
        return
    in_environ = source.startswith(PREFIX)
    above = path[:-1]
    while above and _look_up(above)[0] is None:
        possible, path, above = _look_up(above)[1], above, above[:-1]
    near = get_close_matches(path[-1], possible, n=1, cutoff=0.0)
    parent, nearest = _spell(above, in_environ=in_environ), _spell((*above, *near), in_environ=in_environ)
    hint = f"the nearest is {nearest}" if near else f"{parent} is one value"
    shown = source if in_environ else f"{'.'.join(path)} ({source})"
    raise SettingsError(f"{shown} is not a setting; {hint}")


def _spell(path: tuple[str, ...], *, in_environ: bool) -> str:
    return PREFIX + "__".join(path).replace("-", "_").upper() if in_environ else ".".join(path)


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    path = tuple(str(part) for part in first["loc"] if part != "[key]")
    while path and _look_up(path)[0] is None:
        path = path[:-1]  # a list's index, or a union's member
    key = ".".join(path)
    source = next((origin[k] for k in _prefixes(key) if k in origin), None)
    source = source or next((s for k, s in origin.items() if k.startswith(f"{key}.")), None)
    source = source or next((s for k, s in origin.items() if k.startswith(f"{key.rpartition('.')[0]}.")), DEFAULT)
    if first["type"] == "missing":
        return f"{key} is required ({source} sets others beside it)"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} (from {source}){_shown(path, first['input'])}: {message[0].lower()}{message[1:]}"


def _shown(path: tuple[str, ...], value: object) -> str:
    """Quote a wrong value, unless it may hold a secret."""
    harmless = "Secret" not in repr(_look_up(path)[0]) and not path[-1].endswith("url")
    return f" is {str(value)[:40]!r}" if harmless and isinstance(value, str | int | float) else ""


def _prefixes(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def flatten(settings: Settings) -> dict[str, Any]:
    """Return dotted key to value of every setting, secrets masked.

    >>> flatten(load({}, Path("/")))["rest.share"]
    0.5
    """
    return dict(_flatten(settings, ()))


def _flatten(section: BaseModel, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        path = (*above, name)
        if isinstance(value, BaseModel):
            yield from _flatten(value, path)
        elif isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from _flatten(inner, (*path, key))
        elif isinstance(value, SecretStr):
            yield ".".join(path), MASK if value.get_secret_value() else ""
        else:
            yield ".".join(path), masked(value) if isinstance(value, str) else _shown_path(value)


def _shown_path(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


class Reference(NamedTuple):
    """One line of the settings page; `default` and `meaning` are Markdown."""

    key: str
    variable: str
    default: str
    meaning: str


def reference() -> list[Reference]:
    """Return every setting there is, venues as ``venues.<name>``.

    >>> [row.variable for row in reference()][:2]
    ['TRADING_PLATFORM_DATA_DIR', 'TRADING_PLATFORM_HISTORY_START']
    """
    return list(_reference(Settings, ()))


def _reference(section: type[BaseModel], above: tuple[str, ...]) -> Iterator[Reference]:
    for name, field in section.model_fields.items():
        path = (*above, name)
        inner = _section(field.annotation)
        if get_origin(field.annotation) is dict:
            yield from _reference(get_args(field.annotation)[1], (*path, "<name>"))
        elif inner is not None:
            yield from _reference(inner, path)
        else:
            default = "required" if field.is_required() else _written(field.default)
            yield Reference(".".join(path), _spell(path, in_environ=True), default, field.description or "")


def _written(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    return "empty" if default in (None, "") else f"`{default}`"
