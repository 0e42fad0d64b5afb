"""The table of datasets: a line says everything about one that code elsewhere would otherwise repeat.

Read from here: the lake's folders (store/fs/layout.py), columns (store/lake/schema.py), SQL views (store/sql/views.py),
readers and `as_of` (api/), what is refreshed after what (pipeline/), asset keys and checks (orchestration/, quality/).

What belongs to a dataset and is code lies in the file of its name: how a day is computed in pipeline/datasets/, its
gate in quality/schemas/, its Dagster asset in assets/. A test holds the files and this table together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from trading_platform.domain.errors import UsageError

Kind = Literal["int8", "int16", "int64", "float64", "bool", "text", "time"]
"""A column's type; ``time`` is nanoseconds since the epoch, UTC."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class Dataset(NamedTuple):
    """One dataset.

    Attributes
    ----------
    keys : the folders below the dataset, outermost first; a leaf's file lies in the last. ``date``, the UTC day, is the
        partition of every dataset; one without ``symbol`` is kept per venue.
    columns : of its files, in order, name to type.
    upstream : the dataset it is computed from, None for what is recorded.
    channel : the venue's channel that it is recorded from: its rows come as staged parts and are merged.
    open_ended : whether float64 columns follow that the settings name, one per output.
    times : columns of time that lie within the folder's day, or at its end.
    exact : columns whose nanoseconds the SQL view shows as integers too.
    stateful : whether a day starts from the end of the one before.
    version : of the code that computes it; a new one makes every leaf stale.
    """

    name: str
    keys: tuple[str, ...]
    columns: Mapping[str, Kind]
    upstream: str | None = None
    channel: str | None = None
    open_ended: bool = False
    times: tuple[str, ...] = ("ts_open", "ts_close")
    exact: tuple[str, ...] = ()
    stateful: bool = False
    version: int = 1

    @property
    def by_symbol(self) -> bool:
        """Whether a leaf is one symbol's; else it is a venue's."""
        return "symbol" in self.keys

    @property
    def recorded(self) -> bool:
        """Whether its rows come from a venue's channel, as staged parts that are merged."""
        return self.channel is not None

    @property
    def dated(self) -> bool:
        """Whether it can be told what of it was known at an instant: its rows, or those it is made of, say when."""
        return "ts_recv" in self.columns or (self.upstream is not None and DATASETS[self.upstream].dated)


def columns(text: str) -> dict[str, Kind]:
    """Return name to type of columns written as ``name type``, separated by commas.

    >>> columns("ts_open time, close float64")
    {'ts_open': 'time', 'close': 'float64'}

    Raises
    ------
    ValueError : for a type that is none.
    """
    found: dict[str, Kind] = {}
    for column in text.split(","):
        name, kind = column.split()
        found[name] = KINDS[KINDS.index(kind)]
    return found


_INTERVAL = "ts_open time, ts_close time"

_TABLE = (
    Dataset(
        "ticks",
        ("venue", "symbol", "date"),
        columns(
            "trade_id int64, trade_uid text, epoch int16, ts_event time, ts_recv time, price float64, quantity float64,"
            " side text, source text"
        ),
        channel="trades",
        times=("ts_event", "ts_event_ns"),
        exact=("ts_event", "ts_recv"),
    ),
    Dataset(
        "bars",
        ("timeframe", "venue", "symbol", "date"),
        columns(
            f"{_INTERVAL}, open float64, high float64, low float64, close float64, volume float64,"
            " quote_volume float64, taker_buy_volume float64, taker_buy_quote_volume float64, trade_count int64,"
            " vwap float64, complete bool, proof text"
        ),
        upstream="ticks",
        version=2,
    ),
    Dataset(
        "indicators",
        ("timeframe", "venue", "symbol", "date"),
        columns(f"{_INTERVAL}, complete bool"),
        upstream="bars",
        open_ended=True,
        stateful=True,
        version=2,
    ),
    Dataset(
        "regimes",
        ("model", "timeframe", "venue", "symbol", "date"),
        columns(
            f"{_INTERVAL}, state int8, label text, p_0 float64, p_1 float64, p_2 float64, p_3 float64, p_4 float64,"
            " change_probability float64, model_version text"
        ),
        upstream="bars",
        stateful=True,
        version=2,
    ),
    Dataset(
        "instruments",
        ("venue", "date"),
        columns(
            "symbol text, venue_symbol text, kind text, base text, quote text, price_step text, quantity_step text,"
            " status text"
        ),
        times=(),
    ),
)

DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _TABLE})
"""Name to dataset, inputs before what is computed from them: the order in which they are refreshed."""

COMPUTED = tuple(name for name, dataset in DATASETS.items() if dataset.upstream is not None)
"""The datasets that are computed from others, inputs first."""


def in_order(names: Iterable[str]) -> list[Dataset]:
    """Return the named datasets, inputs first.

    Raises
    ------
    UsageError : for a name that is not a dataset.

    Examples
    --------
    >>> [dataset.name for dataset in in_order(["regimes", "bars"])]
    ['bars', 'regimes']
    """
    wanted = list(names)
    for name in wanted:
        if name not in DATASETS:
            raise UsageError(f"{name[:40]!r} is not a dataset; datasets: {' '.join(DATASETS)}")
    return [dataset for name, dataset in DATASETS.items() if name in wanted]


def with_upstream(names: Iterable[str]) -> list[str]:
    """Return the computed datasets among these and those that they are computed from, inputs first.

    >>> with_upstream(["regimes"])
    ['bars', 'regimes']
    """
    wanted: set[str] = set()
    for name in names:
        at: str | None = name
        while at is not None and at not in wanted:
            wanted.add(at)
            at = DATASETS[at].upstream
    return [name for name in COMPUTED if name in wanted]
