"""What is stored, as a frame: ``tp.catalog``. Told from the lake's folders and, where it is there, the ledger."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from trading_platform.api.readers import ENGINES, ledger_of
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.errors import UsageError, shown
from trading_platform.store.fs.layout import DataDir

if TYPE_CHECKING:
    from trading_platform.store.ledger import Ledger

SHAPE = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("dataset", "venue", "symbol", "timeframe", "model", "first_day", "last_day")
        ),
        ("days", pa.int64()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
"""Columns of the catalog; what a dataset does not have is null, and so are rows without a ledger."""


def catalog(*, engine: str = "pandas", data_dir: str | Path | None = None) -> Any:
    """Return what is stored: a row for each dataset, venue, symbol, timeframe and model.

    Parameters
    ----------
    engine : the kind of frame: ``pandas``, ``polars`` or ``arrow``.
    data_dir : where the lake lies; the settings' unless given.

    Returns
    -------
    Columns ``dataset venue symbol timeframe model first_day last_day days rows bytes``, ordered by them.

    Raises
    ------
    UsageError : if the data directory does not exist, or the engine is none.
    """
    from trading_platform.api import readers, stored_names

    if engine not in ENGINES:
        raise UsageError(f"{shown(engine)} is not an engine; engines: {' '.join(ENGINES)}")
    data = DataDir(readers._settings(data_dir).data_dir)
    stored_names.check_directory(data)
    with ledger_of(data) as ledger:
        rows = _rows(data, ledger)
    return readers._frame(pa.Table.from_pylist(rows, schema=SHAPE), engine)


def _rows(data: DataDir, ledger: Ledger | None) -> list[dict[str, object]]:
    found = []
    for name in DATASETS:
        counts = {} if ledger is None else {str(leaf.path): r.rows for leaf, r in ledger.leaves(name).items()}
        groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        for path in (data.lake / name).rglob(f"{name}.parquet"):
            groups[path.relative_to(data.lake / name).parts[:-2]].append(path)
        for folders, paths in sorted(groups.items()):
            keys = dict(folder.split("=", 1) for folder in folders)
            days = sorted(path.parent.name.removeprefix("date=") for path in paths)
            known = [counts.get(path.relative_to(data.lake).as_posix()) for path in paths]
            rows = None if ledger is None else sum(count or 0 for count in known)
            size = sum(path.stat().st_size for path in paths)
            ends = {"first_day": days[0], "last_day": days[-1], "days": len(days)}
            found.append({"dataset": name, **keys, **ends, "rows": rows, "bytes": size})
    return found
