"""Dagster's own folder, ``<data-dir>/dagster``: its configuration, databases and logs. Imports no Dagster.

This configures Dagster's instance; its definitions are definitions.py, starting it is dagster_services.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trading_platform.domain.errors import UsageError

FOLDER = "dagster"
LOCATION = "trading_platform.definitions"
"""The code location's name, as `workspace.yaml` gives it too: the UI's switches are remembered under it."""

WAREHOUSE = "trading_platform.warehouse_definitions"
"""The code location of what dbt builds."""

STORAGE = "trading_platform.orchestration.database_storage"
"""Dagster's storage in the database that the settings name. Its address is read from them and stands in no file."""

_MARK = "# Written by `trading-platform up` at each start. Remove this line to keep changes of yours.\n"

_CONFIG = (
    _MARK
    + """
telemetry: {{enabled: false}}
nux: {{enabled: false}}

# A run is a process. Recording (`ingest`) holds a place for ever, one for each venue, beside the ten of the queue for
# everything else, of which some kinds of work are limited (tag `trading_platform/work`).
concurrency:
  runs:
    max_concurrent_runs: {places}
    tag_concurrency_limits:
      - {{key: trading_platform/work, value: recovery, limit: 1}}
      - {{key: trading_platform/work, value: comparison, limit: 1}}
      - {{key: trading_platform/work, value: refresh, limit: 1}}
      - {{key: trading_platform/work, value: warehouse, limit: 1}}
      - {{key: dagster/backfill, limit: 2}}

run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 600
  cancel_timeout_seconds: 60

sensors: {{use_threads: true, num_workers: 4}}
schedules: {{use_threads: true, num_workers: 2}}

retention:
  schedule: {{purge_after_days: {{skipped: 1, failure: 14, success: 7}}}}
  sensor: {{purge_after_days: {{skipped: 1, failure: 14, success: 7}}}}
{storage}"""
)

_IN_DATABASE = f"""
storage:
  custom: {{module: {STORAGE}, class: SettingsStorage, config: {{}}}}
"""

_QUEUE = 10
"""Runs at the same time, recording not counted."""


def home_of(data_root: Path) -> Path:
    """Return the absolute path that DAGSTER_HOME names for a data directory."""
    return data_root.absolute() / FOLDER


def check_home(data_root: Path) -> None:
    """Refuse a data directory in which Dagster cannot keep its databases: it writes their paths into addresses.

    Raises
    ------
    UsageError : naming the character.
    """
    odd = next((letter for letter in str(data_root.absolute()) if letter in "?#%"), None)
    if odd is not None:
        raise UsageError(f"Dagster cannot keep its databases below a path with {odd!r}; give another --data-dir")


def prepare(data_root: Path, *, in_database: bool = False, venues: int = 1) -> Path:
    """Make the folder and write its configuration, unless a user has made it their own.

    Parameters
    ----------
    in_database : whether Dagster keeps its history in the database of the settings, else in SQLite files here.
    venues : how many are recorded, each by a run that does not end.

    Returns
    -------
    The folder, absolute: what ``DAGSTER_HOME`` must be.
    """
    home = home_of(data_root)
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists() or config.read_text().startswith(_MARK):
        # By rename: Dagster may be reading it in a second process.
        written = config.with_suffix(".tmp")
        written.write_text(_CONFIG.format(places=_QUEUE + venues, storage=_IN_DATABASE if in_database else ""))
        written.replace(config)
    return home


def batching(*, in_database: bool) -> dict[str, str]:
    """Return the variables with which Dagster writes the days of a range to a database at once; SQLite has no such way.

    With the second one planned days are one event: no day of a failed range is shown as failed. On PostgreSQL a day of
    an asset takes 2 ms with both and 47 ms without.
    """
    both = {"DAGSTER_EVENT_BATCH_SIZE": "500", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1"}
    return both if in_database else {}


def data_root_of(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the data directory that ``DAGSTER_HOME`` belongs to, None if it is not one of ours.

    With only the `export DAGSTER_HOME=…` line that `up` prints, Dagster's own commands then work on the same data.
    """
    home = Path(environ.get("DAGSTER_HOME") or "/nonexistent")
    ours = home.name == FOLDER and (home.parent / "lake").is_dir() and (home / "dagster.yaml").is_file()
    return home.parent if ours else None
