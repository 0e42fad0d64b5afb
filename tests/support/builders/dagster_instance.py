"""Fixtures for tests of the Dagster layer: a prepared data directory, the engine at a fixed time, an instance.

Import the fixtures where they are used: ``from tests.support.builders.dagster_instance import instance, market,
pipeline``; the definitions too, from nowhere else: they are loaded once in a process, and begin where the lake does
that was there then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import dagster as dg
import pytest

from tests.support.builders.lakes import Market
from trading_platform.domain.days import day_start
from trading_platform.orchestration.resources import settings_in_force
from trading_platform.settings import PREFIX
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import note_first_day

FIRST_DAY = "2024-01-01"
"""Where the partitions of the loaded definitions begin."""

with TemporaryDirectory() as folder, mock.patch.dict(os.environ, {f"{PREFIX}DATA_DIR": folder}):
    note_first_day(DataDir(Path(folder)).create(), [FIRST_DAY])
    settings_in_force.cache_clear()
    from sensors.verify_stored import verify_job
    from trading_platform.definitions import GatedPipeline, defs
    from trading_platform.orchestration.jobs import JOBS
settings_in_force.cache_clear()

NOW_DAY = "2024-08-12"
NOW_NS = day_start(NOW_DAY) + 12 * 3600 * 10**9


class FixedPipeline(GatedPipeline):
    """The engine at noon of `NOW_DAY`."""

    def now_ns(self) -> int:
        """Return the fixed time."""
        return NOW_NS


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    """Give an empty data directory with its ledger."""
    found = Market.open(tmp_path / "data")
    yield found
    found.ledger.close()


@pytest.fixture
def pipeline(market: Market) -> Iterator[FixedPipeline]:
    """Give the engine on the market's data."""
    resource = FixedPipeline(data_dir=str(market.data.root))
    yield resource
    resource.close()


@pytest.fixture
def unused(tmp_path: Path) -> Iterator[FixedPipeline]:
    """Give the engine on a data directory that does not exist."""
    resource = FixedPipeline(data_dir=str(tmp_path / "never"))
    yield resource
    assert not resource.data.root.exists()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Give a Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def definitions_on(
    pipeline: FixedPipeline, *checks: dg.AssetChecksDefinition
) -> dg.Definitions:  # the parameter is a value, not the fixture
    """Return the platform's assets and jobs on another engine than the one of the settings."""
    assets = [found for found in defs.assets or () if isinstance(found, dg.AssetsDefinition)]
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[*JOBS, *([verify_job] if checks else [])],
        resources={"pipeline": pipeline},
        executor=dg.in_process_executor,
    )


def events(instance: dg.DagsterInstance, of_type: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    """Return the events of a type of all runs, oldest first."""
    found = []
    for run in instance.get_runs():
        for record in instance.get_records_for_run(run.run_id, of_type=of_type).records:
            event = record.event_log_entry.dagster_event
            assert event is not None
            found.append(event)
    return found


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over a range of days."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
