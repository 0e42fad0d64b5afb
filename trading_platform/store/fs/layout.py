"""Where things lie below a data directory, and what a published file is called.

Only names and paths: reading and writing the files is store/lake/publish.py and store/lake/staging.py,
the log's segments are store/log/writer.py. Every name that comes from outside is checked
before it becomes part of a path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import parse_day
from trading_platform.domain.errors import UsageError
from trading_platform.domain.instrument import check_symbol, check_venue
from trading_platform.domain.timeframe import timeframe_ns

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}", re.ASCII)


class Leaf(NamedTuple):
    """One published file: a dataset's rows of one venue, symbol and UTC day.

    Attributes
    ----------
    dataset : one of `domain.datasets.DATASETS`, whose `keys` say which of the others it has.
    venue, symbol : canonical names; `symbol` is ``""`` where a dataset is kept per venue.
    day : UTC day as ISO text.
    timeframe, model : None where the dataset has none.

    Examples
    --------
    >>> Leaf("bars", "binance", "BTC-USDT", "2024-08-08", "1m").path.as_posix()
    'bars/timeframe=1m/venue=binance/symbol=BTC-USDT/date=2024-08-08/bars.parquet'
    >>> Leaf("ticks", "binance", "../../x", "2024-08-08").path
    Traceback (most recent call last):
    trading_platform.domain.errors.SymbolError: '../../x' is not a symbol; symbols look like BTC-USDT
    """

    dataset: str
    venue: str
    symbol: str
    day: str
    timeframe: str | None = None
    model: str | None = None

    def check(self) -> Leaf:
        """Return the leaf if every part of it may become a path.

        Raises
        ------
        UsageError : naming the part that may not.
        """
        dataset = DATASETS.get(self.dataset)
        if dataset is None:
            raise UsageError(f"{self.dataset[:40]!r} is not a dataset; datasets: {' '.join(DATASETS)}")
        check_venue(self.venue)
        if dataset.by_symbol:
            check_symbol(self.symbol)
        elif self.symbol:
            raise UsageError(f"{self.dataset} are kept per venue, not for {self.symbol[:60]!r}")
        parse_day(self.day)
        if (self.timeframe is not None) != ("timeframe" in dataset.keys):
            raise UsageError(f"{self.dataset} {'need' if self.timeframe is None else 'have no'} timeframe")
        if self.timeframe is not None:
            timeframe_ns(self.timeframe)
        if (self.model is not None) != ("model" in dataset.keys):
            raise UsageError(f"{self.dataset} {'need' if self.model is None else 'have no'} model")
        if self.model is not None:
            check_name(self.model)
        return self

    @property
    def directory(self) -> PurePosixPath:
        """The leaf's folder relative to the lake, every part checked."""
        return _directory(self)

    @property
    def file_name(self) -> str:
        """The published file's name, ``bars.parquet``."""
        return f"{self.dataset}.parquet"

    @property
    def path(self) -> PurePosixPath:
        """The published file relative to the lake."""
        return self.directory / self.file_name

    @classmethod
    def from_path(cls, path: PurePosixPath) -> Leaf | None:
        """Return the leaf whose file lies at `path` relative to the lake, None if it is no leaf's.

        >>> Leaf.from_path(PurePosixPath("ticks/venue=binance/symbol=BTC-USDT/date=2024-08-08/ticks.parquet")).day
        '2024-08-08'
        """
        keys = dict(part.split("=", 1) for part in path.parts[1:-1] if "=" in part)
        leaf = cls(
            path.parts[0] if path.parts else "",
            keys.get("venue", ""),
            keys.get("symbol", ""),
            keys.get("date", ""),
            keys.get("timeframe"),
            keys.get("model"),
        )
        try:
            return leaf if leaf.path == path else None
        except UsageError:
            return None


@lru_cache(maxsize=4096)
def _directory(leaf: Leaf) -> PurePosixPath:
    leaf.check()
    values = leaf._asdict() | {"date": leaf.day}
    return PurePosixPath(leaf.dataset, *(f"{key}={values[key]}" for key in DATASETS[leaf.dataset].keys))


def check_name(text: str) -> str:
    """Return `text` if it may be a lane's or model's name, hence part of a path.

    >>> check_name("live-binance")
    'live-binance'
    """
    if _NAME.fullmatch(text) is None:
        raise UsageError(f"{text[:60]!r} is not a name of small letters, digits, '-' and '_'")
    return text


class DataDir(NamedTuple):
    """The folders below one data directory.

    Examples
    --------
    >>> DataDir(Path("data")).lane("live-binance").as_posix()
    'data/log/live-binance'
    """

    root: Path

    @property
    def log(self) -> Path:
        """Raw segment log, one folder per lane."""
        return self.root / "log"

    @property
    def lake(self) -> Path:
        """Published files and nothing else."""
        return self.root / "lake"

    @property
    def staging(self) -> Path:
        """Parts that are not published yet, and files being written."""
        return self.root / "staging"

    @property
    def state(self) -> Path:
        """End states of computed days."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """Locks and what lives no longer than a process."""
        return self.root / "run"

    @property
    def downloads(self) -> Path:
        """Files of an archive that are being downloaded; made when there is one."""
        return self.root / "downloads"

    @property
    def reports(self) -> Path:
        """Quality reports, one page a day; made when there is one."""
        return self.root / "reports"

    @property
    def statistics(self) -> Path:
        """Numbers about each day, one file a day; made by the daily checkpoint."""
        return self.root / "statistics"

    @property
    def data_docs(self) -> Path:
        """The site of Great Expectations about the statistics of the data, ``index.html``; made by its checkpoint."""
        return self.root / "data-docs"

    @property
    def dbt_docs(self) -> Path:
        """The site of dbt about the warehouse, ``index.html``; made by a build of the warehouse."""
        return self.root / "dbt-docs"

    @property
    def warehouse(self) -> Path:
        """The marts that dbt builds, a DuckDB file that is replaced by rename; made by a build of the warehouse."""
        return self.root / "warehouse.duckdb"

    @property
    def ledger_path(self) -> Path:
        """The embedded ledger's file."""
        return self.root / "ledger.sqlite"

    @property
    def first_day_path(self) -> Path:
        """The file that names the first day of the lake."""
        return self.state / "first-day"

    def lane(self, name: str) -> Path:
        """Return the folder of a lane of the log."""
        return self.log / check_name(name)

    def create(self) -> DataDir:
        """Make the folders that are missing."""
        for folder in (self.log, self.lake, self.staging, self.state, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        return self
