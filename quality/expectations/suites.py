"""Great Expectations: a suite a symbol, one checkpoint over a day's numbers. Nothing else imports the library.

Which numbers, and between which ends, is decided before (checkpoint.py); the site's pages are changed after
(data_docs.py). It reports no usage, keeps everything in memory, and draws no progress bars.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext

SITE = "days"


class Judged(NamedTuple):
    """One number, the ends it must lie between, and why these."""

    statistic: str
    family: str
    tier: str
    value: float
    low: float
    high: float
    note: str


class Opinion(NamedTuple):
    """What Great Expectations says of one number: `problem` tells of an expectation that raised, which is no pass."""

    judged: Judged
    passed: bool
    problem: str = ""


def validate(
    subjects: Mapping[str, Sequence[Judged]], *, day: str, now: datetime, site: Path | None = None
) -> dict[str, list[Opinion]]:
    """Run one checkpoint over the numbers of each subject (`venue_SYMBOL`), and write its pages.

    Parameters
    ----------
    site : the folder for the pages, which Great Expectations makes as it does: loading much from elsewhere.
    """
    with _quiet():
        import great_expectations as gx
        import pandas as pd

        context = _context(site)
        frame = pd.DataFrame([{"symbol": name} | {j.statistic: j.value for j in of} for name, of in subjects.items()])
        batch = context.data_sources.add_pandas("lake").add_dataframe_asset("statistics")
        whole = batch.add_batch_definition_whole_dataframe(day)
        parts = []
        for name, judged in subjects.items():
            suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=[_between(name, j) for j in judged]))
            part = gx.ValidationDefinition(name=name, data=whole, suite=suite)
            parts.append(context.validation_definitions.add(part))
        checkpoint = context.checkpoints.add(gx.Checkpoint(name="daily", validation_definitions=parts))
        run = gx.RunIdentifier(run_name=day, run_time=now)
        told = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=run)
        if site is not None:
            context.build_data_docs(site_names=[SITE])
    results = {result.suite_name: result.results for result in told.run_results.values()}
    return {name: _answers(judged, results[name]) for name, judged in subjects.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the library say nothing: to its makers, nor of what is deprecated inside it."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _context(site: Path | None) -> AbstractDataContext:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    built = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": store}
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={} if site is None else {SITE: built | {"site_index_builder": index}},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(project_config=config, mode="ephemeral")


def _between(name: str, judged: Judged) -> Any:
    from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween

    return ExpectColumnValuesToBeBetween(
        column=judged.statistic,
        min_value=judged.low,
        max_value=judged.high,
        row_condition=f'symbol=="{name}"',
        condition_parser="pandas",
        notes=judged.note,
        meta={"family": judged.family, "tier": judged.tier},
    )


def _answers(judged: Sequence[Judged], results: Sequence[Any]) -> list[Opinion]:
    by_statistic = {str(result.expectation_config.kwargs["column"]): result for result in results}
    return [_answer(each, by_statistic.get(each.statistic)) for each in judged]


def _answer(judged: Judged, result: Any) -> Opinion:
    if result is None:
        return Opinion(judged, passed=False, problem="the expectation gave no result")
    if result.exception_info.get("raised_exception"):
        return Opinion(judged, passed=False, problem=str(result.exception_info.get("exception_message")))
    looked_at = (result.result.get("element_count"), result.result.get("missing_count"))
    if looked_at != (1, 0):  # of no value, or of a missing one, the library says that it is as expected
        return Opinion(judged, passed=False, problem=f"{looked_at[0]} values looked at, {looked_at[1]} missing")
    return Opinion(judged, passed=bool(result.success))
