"""Dagster's history on a real PostgreSQL: made from the settings, pruned and reported in batches as on SQLite."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
import sqlalchemy as sa

from quality.named_checks import CHECKS
from tests.support.builders.dagster_instance import FixedPipeline, definitions_on, range_tags
from tests.support.builders.lakes import Market, made_up
from tests.support.database import PASSWORD, Server, postgres  # noqa: F401  the fixture
from trading_platform.orchestration import instance_admin, keys
from trading_platform.orchestration.dagster_home import batching, prepare
from trading_platform.orchestration.database_storage import address
from trading_platform.orchestration.history.pruning import forget
from trading_platform.orchestration.resources import settings_in_force

# ruff: noqa: F811  fixtures are handed in under their own names

COMPUTED = ("ticks", "bars", "indicators", "regimes")
DAYS = [f"2024-08-{number:02}" for number in range(1, 4)]


@pytest.fixture
def url(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set a database of this test's own; with a password."""
    found = postgres.database()
    monkeypatch.setenv("TRADING_PLATFORM_DATABASE_URL", found)
    for name, value in batching(in_database=True).items():
        monkeypatch.setenv(name, value)
    settings_in_force.cache_clear()
    yield found
    settings_in_force.cache_clear()


def create(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the databases as `up` does, which gives this a process of its own."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["instance_admin", "create"])
    instance_admin.main()


def tables(url: str) -> dict[str, int]:
    """Count the rows of Dagster's tables; there are none elsewhere than in its schema."""
    engine = sa.create_engine(address(url))
    with engine.connect() as connection:
        assert "runs" not in sa.inspect(connection).get_table_names(schema="public")
        names = ("runs", "run_tags", "event_logs", "asset_event_tags", "asset_check_executions")
        found = {name: connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}
    engine.dispose()
    return found


def test_history_goes_into_the_database_of_the_settings(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, written over a range of days, pruned; the password is in no file of Dagster's."""
    market = Market.open(tmp_path / "data")
    pipeline = FixedPipeline(data_dir=str(market.data.root))
    market.hold(made_up("2024-08-01", len(DAYS), 50), tail="closed")
    home = prepare(market.data.root, in_database=True)
    create(home, monkeypatch)
    assert not (home / "history" / "runs.db").exists()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        job = definitions_on(pipeline).resolve_job_def(keys.SEAL_DAYS)
        done = job.execute_in_process(instance=instance, tags=range_tags(DAYS[0], DAYS[-1]))
        assert done.success
        materialized = {key: instance.get_materialized_partitions(key) for key in keys.ASSETS.values()}
        computed = [keys.ASSETS[name] for name in COMPUTED]
        assert [materialized[key] for key in computed] == [set(DAYS)] * len(computed)
        checks = instance.event_log_storage.get_asset_check_partition_info(
            [dg.AssetCheckKey(keys.TICKS, name) for name in (keys.SCHEMA, keys.COMPLETENESS)]
        )
        evaluated = {(info.check_key.name, info.partition_key): info for info in checks if info.partition_key}
        assert len(evaluated) == 2 * len(DAYS)
        forget(instance, done.run_id)
        assert {key: instance.get_materialized_partitions(key) for key in keys.ASSETS.values()} == materialized
    market.ledger.close()
    left = tables(url)
    assert (left["runs"], left["run_tags"]) == (0, 0)
    assert left["event_logs"] == sum(map(len, materialized.values()))
    assert left["asset_check_executions"] == (sum(len(CHECKS[name]) for name in COMPUTED) + 1) * len(DAYS)
    files = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"SettingsStorage" in files
    assert PASSWORD.encode() not in files and quote(PASSWORD).encode() not in files
