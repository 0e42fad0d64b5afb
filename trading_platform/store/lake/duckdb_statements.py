"""Small things to say to DuckDB: run a statement to its end, quote a text, keep a path from being a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

NO_RECEIVE_TIME = "trades without ts_recv do not say what was known at a time; ask without as_of, or replay the log"
"""Why a question about what was known at a time has no answer."""


def run(db: duckdb.DuckDBPyConnection, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows: one that is not read to its end keeps the connection busy."""
    return db.execute(text, list(values)).fetchall()


def quoted(text: str) -> str:
    """Return a text as SQL writes it.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def escape(path: str) -> str:
    """Keep a folder's own brackets and stars from being a pattern.

    >>> escape("/a[1]")
    '/a[[]1]'
    """
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
