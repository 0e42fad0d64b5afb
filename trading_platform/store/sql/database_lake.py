"""Make a lake of what the database holds, as far as a statement can need it: then the same SQL gives the same rows.

The files are named first, empty; what of them a statement needs is found as in the real lake (pruning.py), and only
that is read out of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import DAY_NS, day_start
from trading_platform.domain.errors import QueryError
from trading_platform.store.database.pool import DatabasePool
from trading_platform.store.database.rows.lake_copy import DATASETS as KEPT, held_leaves
from trading_platform.store.database.rows.reading import DatabaseReader
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet
from trading_platform.store.sql import pruning, query


def fill(lake: DataDir, pool: DatabasePool, sql: str, outputs: Callable[[], Sequence[str]]) -> None:
    """Write the files that a statement can need below an empty directory's lake.

    Parameters
    ----------
    pool : connections as `tp_reader`.
    outputs : called for the indicators of the settings, which come first.

    Raises
    ------
    QueryError : if the statement is none that may be asked, or asks for what the database does not keep.
    DatabaseUnavailable : if the database is away.
    """
    query.check_text(sql)
    with closing(duckdb.connect(":memory:", config=query.CONFIG)) as db:
        tree = query.check_statement(db, sql)
        named = set(query.needed(tree))
        absent = sorted(named & DATASETS.keys() - set(KEPT)) if pruning.tables(tree) & named else []
        if absent:
            raise QueryError(f"{absent[0]} are not kept in the database; ask without --source database")
        leaves = [leaf for leaf in held_leaves(pool) if leaf.dataset in named]
        for leaf in leaves:
            path = lake.lake / leaf.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        wanted = {path for name in named & set(KEPT) for path in _needed(db, lake, tree, name)}
    reader = DatabaseReader(pool)
    for leaf in leaves:
        path = lake.lake / leaf.path
        if path in wanted:
            parquet.write(path, _rows(reader, leaf, outputs), hashed=False)
        else:
            path.unlink()


def _needed(db: duckdb.DuckDBPyConnection, lake: DataDir, tree: pruning.Node, name: str) -> list[Path]:
    of = DATASETS[name]
    found = pruning.files(db, tree, pruning.ViewSource(name, lake.lake / name, of.keys, of.times))
    # Columns of indicators may be in files that no row is read of.
    return list((lake.lake / name).rglob(f"{name}.parquet")) if found is None or of.open_ended else found


def _rows(reader: DatabaseReader, leaf: Leaf, outputs: Callable[[], Sequence[str]]) -> pa.Table:
    start = day_start(leaf.day)
    span = start, start + DAY_NS
    if leaf.dataset == "ticks":
        return reader.ticks(leaf.venue, leaf.symbol, *span)
    assert leaf.timeframe is not None
    place = leaf.venue, leaf.symbol, leaf.timeframe, *span
    if leaf.dataset == "bars":
        return reader.bars(*place)
    if leaf.dataset == "regimes":
        return reader.regimes(*place, model=str(leaf.model))
    return reader.indicators(*place, outputs=outputs)
