"""The Dagster resource for assets, sensors and ops: settings, ledger and pipeline, each opened at first use.

The quality gates are passed in by definitions.py: this layer imports none.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from trading_platform.domain.days import day_of
from trading_platform.domain.verdict import Gate
from trading_platform.orchestration.dagster_home import data_root_of
from trading_platform.orchestration.keys import SCHEMA
from trading_platform.settings import PREFIX, Settings, load
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from trading_platform.completeness.open_ends import OpenEnd
    from trading_platform.ingest.recovery.fetcher import Endpoint
    from trading_platform.orchestration.history.check_results import CheckResults
    from trading_platform.pipeline.pipeline import Pipeline
    from trading_platform.pipeline.results import DayReport
    from trading_platform.store.ledger import DayStatus, Ledger

# No `from __future__ import annotations` here and in what Dagster decorates: it reads annotations as objects.


@cache
def settings_in_force() -> Settings:
    """Read the settings once; without a data directory in them, ``DAGSTER_HOME`` may give it."""
    import os

    root = None if f"{PREFIX}DATA_DIR" in os.environ else data_root_of()
    return load(overrides=None if root is None else {"data_dir": str(root)})


class PipelineResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The engine as Dagster sees it."""

    data_dir: str = ""
    """Another data directory than the settings name."""

    _ledger: "Ledger | None" = PrivateAttr(None)
    _pipeline: "Pipeline | None" = PrivateAttr(None)
    _statuses: "dict[str, list[DayStatus]] | None" = PrivateAttr(None)
    _check_results: "CheckResults | None" = PrivateAttr(None)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return settings_in_force()

    @property
    def data(self) -> DataDir:
        """The data directory."""
        from pathlib import Path

        return DataDir(Path(self.data_dir) if self.data_dir else self.settings.data_dir)

    @property
    def ledger(self) -> "Ledger":
        """The completeness ledger, opened at first use."""
        if self._ledger is None:
            from trading_platform.store.ledger import Ledger

            self._ledger = Ledger.open(self.data.create())
        return self._ledger

    @property
    def has_data(self) -> bool:
        """Whether anything was ever recorded: sensors need not create a ledger to find it empty."""
        return self.data.ledger_path.exists()

    @property
    def pipeline(self) -> "Pipeline":
        """The engine, built at first use."""
        if self._pipeline is None:
            self._pipeline = self.build()
        return self._pipeline

    def build(self) -> "Pipeline":
        """Return the engine for the settings in force."""
        from trading_platform.ingest.decoder.bounds import Bounds
        from trading_platform.ingest.replay.one_leaf import LeafRebuilder
        from trading_platform.pipeline.pipeline import Pipeline
        from trading_platform.venues import VENUES

        bounds = Bounds.of(self.settings.history_start)
        heal = LeafRebuilder(self.data, self.ledger, VENUES, bounds, self.gate("ticks"))
        return Pipeline.from_settings(self.data, self.ledger, self.settings, gates=self.gates(), heal=heal)

    def gate(self, dataset: str) -> Gate:
        """Return one dataset's gate."""
        return self.gates()[dataset]

    def gates(self) -> Mapping[str, Gate]:
        """Return the gate of each dataset; definitions.py hands down the real ones."""
        return {}

    def named_checks(self, dataset: str) -> Mapping[str, str]:  # noqa: ARG002  those who know them say
        """Return the named checks of a dataset's gate, each with its tier; definitions.py hands down the real ones."""
        return {SCHEMA: "page"}

    def check_of(self, dataset: str, rule: str) -> str:  # noqa: ARG002  as above
        """Return the named check that a broken rule belongs to."""
        return SCHEMA

    @property
    def check_results(self) -> "CheckResults":
        """The check results of this run that are stored together."""
        if self._check_results is None:
            from trading_platform.orchestration.history.check_results import CheckResults

            self._check_results = CheckResults()
        return self._check_results

    def now_ns(self) -> int:
        """Return the wall clock's time."""
        return time.time_ns()

    def is_over(self, day: str) -> bool:
        """Tell whether the day is over."""
        return day < day_of(self.now_ns())

    def endpoints(self) -> "dict[str, Endpoint]":
        """Return the REST endpoints of the ledger's venues.

        The address comes from the settings, else ingest's last use, else it is the venue's own; simulated data never
        uses the venue's own.
        """
        from trading_platform.ingest.recovery.fetcher import Endpoint
        from trading_platform.venues import VENUES

        found = {}
        for name in sorted({venue for venue, _ in self.ledger.symbols()} & VENUES.keys()):
            named = self.settings.venues.get(name)
            url = (named.rest_url if named else None) or self.ledger.fact(f"rest_url:{name}")
            if url is None and self.ledger.kind() == "simulated":
                continue
            key = named.api_key.get_secret_value() if named and named.api_key else None
            found[name] = Endpoint(VENUES[name], url or VENUES[name].rest_url, key)
        return found

    def refresh(
        self, dataset: str, day: str, symbols: Sequence[tuple[str, str]] | None = None, **options: Any
    ) -> "DayReport":
        """Bring one dataset's day up to date."""
        return self.pipeline.refresh(dataset, day, symbols, **options)

    def look_at(self, dataset: str, day: str) -> "DayReport":
        """Read the stored files of one dataset's day and let the gate judge them; change nothing."""
        return self.pipeline.look_at(dataset, day)

    def statuses(self, day: str) -> "list[DayStatus]":
        """Return the completeness of a day's symbols, cached from this run's first query of the ledger."""
        if self._statuses is None:
            by_day: dict[str, list[DayStatus]] = defaultdict(list)
            for status in self.ledger.day_report(self.now_ns()):
                by_day[status.day].append(status)
            self._statuses = dict(by_day)
        return self._statuses.get(day, [])

    def open_ends(self, day: str) -> "list[OpenEnd]":
        """Return the symbols of which nothing is known since that day or an earlier one."""
        from trading_platform.ingest.recovery.open_tails import open_ends

        ends = open_ends(self.data, self.ledger.sequences())
        return [end for end in ends if day_of(end.since_ns) <= day <= day_of(self.now_ns())]

    def forget_statuses(self) -> None:
        """Drop the cached completeness: trades have been added."""
        self._statuses = None

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  Dagster's signature
        """Store the results that wait, also of a run that failed; let go of the ledger."""
        try:
            if self._check_results is not None:
                self._check_results.flush()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the ledger; the next use opens it again."""
        if self._ledger is not None:
            self._ledger.close()
        self._ledger = self._pipeline = self._statuses = None
