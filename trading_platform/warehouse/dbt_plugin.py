"""What dbt-duckdb calls when dbt opens its connection, named in dbt/profiles.yml: it gives dbt the warehouse to build.

dbt itself works in memory; the warehouse is attached under its name. `publish_warehouse()`, a function of SQL, is
called by the project's hook at the end of a run that went well.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from dbt_common.exceptions import DbtRuntimeError

from trading_platform.domain.errors import PlatformError
from trading_platform.settings import load
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.duckdb_statements import run
from trading_platform.warehouse.building import NAME, WarehouseBuild

_BUILDS = {"build", "run", "retry", "seed", "snapshot"}


class Plugin(BasePlugin):
    """The warehouse of the data directory that the settings name."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:  # noqa: ARG002  dbt-duckdb's signature
        """Remember nothing yet: the settings are read when a connection is wanted."""
        self._build: WarehouseBuild | None = None
        self._attaching = threading.Lock()

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Add the functions that end a build; SQL has no rename."""
        for name, function in (("publish_warehouse", self._publish), ("discard_warehouse", self._discard)):
            conn.create_function(name, function, [], "VARCHAR", side_effects=True)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Attach the warehouse unless it is: it goes when it is published, and dbt may then run again."""
        with self._attaching:
            if (NAME,) in run(cursor, "SELECT database_name FROM duckdb_databases()"):
                return
            try:
                flags: Any = get_flags()  # type: ignore[no-untyped-call]
                self._build = WarehouseBuild(DataDir(data_root(Path.cwd(), str(flags.PROJECT_DIR or "."))))
                if flags.WHICH in _BUILDS:
                    self._build.open(cursor)
                else:
                    self._build.look(cursor)
            except PlatformError as error:
                raise DbtRuntimeError(str(error)) from error

    def _publish(self) -> str:
        assert self._build is not None
        try:
            return f"published {self._build.publish()}"
        finally:
            self._build.close()

    def _discard(self) -> str:
        assert self._build is not None
        self._build.close()
        return "not published: something failed"


def data_root(here: Path, project: str) -> Path:
    """Return the data directory, absolute, as it was meant where dbt was started.

    Parameters
    ----------
    here : the working directory, which dbt has changed to the project's.
    project : the project's folder as dbt was given it.
    """
    began = Path(os.environ.get("PWD", "/"))
    if not os.path.isabs(project):
        steps = [part for part in Path(os.path.normpath(project)).parts if part != "."]
        if here.parts[len(here.parts) - len(steps) :] == tuple(steps):
            began = Path(*here.parts[: len(here.parts) - len(steps)])
    return began / load(cwd=began).data_dir
