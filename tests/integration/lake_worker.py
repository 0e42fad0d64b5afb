"""Run by test_one_leaf_many_processes: publish one leaf over and over, or count its rows over and over.

``publish ROOT NAME ROUNDS``: stage a part and publish, in each round. ``count ROOT ENGINE``: count rows and
distinct ids until stdin closes; print what was seen. Each says ``ready`` first and waits for a line.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.builders.fakes import DAY, Copy, ticks
from trading_platform.store.fs.layout import DataDir, Leaf

ROUND_IDS = 50
RETRIES = 9
LEAF = Leaf("ticks", "binance", "BTC-USDT", DAY)


def trades_of(worker: int, turn: int) -> list[Copy]:
    """Return what a worker stages in a round: ids that overlap with the other workers' and with the last round's."""
    first = turn * ROUND_IDS - 10 + worker * 5
    return [Copy(i, ts_recv=Copy(i).ts_recv + worker, price=1.0 + i) for i in range(max(first, 0), first + ROUND_IDS)]


def publish(data: DataDir, name: str, rounds: int) -> None:
    """Stage and publish `rounds` times."""
    from trading_platform.domain.position import Position
    from trading_platform.domain.verdict import pass_all
    from trading_platform.store.lake import publish as lake, staging
    from trading_platform.store.ledger import Ledger

    ledger = Ledger.open(data)
    wait()
    for turn in range(rounds):
        table = ticks(trades_of(int(name), turn))
        ends = Position(0, turn), Position(0, turn + 1)
        staging.write_part(data, LEAF.venue, LEAF.symbol, DAY, f"lane-{name}", *ends, table)
        lake.publish(data, LEAF, ledger=ledger, gate=pass_all)
    ledger.close()
    print("done", flush=True)


def count(data: DataDir, engine: str) -> None:
    """Count until stdin closes."""
    pattern = f"{data.lake}/ticks/**/*.parquet"
    look = {"duckdb": by_duckdb, "polars": by_polars, "pyarrow": by_pyarrow}[engine](pattern, data)
    over = threading.Event()
    wait()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    seen: list[tuple[int, int]] = []
    while not over.is_set() or not seen:
        seen.append(look())
    print(json.dumps({"seen": seen, "asked_again": getattr(look, "asked_again", 0)}), flush=True)


def by_duckdb(pattern: str, data: DataDir):
    import duckdb

    db = duckdb.connect()
    sql = f"SELECT count(*), count(DISTINCT (epoch, trade_id)) FROM read_parquet('{pattern}')"
    return again(lambda: db.execute(sql).fetchone(), duckdb.Error)


def by_polars(pattern: str, data: DataDir):
    import polars as pl

    def look():
        frame = pl.scan_parquet(pattern).select(rows=pl.len(), ids=pl.struct("epoch", "trade_id").n_unique()).collect()
        return frame.row(0)

    return again(look, pl.exceptions.PolarsError)


def again(look, error: type[Exception]):
    """Ask again if the file was replaced between two openings of it.

    DuckDB and polars open a file for its footer and, 0.2 ms later, for its rows. With a footer of one file and rows
    of the next they fail, each time in the words of whatever part of them stumbles first; they never count wrongly,
    which is what is tested here. An error that stays is raised.
    """

    def persistent():
        for _ in range(RETRIES):
            try:
                return look()
            except error:
                persistent.asked_again += 1
        return look()

    persistent.asked_again = 0
    return persistent


def by_pyarrow(pattern: str, data: DataDir):
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    def look():
        ids = ds.dataset(data.lake / "ticks", partitioning="hive").to_table(columns=["trade_id"])["trade_id"]
        return len(ids), pc.count_distinct(ids).as_py()

    return look


def wait() -> None:
    """Say that everything is imported, and wait to be let go."""
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    what, root, name, *rest = sys.argv[1:]
    place = DataDir(Path(root))
    if what == "publish":
        publish(place, name, int(rest[0]))
    else:
        count(place, name)
