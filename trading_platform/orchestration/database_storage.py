"""Dagster's storage in the PostgreSQL database that the settings name, in a schema of its own.

dagster.yaml names this class and holds no address: the password stays where the settings have it, and Dagster's own
commands work with nothing but ``DAGSTER_HOME`` and the settings. Without a database Dagster keeps SQLite files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage

from trading_platform.domain.errors import UsageError
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.store.database.urls import for_dagster

SCHEMA = "dagster"


class SettingsStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the database of the settings."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Take nothing from dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003  Dagster's signature
    ) -> SettingsStorage:
        """Open it where the settings say.

        Raises
        ------
        UsageError : if they name no database.
        """
        return cls(address(settings_in_force().database_url.get_secret_value()), inst_data=inst_data)


def address(url: str) -> str:
    """Return the address for Dagster, which brings psycopg 2; tables are looked for in `SCHEMA` alone.

    Examples
    --------
    >>> address("postgresql://me:word@host/book?sslmode=require")
    'postgresql+psycopg2://me:word@host/book?options=-csearch_path%3Ddagster&sslmode=require'
    """
    if not url:
        raise UsageError(
            "Dagster's history is in a database and the settings name none: set TRADING_PLATFORM_DATABASE_URL"
        )
    found = sa.make_url(for_dagster(url))
    options = " ".join([*str(found.query.get("options", "")).split(), f"-csearch_path={SCHEMA}"])
    return found.update_query_dict({"options": options}).render_as_string(hide_password=False)


def create_schema(url: str) -> None:
    """Make the schema, unless it is there: whoever made it may have left us no right to."""
    engine = sa.create_engine(address(url), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_schema(SCHEMA):
                connection.execute(sa.schema.CreateSchema(SCHEMA))
    finally:
        engine.dispose()
