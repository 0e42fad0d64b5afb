"""Structured logs on stderr: one event a line, ``key=value`` for a terminal, JSON for machines.

An event is a short constant sentence, its facts are fields: ``log.info("gap opened", symbol=…, first_missing=…)``.
Fields bound with `bound` go with every event of that block, across calls. stdout belongs to results, never to logs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# structlog is imported with the first logger: a command that logs nothing does without it.

from trading_platform.domain.secrets import masked

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def escape(text: str) -> str:
    r"""Return `text` with control characters escaped: venues and users write into our logs.

    >>> escape("line\nline\x1b[2J")
    'line\\nline\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _escape_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, bytes):
            value = value[:200].decode("ascii", "backslashreplace")
        if isinstance(value, str):
            event[key] = masked(value) if key == "exception" else masked(escape(value))
    return event


class _Stderr:
    """Whatever stderr is when something is written: it may be replaced while the process runs."""

    # Not an io class: those flush once more when the interpreter ends, after `sys` is gone.

    def write(self, text: str, /) -> int:
        with suppress(OSError):  # a full disk, a closed pipe: what is told is lost, the work goes on
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(*, level: str = "info", as_json: bool, stream: TextIO | None = None) -> None:
    """Set up logging of this process, once, in its root.

    Parameters
    ----------
    level : least level shown.
    as_json : one JSON object a line instead of text for a person.
    stream : stderr unless given.
    """
    out = cast("TextIO", _Stderr()) if stream is None else stream
    # Other people's libraries log through the standard library; their warnings belong on the same stream.
    logging.basicConfig(
        stream=out, level=max(LEVELS[level], logging.WARNING), format="%(levelname)s %(name)s %(message)s"
    )
    _wanted[:] = [(level, as_json, out)]
    if "structlog" in sys.modules:
        _structlog()


_wanted: list[tuple[str, bool, TextIO]] = []
"""What was configured before anybody needed it."""


def _structlog() -> Any:
    """Return structlog, configured as wanted."""
    import structlog

    while _wanted:
        _configure(structlog, *_wanted.pop())
    return structlog


def _configure(structlog: Any, level: str, as_json: bool, out: TextIO) -> None:
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _escape_fields,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str, **fields: object) -> FilteringBoundLogger:
    """Return a logger whose events carry ``component=name`` and `fields`."""
    return cast("FilteringBoundLogger", _structlog().get_logger(component=name, **fields))


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Add `fields` to every event within the block, for example the id of a run or a lease."""
    with _structlog().contextvars.bound_contextvars(**fields):
        yield
