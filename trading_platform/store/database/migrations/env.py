"""Run by Alembic: migrate on the connection that store/database/migrate.py hands over, in its transaction."""

from __future__ import annotations

from alembic import context

if hasattr(context, "config"):  # else it is only imported, by a tool that looks at every module
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table="schema_version", version_table_schema="platform")
    with context.begin_transaction():
        context.run_migrations()
