"""Store the check results of many days in a few transactions, as Dagster's event log would one by one.

Dagster has no batch for check results: each takes two transactions on SQLite and four round trips on PostgreSQL, more
than all the rest of a range run. What is reported, and when, is report.py.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import DagsterEvent
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value

MOST = 500
"""Results of one transaction."""

WITHIN_S = 5.0
"""How long a result waits for others: the page of a range run fills while it works."""


class CheckResults:
    """Check results of a run that are not stored yet.

    Results that wait when the process is killed are lost; the next run over their days reports them again.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: list[dg.EventLogEntry] = []
        self._since = 0.0
        self._instance: dg.DagsterInstance | None = None

    def add(self, context: dg.AssetExecutionContext, result: dg.AssetCheckEvaluation) -> None:
        """Take a result of the step that runs; store what waits if it is enough or has waited long enough."""
        if not self._waiting:
            self._since = self._monotonic()
        self._instance = context.instance
        self._waiting.append(_entry(context, result))
        if len(self._waiting) >= MOST or self._monotonic() - self._since >= WITHIN_S:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        if self._instance is None or not self._waiting:
            return
        entries, self._waiting = self._waiting, []
        storage = self._instance.event_log_storage
        if isinstance(storage, SqlEventLogStorage):
            _store(storage, entries)
            return
        for entry in entries:  # a storage of the user's own
            self._instance.handle_new_event(entry)


def _entry(context: dg.AssetExecutionContext, result: dg.AssetCheckEvaluation) -> dg.EventLogEntry:
    """Return what `DagsterEvent.asset_check_evaluation` would log."""
    step = context.op_execution_context.get_step_execution_context()
    outcome = "passed." if result.passed else "did not pass."
    told = "" if result.description is None else f" Description: '{result.description}'"
    message = f"Asset check '{result.check_name}' on '{result.asset_key.to_user_string()}' {outcome}{told}"
    event = DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=step.job_name,
        step_handle=step.step.handle,
        node_handle=step.step.node_handle,
        step_kind_value=step.step.kind.value,
        logging_tags=step.event_tags,
        event_specific_data=result,
        message=message,
        pid=os.getpid(),
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message=message,
        run_id=step.run_id,
        timestamp=time.time(),
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=event,
    )


def _store(storage: SqlEventLogStorage, entries: Sequence[dg.EventLogEntry]) -> None:
    rows = [storage._event_to_row(entry) for entry in entries]
    insert = sa.insert(SqlEventLogStorageTable)
    if storage.is_run_sharded:  # on SQLite the run's events have a file of their own, and a copy in the index
        with storage.run_connection(entries[0].run_id) as connection:
            connection.execute(insert, rows)
    with storage.index_transaction() as connection:
        returning = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        ids = connection.execute(returning, rows).scalars().all()
        _store_executions(connection, entries, ids)


def _naive(timestamp: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).replace(tzinfo=None)


def _store_executions(connection: sa.Connection, entries: Sequence[dg.EventLogEntry], ids: Sequence[int]) -> None:
    """Replace the rows that say that these checks are planned."""
    table = AssetCheckExecutionsTable
    days: dict[tuple[str, ...], list[str | None]] = defaultdict(list)
    rows: list[dict[str, Any]] = []
    for entry, event_id in zip(entries, ids, strict=True):
        assert entry.dagster_event is not None
        result = entry.dagster_event.asset_check_evaluation_data
        target = result.target_materialization_data
        named = {"asset_key": result.asset_key.to_string(), "check_name": result.check_name, "run_id": entry.run_id}
        row = named | {
            "partition": result.partition,
            "execution_status": "SUCCEEDED" if result.passed else "FAILED",
            "evaluation_event": serialize_value(entry),
            "evaluation_event_timestamp": _naive(entry.timestamp),
            "evaluation_event_storage_id": event_id,
            "materialization_event_storage_id": None if target is None else target.storage_id,
        }
        rows.append(row)
        days[tuple(named.values())].append(result.partition)
    for (asset, check, run_id), partitions in days.items():
        which = sa.and_(table.c.asset_key == asset, table.c.check_name == check, table.c.run_id == run_id)
        # Of a check without days Dagster plans a row for each day of the run; its one result stands for all of them.
        these = sa.true() if None in partitions else table.c.partition.in_(partitions)
        connection.execute(sa.delete(table).where(which, these))
    connection.execute(sa.insert(table), rows)
