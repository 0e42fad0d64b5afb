"""Run by Alembic: migrate the ledger on the connection that store/ledger/database.py hands over."""

from __future__ import annotations

from alembic import context

from trading_platform.store.ledger.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
