"""Delete old runs from Dagster's history, with every row and file that they left.

`DagsterInstance.delete_run` leaves most of a run behind: on SQLite its database file and its tags, everywhere its
check results and captured output; and it deletes what the UI still shows, the latest materialization of a partition.
Here the run's rows and files go and the latest events stay. Which processes died is runs.py; giving freed pages back
to the file system is compaction.py.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from trading_platform.orchestration import keys
from trading_platform.orchestration.runs import latest

KEPT_DAYS: Mapping[str | None, int] = {keys.REFRESH_TODAY: 3, keys.RECOVER_GAPS: 14, None: 90}
"""Days that a finished run of a job is kept, by its end; None: of any job. Of refreshes there are 288 a day."""

RUNLESS_DAYS = 14
"""Days that events without a run are kept: observations of the sensors, 288 a day."""

ORPHAN_S = 86_400.0
"""A file younger than this may belong to a run that is being created."""

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_SHOWN = [dg.DagsterEventType.ASSET_MATERIALIZATION.value, dg.DagsterEventType.ASSET_OBSERVATION.value]
_EVALUATED = ["SUCCEEDED", "FAILED"]
_CHUNK = 500
_INDEX = "index"


class Swept(NamedTuple):
    """What a sweep found: rows and files deleted, and whether more is left for the next."""

    rows: int
    files: int
    more: bool


def forget_old(instance: dg.DagsterInstance, now_s: float, most: int = 50) -> int:
    """Delete finished runs that ended longer ago than `KEPT_DAYS`; return how many, at most `most`.

    The newest recording run of each venue stays: the sensor `ingest_keepalive` sees in it that a person stopped it.
    """
    forgotten = 0
    for job, days in KEPT_DAYS.items():
        before = dt.datetime.fromtimestamp(now_s - days * 86_400, dt.UTC)
        older = dg.RunsFilter(job_name=job, statuses=_FINISHED, updated_before=before)
        for run in islice(_expendable(instance, older, most), most - forgotten):
            forget(instance, run.run_id)
            forgotten += 1
    return forgotten


def _expendable(instance: dg.DagsterInstance, older: dg.RunsFilter, most: int) -> Iterator[dg.DagsterRun]:
    # Oldest first: the newest recording runs, which stay, would fill a page of the newest.
    for record in instance.get_run_records(older, limit=2 * most, order_by="id", ascending=True):
        run = record.dagster_run
        if run.job_name == keys.INGEST:
            newest = latest(instance, keys.INGEST, {keys.VENUE: run.tags.get(keys.VENUE, "")})
            if newest is None or newest.run.run_id == run.run_id:
                continue
        yield run


def forget(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a finished run: rows, database file, captured output. The latest events of each partition stay.

    The run's own row goes last, so that a prune that is cut short is done again.
    """
    events = _events(instance)
    with events.index_connection() as connection:
        _delete_events(connection, SqlEventLogStorageTable.c.run_id == run_id)
        _delete_checks(connection, AssetCheckExecutionsTable.c.run_id == run_id)
    if events.supports_global_concurrency_limits:
        events.free_concurrency_slots_for_run(run_id)
    if isinstance(events, SqliteEventLogStorage):
        _unlink_shard(events, run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    runs = cast("SqlRunStorage", instance.run_storage)
    with runs.connect() as connection:
        connection.execute(sa.delete(RunTagsTable).where(RunTagsTable.c.run_id == run_id))  # SQLite does not cascade
        connection.execute(sa.delete(RunsTable).where(RunsTable.c.run_id == run_id))


def sweep(instance: dg.DagsterInstance, now_s: float, most: int = 2000) -> Swept:
    """Delete old events that have no run, and what runs that no longer exist left: about `most` of each.

    Such are files that Dagster's own "delete run" leaves, and this platform did up to its first release; and events
    that stayed when their run was pruned, because they were the latest of their day, and are not any more.
    """
    events = _events(instance)
    before = dt.datetime.fromtimestamp(now_s - RUNLESS_DAYS * 86_400, dt.UTC).replace(tzinfo=None)
    event, check = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    with events.index_connection() as connection:
        rows = _delete_events(connection, sa.and_(event.run_id == RUNLESS_RUN_ID, event.timestamp < before), most)
        old = check.evaluation_event_timestamp < before
        rows += _delete_checks(connection, sa.and_(check.run_id == RUNLESS_RUN_ID, old))
        named = sa.union(sa.select(event.run_id), sa.select(check.run_id)).subquery()
        of_runs = connection.execute(sa.select(named.c.run_id).where(named.c.run_id != RUNLESS_RUN_ID)).scalars().all()
    gone = _orphans(instance, iter(of_runs), len(of_runs))
    with events.index_connection() as connection:
        for at in range(0, len(gone), _CHUNK):
            chunk = gone[at : at + _CHUNK]
            rows += _delete_events(connection, event.run_id.in_(chunk), most)
            rows += _delete_checks(connection, check.run_id.in_(chunk))
    files = 0
    if isinstance(events, SqliteEventLogStorage):
        if os.path.exists(events.path_for_shard(RUNLESS_RUN_ID)):
            with events.run_connection(RUNLESS_RUN_ID) as connection:
                connection.execute(sa.delete(SqlEventLogStorageTable).where(event.timestamp < before))
        for run_id in _orphans(instance, _shards(events, now_s), most):
            _unlink_shard(events, run_id)
            files += 1
    for run_id in _orphans(instance, _outputs(instance, now_s), most):
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        files += 1
    return Swept(rows, files, more=rows >= most or files >= most)


def _events(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    return cast("SqlEventLogStorage", instance.event_log_storage)


def _delete_events(connection: sa.Connection, which: sa.ColumnElement[bool], most: int | None = None) -> int:
    """Delete events but the newest materialization and observation of each asset and partition."""
    event = SqlEventLogStorageTable
    newer = event.alias("newer")
    same = sa.and_(
        newer.c.asset_key == event.c.asset_key,
        newer.c.dagster_event_type == event.c.dagster_event_type,
        newer.c.id > event.c.id,
    )
    # Two look-ups in the index over partitions: a comparison that also takes nulls for equal would use none.
    newest = sa.not_(sa.exists().where(same, newer.c.partition == event.c.partition)) & sa.not_(
        event.c.partition.is_(None) & sa.exists().where(same, newer.c.partition.is_(None))
    )
    shown = event.c.dagster_event_type.in_(_SHOWN) & event.c.asset_key.is_not(None)
    doomed = sa.select(event.c.id).where(which, sa.not_(sa.func.coalesce(shown, sa.false()) & newest)).limit(most)
    ids = connection.execute(doomed).scalars().all()
    for at in range(0, len(ids), _CHUNK):
        chunk = ids[at : at + _CHUNK]
        connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(chunk)))
        connection.execute(sa.delete(event).where(event.c.id.in_(chunk)))
    return len(ids)


def _delete_checks(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    """Delete check results but the newest that was evaluated, of each check and partition."""
    check = AssetCheckExecutionsTable
    newer = check.alias("newer")
    same = sa.and_(
        newer.c.asset_key == check.c.asset_key,
        newer.c.check_name == check.c.check_name,
        newer.c.execution_status.in_(_EVALUATED),
        newer.c.id > check.c.id,
    )
    newest = sa.not_(sa.exists().where(same, newer.c.partition == check.c.partition)) & sa.not_(
        check.c.partition.is_(None) & sa.exists().where(same, newer.c.partition.is_(None))
    )
    doomed = sa.select(check.c.id).where(which, sa.not_(check.c.execution_status.in_(_EVALUATED) & newest))
    ids = connection.execute(doomed).scalars().all()
    for at in range(0, len(ids), _CHUNK):
        connection.execute(sa.delete(check).where(check.c.id.in_(ids[at : at + _CHUNK])))
    return len(ids)


def _unlink_shard(events: SqliteEventLogStorage, run_id: str) -> None:
    """Delete the database of one run. A process that has it open reads on; the bytes are free when it closes it."""
    for suffix in ("-wal", "-shm", ""):  # the database last: without it the others are found by nobody
        with suppress(FileNotFoundError):
            os.unlink(events.path_for_shard(run_id) + suffix)


def _shards(events: SqliteEventLogStorage, now_s: float) -> Iterator[str]:
    folder = Path(events.path_for_shard(_INDEX)).parent
    for entry in os.scandir(folder):
        run_id, suffix = os.path.splitext(entry.name)
        # "" is the database of events without a run; a file of that name is called ".db", and has no suffix.
        if suffix == ".db" and run_id != _INDEX and _is_old(entry, now_s):
            yield run_id


def _outputs(instance: dg.DagsterInstance, now_s: float) -> Iterator[str]:
    """Yield the folders of captured output that are named as runs are; Dagster keeps values beside them."""
    output = instance.compute_log_manager
    if not isinstance(output, LocalComputeLogManager):
        return
    folder = Path(output.get_captured_local_path(["run", "step"], "out")).parents[1]
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if len(entry.name) == 36 and entry.name.count("-") == 4 and entry.is_dir() and _is_old(entry, now_s):
            yield entry.name


def _is_old(entry: os.DirEntry[str], now_s: float) -> bool:
    try:
        return entry.stat().st_mtime < now_s - ORPHAN_S
    except FileNotFoundError:
        return False


def _orphans(instance: dg.DagsterInstance, found: Iterator[str], most: int) -> list[str]:
    """Return those of the runs that do not exist."""
    orphans: list[str] = []
    runs = cast("SqlRunStorage", instance.run_storage)
    while len(orphans) < most and (chunk := list(islice(found, _CHUNK))):
        with runs.connect() as connection:
            known = set(
                connection.execute(sa.select(RunsTable.c.run_id).where(RunsTable.c.run_id.in_(chunk))).scalars()
            )
        orphans += [run_id for run_id in chunk if run_id not in known]
    return orphans[:most]
