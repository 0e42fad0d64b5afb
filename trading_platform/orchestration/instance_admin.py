"""Administer Dagster's instance for dagster_services.py: ``python -m ….instance_admin create|cancel|reload``.

It is a separate process, because importing Dagster takes seconds and a hundred megabytes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg
from dagster._grpc.client import DagsterGrpcClient

from trading_platform.orchestration import keys
from trading_platform.orchestration.dagster_home import FOLDER, prepare
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.orchestration.runs import RUNNING

_RELOAD_S = 120


def create(instance: dg.DagsterInstance) -> None:
    """Create or migrate the databases in one process: concurrent processes would corrupt the version table."""
    instance.upgrade()


def cancel(instance: dg.DagsterInstance) -> None:
    """Ask every started run to stop; queued runs stay queued for the next start."""
    for run in instance.get_runs(dg.RunsFilter(statuses=list(RUNNING))):
        instance.add_run_tags(run.run_id, {keys.STOPPED: "the platform"})
        instance.run_launcher.terminate(run.run_id)


def reload(socket: str) -> None:
    """Have the code server load the definitions again; the daemon and the webserver notice by themselves."""
    DagsterGrpcClient(socket=socket).reload_code(timeout=_RELOAD_S)


def main() -> None:
    """Do what the argument says."""
    if sys.argv[1] == "reload":
        for socket in sys.argv[2:]:
            reload(socket)
        return
    settings = settings_in_force()
    url = settings.database_url.get_secret_value()
    home = Path(os.environ["DAGSTER_HOME"])
    if sys.argv[1] == "create" and home.name == FOLDER:
        prepare(home.parent, in_database=bool(url), venues=max(len(settings.venues), 1))
    if sys.argv[1] == "create" and url:
        from trading_platform.orchestration.database_storage import create_schema

        create_schema(url)
    with dg.DagsterInstance.get() as instance:
        {"create": create, "cancel": cancel}[sys.argv[1]](instance)


if __name__ == "__main__":
    main()
