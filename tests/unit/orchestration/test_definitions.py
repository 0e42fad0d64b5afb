"""What Dagster loads: complete, valid, quick, and without touching data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from quality.expectations.families import FAMILIES
from quality.named_checks import CHECKS
from quality.verification import STORED
from tests.support.builders.dagster_instance import FIRST_DAY, defs
from trading_platform.domain.datasets import DATASETS
from trading_platform.orchestration import keys
from trading_platform.orchestration.dagster_home import LOCATION
from trading_platform.orchestration.partitions import begin, daily
from trading_platform.settings import Settings, VenueSettings
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake.first_day import note_first_day

NO_DATASETS = {keys.REPORT, keys.STATISTICS, keys.RAW_LOG, keys.EXCHANGE}
ROOT = Path(__file__).resolve().parents[3]


def test_the_definitions_are_valid() -> None:
    """Every asset, check, job, sensor and schedule resolves."""
    dg.Definitions.validate_loadable(defs)


def test_every_dataset_of_the_pipeline_is_an_asset() -> None:
    """Assets, their order and their inputs are the pipeline's."""
    graph = defs.resolve_asset_graph()
    assert set(graph.get_all_asset_keys()) - NO_DATASETS == set(keys.ASSETS.values())
    assert tuple(keys.ASSETS) == tuple(DATASETS)
    for name, dataset in DATASETS.items():
        upstream = {key.to_user_string() for key in graph.get(keys.ASSETS[name]).parent_keys}
        assert upstream - {name} == {dataset.upstream or keys.RAW_LOG.to_user_string()}
        assert (name in upstream) == dataset.stateful
        assert graph.get(keys.ASSETS[name]).description


def test_a_range_of_days_is_one_run() -> None:
    """Every asset takes a range in a single run."""
    graph = defs.resolve_asset_graph()
    policies = {graph.get(key).backfill_policy for key in graph.materializable_asset_keys}
    assert policies == {dg.BackfillPolicy.single_run()}


def test_every_asset_says_what_it_is() -> None:
    """Each has a description, a group, an owner, kinds; what we make also the code that makes it, and a place."""
    graph = defs.resolve_asset_graph()
    groups = {"raw", "derived", "models", "quality"}
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == groups
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds, key
        if key in graph.materializable_asset_keys:
            (code,) = node.metadata["dagster/code_references"].code_references
            assert Path(code.file_path).is_file() and code.line_number
        if key in keys.ASSETS.values():
            assert node.metadata["dagster/uri"].startswith("file:///")


def test_every_column_of_an_asset_has_its_type_and_meaning() -> None:
    """Dagster shows the columns of the one schema, in its order, each with a sentence of its own."""
    graph = defs.resolve_asset_graph()
    for name, dataset in DATASETS.items():
        columns = graph.get(keys.ASSETS[name]).metadata["dagster/column_schema"].columns
        assert [(column.name, column.type) for column in columns] == list(dataset.columns.items())
        told = [column.description for column in columns]
        assert all(told), (name, [column.name for column in columns if not column.description])
        assert len(set(told)) == len(told), name


def test_tags_of_runs_bear_our_name() -> None:
    """What we put on runs cannot be taken for Dagster's or a user's own tags."""
    tags = [keys.WORK, keys.REASON, keys.LEASE, keys.VENUE, keys.STOPPED, keys.DATASET]
    assert {tag.partition("/")[0] for tag in tags} == {"trading_platform"}
    jobs = [job for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")]
    told = {tag for job in jobs for tag in job.tags if not tag.startswith("dagster/")}
    assert told == {keys.WORK}


def test_checks_report_and_do_not_block() -> None:
    """Each dataset has its gate's verdict, ticks also completeness, statistics their families; none stops a run."""
    graph = defs.resolve_asset_graph()
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    families = {("statistics", family) for family in FAMILIES}
    gates = {(dataset, name) for dataset in keys.ASSETS for name in CHECKS[dataset]}
    stored = {(dataset, name) for dataset in keys.ASSETS for name in STORED[dataset]}
    assert checks == gates | stored | {("ticks", "completeness")} | families
    assert not any(graph.get(key).blocking for key in graph.asset_check_keys)


def test_everything_automatic_is_switched_on() -> None:
    """A first start needs no click: sensors and schedules run."""
    repository = defs.get_repository_def()
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert set(sensors) == {
        "ingest_keepalive",
        "gap_recovery",
        "compare_days",
        "seal_days",
        "refresh_today",
        "observe_ingest",
        "notify",
        "tidy_runs",
    }
    assert set(sensors.values()) == {dg.DefaultSensorStatus.RUNNING}
    assert {s.name for s in repository.schedule_defs} == {
        "daily_report",
        "daily_checkpoint",
        "verify_changed",
        "verify_everything",
    }
    assert {s.default_status for s in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {"refresh_today", "seal_days", "recover_gaps", "compare_days", "ingest"} <= set(repository.job_names)


def test_the_running_day_is_a_partition() -> None:
    """The last partition is today, the first is the start of history."""
    import datetime as dt

    partitions = daily("2024-08-08")
    now = dt.datetime(2024, 8, 10, 0, 0, 1, tzinfo=dt.UTC)
    with dg.partition_loading_context(now):
        assert partitions.get_partition_keys() == ["2024-08-08", "2024-08-09", "2024-08-10"]


def test_all_begin_with_the_first_day_held() -> None:
    """One definition for every asset, check and job: the first day that the lake said when it was loaded."""
    graph = defs.resolve_asset_graph()
    found = {graph.get(key).partitions_def for key in graph.materializable_asset_keys}
    # A look at what is stored is about all days at once.
    stored = {dg.AssetCheckKey(keys.ASSETS[name], check) for name in STORED for check in STORED[name]}
    found |= {graph.get(key).partitions_def for key in graph.asset_check_keys - stored}
    assert found == {daily(FIRST_DAY)}
    assert defs.resolve_job_def(keys.SEAL_DAYS).partitions_def == daily(FIRST_DAY)


def test_partitions_begin_with_what_is_held_or_asked_for(tmp_path: Path) -> None:
    """Today without either; a day that `record_from` names counts, an id does not, and nothing before history does."""
    data = DataDir(tmp_path).create()

    def first(*since: int | str | None) -> str:
        venues = {f"venue-{at}": VenueSettings(symbols=("BTC-USDT",), record_from=x) for at, x in enumerate(since)}
        return begin(Settings(data_dir=tmp_path, venues=venues), "2024-08-12")

    assert first() == first(None, 17) == "2024-08-12"
    assert first("2024-08-10", "2024-08-11") == "2024-08-10"
    assert first("2015-01-01") == "2016-01-01"
    note_first_day(data, ["2024-08-09"])
    assert first() == first("2024-08-10") == "2024-08-09"
    assert first("2024-08-08") == "2024-08-08"
    assert begin(Settings(data_dir=tmp_path), "2024-08-01") == "2024-08-01"  # a clock that is behind


def test_the_workspace_names_the_same_location_as_up() -> None:
    """Switches set in the UI of `up` are found again by `dagster dev`."""
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace == {"load_from": [{"python_module": LOCATION}]}


def run_python(code: str, cwd: Path) -> dict[str, object]:
    """Run code in a fresh interpreter; return the JSON it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.process
def test_loading_is_quick_and_asks_nothing_of_the_data(tmp_path: Path) -> None:
    """Definitions import nothing heavy beyond Dagster and leave no trace in the working directory."""
    found = run_python(
        "import json, sys, time, dagster; at = time.process_time(); import trading_platform.definitions\n"
        "took = time.process_time() - at\n"
        "heavy = {'pandas', 'polars', 'pandera', 'numba', 'duckdb', 'great_expectations'} & set(sys.modules)\n"
        "print(json.dumps({'took': took, 'heavy': sorted(heavy)}))",
        tmp_path,
    )
    assert found["heavy"] == []
    assert float(str(found["took"])) < 2.0  # 0.7 s on an idle machine
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
@pytest.mark.parametrize(
    "module",
    [
        "orchestration.dagster_home",
        "processes.service_supervisor",
        "processes.supervisor",
        "orchestration.dagster_services",
        "commands.support.stack",
        "processes.process_tree",
        "processes.parent_death",
    ],
)
def test_what_up_imports_is_free_of_dagster(module: str, tmp_path: Path) -> None:
    """The command line starts Dagster, it does not load it."""
    code = (
        f"import json, sys, trading_platform.{module}\n"
        "print(json.dumps(sorted({'dagster', 'sqlalchemy', 'numpy', 'pyarrow'} & set(sys.modules))))"
    )
    assert run_python(code, tmp_path) == []
