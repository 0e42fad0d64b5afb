"""Structured logs on stderr: one event a line, ``key=value`` for a terminal, JSON for machines.

An event is a short constant text, its facts are fields: ``log.info("gap opened", symbol=…, first_missing=…)``.
`bound` adds fields to every event logged within its block. stdout is for results, never for logs.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# structlog is imported with the first logger: a command that logs nothing starts faster.

from trading_platform.domain.inputs.secrets import masked

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def escape(text: str) -> str:
    r"""Return `text` with control characters escaped: logs contain text from venues and users.

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
    """Writes to the current `sys.stderr`: it may be replaced while the process runs."""

    # Not an io class: those flush again at interpreter exit, after `sys` is gone.

    def write(self, text: str, /) -> int:
        with suppress(OSError):  # a full disk, a closed pipe: the line is lost, the work goes on
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(*, level: str = "info", as_json: bool, stream: TextIO | None = None) -> None:
    """Set up logging of this process, once, in its entry point.

    Parameters
    ----------
    level : lowest level shown.
    as_json : one JSON object a line instead of text for a person.
    stream : stderr unless given.
    """
    out = cast("TextIO", _Stderr()) if stream is None else stream
    # Libraries log through the standard library; their warnings go to the same stream.
    logging.basicConfig(
        stream=out, level=max(LEVELS[level], logging.WARNING), format="%(levelname)s %(name)s %(message)s"
    )
    _wanted[:] = [(level, as_json, out)]
    if "structlog" in sys.modules:
        _structlog()


_wanted: list[tuple[str, bool, TextIO]] = []
"""The configuration, kept until structlog is imported."""


def _structlog() -> Any:
    """Import structlog if needed and return it configured."""
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
