"""Read spans of time out of the lake, as Arrow tables with typed columns whether anything is stored or not.

What users call is trading_platform/api/readers.py: engines, `as_of` and defaults are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.errors import UsageError
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import publish as lake, schema as shapes
from trading_platform.store.lake.duckdb_statements import NO_RECEIVE_TIME


def read_ticks(
    data: DataDir, venue: str, symbol: str, start_ns: int, end_ns: int, *, as_of_ns: int | None = None
) -> pa.Table:
    """Return the trades with `ts_event` in [start, end), those known at `as_of_ns` only if that is given.

    Raises
    ------
    CorruptionError : if a file is damaged.
    UsageError : if `as_of_ns` is given and a trade does not say when it was received.
    """
    table = _read(data, Leaf("ticks", venue, symbol, "1970-01-01"), start_ns, end_ns, shapes.TICKS)
    return table if as_of_ns is None else received_by(table, as_of_ns, f"ticks of {venue} {symbol}")


def received_by(ticks: pa.Table, as_of_ns: int, what: str) -> pa.Table:
    """Return the trades that had been received by an instant.

    Parameters
    ----------
    what : whose trades these are, in words for the error.

    Raises
    ------
    UsageError : if one does not say when it was received: leaving it out, or in, would be a guess.
    """
    if "ts_recv" not in ticks.schema.names or ticks.column("ts_recv").null_count:
        raise UsageError(f"{what}: {NO_RECEIVE_TIME}")
    return ticks.filter(pc.less_equal(ticks.column("ts_recv"), pa.scalar(as_of_ns).cast(shapes.TIME)))


def read_bars(data: DataDir, venue: str, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> pa.Table:
    """Return the bars with `ts_open` in [start, end)."""
    return _read(data, Leaf("bars", venue, symbol, "1970-01-01", timeframe), start_ns, end_ns, shapes.BARS)


def read_indicators(
    data: DataDir,
    venue: str,
    symbol: str,
    timeframe: str,
    start_ns: int,
    end_ns: int,
    *,
    outputs: Callable[[], Sequence[str]] = tuple,
) -> pa.Table:
    """Return the indicators with `ts_open` in [start, end).

    Parameters
    ----------
    outputs : called for the columns of the result where nothing is stored.
    """
    leaf = Leaf("indicators", venue, symbol, "1970-01-01", timeframe)
    table = _read(data, leaf, start_ns, end_ns, shapes.indicators(()))
    if table.num_columns == len(shapes.SHAPES["indicators"]) and not table.num_rows:
        return shapes.indicators(outputs()).empty_table()
    return table


def read_regimes(
    data: DataDir, venue: str, symbol: str, timeframe: str, start_ns: int, end_ns: int, *, model: str = "gaussian_hmm"
) -> pa.Table:
    """Return the regime labels with `ts_open` in [start, end)."""
    leaf = Leaf("regimes", venue, symbol, "1970-01-01", timeframe, model)
    return _read(data, leaf, start_ns, end_ns, shapes.REGIMES)


def read_instruments(data: DataDir, venue: str) -> pa.Table:
    """Return the newest published list of a venue's instruments."""
    listed = stored_days(data, Leaf("instruments", venue, "", "1970-01-01"))
    table = lake.read_leaf(data, Leaf("instruments", venue, "", listed[-1])) if listed else None
    return shapes.INSTRUMENTS.empty_table() if table is None else table


def stored_days(data: DataDir, leaf: Leaf) -> list[str]:
    """Return the days for which the leaf's dataset, venue, symbol, … has a file, ascending."""
    above = data.lake / leaf.directory.parent
    return sorted(path.parent.name.removeprefix("date=") for path in above.glob(f"date=*/{leaf.file_name}"))


def _read(data: DataDir, leaf: Leaf, start_ns: int, end_ns: int, shape: pa.Schema) -> pa.Table:
    time = DATASETS[leaf.dataset].times[0]
    tables = []
    for day in stored_days(data, leaf) if start_ns < end_ns else []:
        if day_of(start_ns) <= day <= day_of(end_ns - 1):
            table = lake.read_leaf(data, leaf._replace(day=day))
            if table is not None:
                tables.append(_within(_sound(table, leaf.dataset), time, day, start_ns, end_ns))
    if not tables:
        return shape.empty_table()
    # Indicators of different settings have different columns: what a day lacks is null there.
    return pa.concat_tables(tables, promote_options="default")


def _sound(table: pa.Table, dataset: str) -> pa.Table:
    """Return what a file holds; files of older code held NaN where there is no value."""
    return table if DATASETS[dataset].recorded else shapes.without_nan(table)


def _within(table: pa.Table, time: str, day: str, start_ns: int, end_ns: int) -> pa.Table:
    if start_ns <= day_start(day) and day_start(day) + DAY_NS <= end_ns:
        return table
    column = table.column(time)
    low, high = pa.scalar(start_ns).cast(shapes.TIME), pa.scalar(end_ns).cast(shapes.TIME)
    return table.filter(pc.and_(pc.greater_equal(column, low), pc.less(column, high)))
