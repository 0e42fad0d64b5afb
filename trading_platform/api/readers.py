"""Public read functions for notebooks and strategies: trades, bars, indicators, regimes, coverage, instruments.

Defaults come from the settings; everything else is an argument. Reading files is store/lake/reader.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from unicodedata import normalize

import pyarrow as pa

from trading_platform.api import stored_names as stored
from trading_platform.domain.datasets import COMPUTED
from trading_platform.domain.days import day_of
from trading_platform.domain.errors import SymbolError, UsageError, shown
from trading_platform.domain.inputs.instants import Instant, instant_ns
from trading_platform.domain.instrument import check_symbol, check_venue
from trading_platform.domain.timeframe import timeframe_ns
from trading_platform.store.fs.layout import DataDir
from trading_platform.store.lake import (
    coverage as accounts,
    reader as readers,
    schema as shapes,
)

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.store.database.pool import DatabasePool
    from trading_platform.store.database.rows.reading import DatabaseReader
    from trading_platform.store.ledger import Ledger

Engine = Literal["pandas", "polars", "arrow"]
ENGINES: tuple[Engine, ...] = ("pandas", "polars", "arrow")
Source = Literal["lake", "database"]


def read_ticks(
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    venue: str = "binance",
    as_of: Instant | None = None,
    engine: Engine = "pandas",
    data_dir: str | Path | None = None,
    source: Source = "lake",
) -> Any:
    """Return the trades of [start, end) by exchange trade time, ordered by id.

    Parameters
    ----------
    start, end : ISO text, date, datetime (naive: UTC), pandas or numpy time, or ns since the epoch.
    as_of : only what we had received by then.
    engine : the kind of frame: ``pandas``, ``polars`` or ``arrow``.
    data_dir : where the lake lies; the settings' unless given.
    source : ``lake``, or ``database`` for the same rows from the one that the settings name.

    Raises
    ------
    DatabaseUnavailable : if the database is asked and does not answer.
    UsageError : if an argument is wrong, or names a data directory, venue, symbol or timeframe of which nothing is
        stored (the nearest is named). A span without rows of a stored one is an empty frame with typed columns.

    Examples
    --------
    >>> read_ticks("BTC-USDT", "2024-08-08", "2024-08-09", data_dir="nowhere")
    Traceback (most recent call last):
    trading_platform.domain.errors.UsageError: data directory nowhere does not exist; give the one recorded into
    """
    symbol = _composed(symbol)
    ask = _ask(symbol, start, end, venue, data_dir, engine=engine)
    if source != "lake":
        with _database(ask, source, as_of) as there:
            return _frame(there.ticks(venue, symbol, ask.start_ns, ask.end_ns), engine)
    known = None if as_of is None else instant_ns(as_of)
    return _frame(readers.read_ticks(ask.data, venue, symbol, ask.start_ns, ask.end_ns, as_of_ns=known), engine)


def read_bars(  # noqa: PLR0913  the contract's, by name
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    venue: str = "binance",
    timeframe: str = "1m",
    as_of: Instant | None = None,
    engine: Engine = "pandas",
    data_dir: str | Path | None = None,
    source: Source = "lake",
) -> Any:
    """Return the bars that open in [start, end); arguments as in `read_ticks`."""
    symbol = _composed(symbol)
    ask = _ask(symbol, start, end, venue, data_dir, engine=engine, timeframe=timeframe)
    if source != "lake":
        with _database(ask, source, as_of) as there:
            return _frame(there.bars(venue, symbol, timeframe, ask.start_ns, ask.end_ns), engine)
    with _source(ask, as_of, "bars", (venue, symbol), timeframe) as data:
        return _frame(readers.read_bars(data, venue, symbol, timeframe, ask.start_ns, ask.end_ns), engine)


def read_indicators(  # noqa: PLR0913  the contract's, by name
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    venue: str = "binance",
    timeframe: str = "1m",
    as_of: Instant | None = None,
    engine: Engine = "pandas",
    data_dir: str | Path | None = None,
    source: Source = "lake",
) -> Any:
    """Return the indicators of the bars that open in [start, end); arguments as in `read_ticks`."""
    symbol = _composed(symbol)
    ask = _ask(symbol, start, end, venue, data_dir, engine=engine, timeframe=timeframe)
    outputs = partial(outputs_of, ask.settings)
    if source != "lake":
        with _database(ask, source, as_of) as there:
            found = there.indicators(venue, symbol, timeframe, ask.start_ns, ask.end_ns, outputs=outputs)
            return _frame(found, engine)
    with _source(ask, as_of, "indicators", (venue, symbol), timeframe) as data:
        table = readers.read_indicators(data, venue, symbol, timeframe, ask.start_ns, ask.end_ns, outputs=outputs)
        return _frame(table, engine)


def read_regimes(  # noqa: PLR0913  the contract's, by name
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    venue: str = "binance",
    timeframe: str = "1m",
    as_of: Instant | None = None,
    engine: Engine = "pandas",
    data_dir: str | Path | None = None,
    source: Source = "lake",
) -> Any:
    """Return the regime labels of the bars that open in [start, end); arguments as in `read_ticks`."""
    symbol = _composed(symbol)
    ask = _ask(symbol, start, end, venue, data_dir, engine=engine, timeframe=timeframe)
    if source != "lake":
        with _database(ask, source, as_of) as there:
            return _frame(there.regimes(venue, symbol, timeframe, ask.start_ns, ask.end_ns), engine)
    with _source(ask, as_of, "regimes", (venue, symbol), timeframe) as data:
        return _frame(readers.read_regimes(data, venue, symbol, timeframe, ask.start_ns, ask.end_ns), engine)


def coverage(
    symbol: str,
    start: Instant,
    end: Instant,
    *,
    venue: str = "binance",
    engine: Engine = "pandas",
    data_dir: str | Path | None = None,
) -> Any:
    """Return the stretches of [start, end) that are proved, open or lost; what was never recorded has no row."""
    symbol = _composed(symbol)
    ask = _ask(symbol, start, end, venue, data_dir, engine=engine)
    with ledger_of(ask.data) as ledger:
        if ledger is None:
            raise UsageError(f"coverage is told from the ledger, and {ask.data.ledger_path} is not there; copy it too")
        return _frame(accounts.coverage(ask.data, ledger, venue, symbol, ask.start_ns, ask.end_ns), engine)


def instruments(venue: str = "binance", *, engine: Engine = "pandas", data_dir: str | Path | None = None) -> Any:
    """Return what a venue lists, as last published."""
    _check_engine(engine)
    data = DataDir(_settings(data_dir).data_dir)
    stored.check_directory(data)
    _check_name("venue", venue, data)
    stored.check_venue_stored(data, venue)
    return _frame(readers.read_instruments(data, venue), engine)


def answer(
    sql: str, *, as_of: Instant | None = None, settings: Settings, source: Source = "lake"
) -> Iterator[pa.RecordBatch]:
    """Answer SQL over the lake; what the command ``query`` prints. See store/sql/query.py for what is allowed.

    With `as_of` every view shows what could have been answered then: it is computed for this, as far as it is named.
    With the database as source they show what it holds.
    """
    from trading_platform.store.sql import query as engine

    data = DataDir(settings.data_dir)
    if source != "lake":
        yield from _answer_of_database(sql, settings, source, as_of)
        return
    known = None if as_of is None else instant_ns(as_of)
    named = [view for view in (*COMPUTED, "coverage") if view in sql.lower()]
    outputs = partial(outputs_of, settings)
    if known is None or not named:
        coverage = partial(_stretches, data)
        yield from engine.answer(data, sql, coverage=coverage, outputs=outputs, ticks_as_of_ns=known)
        return
    engine.check_text(sql, views_only=True)  # before anything is computed for it
    with ledger_of(data) as ledger:
        pairs = sorted(stored.stored_pairs(data))
        if ledger is None and pairs and "coverage" in named:
            raise UsageError(
                f"coverage as of a time needs the ledger, and {data.ledger_path} is not there; copy it too"
            )
        from trading_platform.api.as_of import lake_at

        with lake_at(
            data,
            ledger,
            known,
            settings=settings,
            pairs=pairs,
            datasets=[view for view in named if view in COMPUTED],
            timeframes=settings.timeframes,
        ) as (past, past_ledger):
            coverage = partial(_coverage_of_all, past, past_ledger)
            yield from engine.answer(past, sql, coverage=coverage, outputs=outputs)


def _answer_of_database(
    sql: str, settings: Settings, source: Source, as_of: Instant | None
) -> Iterator[pa.RecordBatch]:
    from tempfile import TemporaryDirectory

    from trading_platform.store.sql import database_lake, query as engine

    data, outputs = DataDir(settings.data_dir), partial(outputs_of, settings)
    with _pool(settings, data, source, as_of) as pool, TemporaryDirectory(prefix="trading-platform-") as folder:
        held = DataDir(Path(folder)).create()
        database_lake.fill(held, pool, sql, outputs)
        yield from engine.answer(held, sql, coverage=partial(_stretches, data), outputs=outputs)


def outputs_of(settings: Settings) -> list[str]:
    """Return the indicator columns that the settings name."""
    from trading_platform.analytics.indicator_names import parse
    from trading_platform.analytics.own_indicators import use_paths

    use_paths(settings.indicator_paths)
    return list(dict.fromkeys(column for name in settings.indicators for column in parse(name).columns))


def _stretches(data: DataDir) -> pa.Table:
    with ledger_of(data) as ledger:
        return _coverage_of_all(data, ledger)


def _coverage_of_all(data: DataDir, ledger: Ledger | None) -> pa.Table:
    """Return the coverage of every symbol."""
    tables = [shapes.COVERAGE_OF_ALL.empty_table()]
    if ledger is None:
        return tables[0]
    for venue, symbol in ledger.symbols():
        rows = accounts.coverage(data, ledger, venue, symbol)
        names = [pa.array([name] * rows.num_rows, pa.string()) for name in (venue, symbol)]
        tables.append(pa.Table.from_arrays([*names, *rows.columns], schema=shapes.COVERAGE_OF_ALL))
    return pa.concat_tables(tables)


class _Ask(NamedTuple):
    """Checked arguments."""

    settings: Settings
    start_ns: int
    end_ns: int

    @property
    def data(self) -> DataDir:
        return DataDir(self.settings.data_dir)


def _ask(
    symbol: str,
    start: Instant,
    end: Instant,
    venue: str,
    data_dir: str | Path | None,
    *,
    engine: str,
    timeframe: str = "1m",
) -> _Ask:
    _check_engine(engine)
    timeframe_ns(timeframe)
    begin, stop = instant_ns(start), instant_ns(end)
    if stop < begin:
        raise UsageError(f"end {end} lies before start {start}")
    ask = _Ask(_settings(data_dir), begin, stop)
    _check_names(ask, symbol, venue)
    return ask


def _composed(symbol: str) -> str:
    """Return the symbol as it is stored, however its letters were composed when it was typed."""
    return normalize("NFC", symbol) if isinstance(symbol, str) else symbol


def _check_names(ask: _Ask, symbol: str, venue: str) -> None:
    """Refuse what is no name, a directory that is none, and what nothing is stored of."""
    stored.check_directory(ask.data)
    _check_name("venue", venue, ask.data)
    _check_name("symbol", symbol, ask.data)
    stored.check_pair(ask.data, venue, symbol, partial(_recorded, ask))


def _check_name(what: Literal["venue", "symbol"], name: Any, data: DataDir) -> None:
    """Refuse what cannot be a venue's or a symbol's name, naming the nearest that is stored."""
    if not isinstance(name, str):
        example = "binance" if what == "venue" else "BTC-USDT"
        raise SymbolError(f"a {what} is a text such as {example}, not {shown(name)}")
    try:
        check_venue(name) if what == "venue" else check_symbol(name)
    except SymbolError as error:
        there = sorted({pair[0 if what == "venue" else 1] for pair in stored.stored_pairs(data)})
        near = stored.nearest(name.lower() if what == "venue" else name.upper(), there)
        raise SymbolError(f"{error}; nearest: {near}" if near else str(error)) from None


def _recorded(ask: _Ask) -> list[tuple[str, str]]:
    with ledger_of(ask.data) as ledger:
        return [] if ledger is None else ledger.symbols()


def _check_engine(engine: str) -> None:
    if not isinstance(engine, str) or engine not in ENGINES:
        raise UsageError(f"{shown(engine)} is not an engine; engines: {' '.join(ENGINES)}")


def _settings(data_dir: str | Path | None) -> Settings:
    from trading_platform import settings

    if data_dir is not None and not isinstance(data_dir, str | Path):
        raise UsageError(f"a data directory is a path such as 'data', not {shown(data_dir)}")
    return settings.load(overrides={} if data_dir is None else {"data_dir": data_dir})


@contextmanager
def ledger_of(data: DataDir) -> Iterator[Ledger | None]:
    """Yield the ledger, None if there is none yet: reading creates nothing."""
    if not data.ledger_path.exists():
        yield None
        return
    from trading_platform.store.ledger import Ledger

    ledger = Ledger.open(data)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _source(ask: _Ask, as_of: Instant | None, dataset: str, pair: tuple[str, str], timeframe: str) -> Iterator[DataDir]:
    """Give the lake to read a computed dataset from: the published one, or one computed from what was known."""
    if as_of is None:
        stored.check_timeframe(ask.data, dataset, *pair, timeframe)
        yield ask.data
        return
    known = instant_ns(as_of)
    with ledger_of(ask.data) as ledger:
        if ask.start_ns == ask.end_ns:
            yield ask.data
            return
        from trading_platform.api.as_of import lake_at

        with lake_at(
            ask.data,
            ledger,
            known,
            settings=ask.settings,
            pairs=[pair],
            datasets=[dataset],
            timeframes=[timeframe],
            until=day_of(ask.end_ns - 1),
        ) as (past, _):
            yield past


@contextmanager
def _database(ask: _Ask, source: Any, as_of: Instant | None) -> Iterator[DatabaseReader]:
    """Give what reads the database of the settings."""
    with _pool(ask.settings, ask.data, source, as_of) as pool:
        from trading_platform.store.database.rows.reading import DatabaseReader

        yield DatabaseReader(pool)


@contextmanager
def _pool(settings: Settings, data: DataDir, source: Any, as_of: Instant | None) -> Iterator[DatabasePool]:
    """Give connections to the database of the settings, as `tp_reader`.

    Raises
    ------
    UsageError : if there is none, the source is none, or something as of a time is asked for.
    """
    if source != "database":
        raise UsageError(f"{shown(source)} is not a source; sources: lake database")
    if as_of is not None:
        raise UsageError("as_of is answered from the lake; leave out source, or as_of")
    url = settings.database_url.get_secret_value()
    if not url:
        raise UsageError("there is no database: set TRADING_PLATFORM_DATABASE_URL; see database up")
    from trading_platform.store.database import access

    pool = access.reader(data, url)
    try:
        yield pool
    finally:
        pool.close()


def _frame(table: pa.Table, engine: str) -> Any:
    if engine == "arrow":
        return table
    if engine == "polars":
        import polars as pl

        return pl.from_arrow(table)
    frame = table.to_pandas()
    for field in table.schema:
        # pandas turns integers with nulls into floats, and an id does not fit into one.
        if pa.types.is_integer(field.type) and table.column(field.name).null_count:
            frame[field.name] = table.column(field.name).to_pandas(types_mapper=_nullable)
    return frame


def _nullable(kind: pa.DataType) -> Any:
    import pandas as pd

    return pd.Int8Dtype() if kind == pa.int8() else pd.Int64Dtype()
