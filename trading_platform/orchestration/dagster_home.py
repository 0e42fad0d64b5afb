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

_MARK = "# Written by `trading-platform up` at each start. Remove this line to keep changes of yours.\n"

_CONFIG = (
    _MARK
    + """
telemetry: {enabled: false}
nux: {enabled: false}

# A run is a process. Recording (`ingest`) holds a slot for ever, so what is limited is the kind of work (tag `work`).
concurrency:
  runs:
    max_concurrent_runs: 10
    tag_concurrency_limits:
      - {key: work, value: recovery, limit: 1}
      - {key: work, value: comparison, limit: 1}
      - {key: work, value: refresh, limit: 1}
      - {key: dagster/backfill, limit: 2}

run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 600
  cancel_timeout_seconds: 60

sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 2}

retention:
  schedule: {purge_after_days: {skipped: 1, failure: 14, success: 7}}
  sensor: {purge_after_days: {skipped: 1, failure: 14, success: 7}}
"""
)


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


def prepare(data_root: Path) -> Path:
    """Make the folder and write its configuration, unless a user has made it their own.

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
        written.write_text(_CONFIG)
        written.replace(config)
    return home


def data_root_of(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the data directory that ``DAGSTER_HOME`` belongs to, None if it is not one of ours.

    With only the `export DAGSTER_HOME=…` line that `up` prints, Dagster's own commands then work on the same data.
    """
    home = Path(environ.get("DAGSTER_HOME") or "/nonexistent")
    ours = home.name == FOLDER and (home.parent / "lake").is_dir() and (home / "dagster.yaml").is_file()
    return home.parent if ours else None
