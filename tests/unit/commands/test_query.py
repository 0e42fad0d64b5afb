"""query: the views, the formats, and everything that is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.builders.fakes import DAY, NOON, Copy, ticks
from trading_platform import cli
from trading_platform.domain.errors import QueryError
from trading_platform.domain.position import Position
from trading_platform.domain.verdict import pass_all
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, publish as lake, schema as shapes, staging
from trading_platform.store.ledger import Ledger
from trading_platform.store.sql import query as sql

SECOND = 10**9
TICKS_FIRST = ("venue", "symbol")
KEYS = (*TICKS_FIRST, "timeframe")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Make a small lake, in a folder whose name is a pattern and a quote."""
    data = DataDir(tmp_path_factory.mktemp("lake") / "it's a [1]*").create()
    ledger = Ledger.open(data)
    trades = [Copy(i, ts_event=NOON + i * SECOND, ts_recv=NOON + i * SECOND + 123_456_789) for i in range(10)]
    staging.write_part(data, "binance", "BTC-USDT", DAY, "live", Position(0, 0), Position(0, 1), ticks(trades))
    lake.publish(data, Leaf("ticks", "binance", "BTC-USDT", DAY), ledger=ledger, gate=pass_all)
    for day, output in (("2024-08-07", "rsi_14"), (DAY, "ema_9")):
        rows = [{"ts_open": NOON, "ts_close": NOON + 60 * SECOND, "complete": True, output: 1.5}]
        shape = shapes.indicators([output])
        table = pa.table({f.name: pa.array([r[f.name] for r in rows], f.type) for f in shape}, schema=shape)
        leaf = Leaf("indicators", "binance", "BTC-USDT", day, "1m")
        lake.write_leaf(data, leaf, table, ledger=ledger, gate=pass_all, input_hash="x")
    ledger.close()
    return data


@pytest.fixture
def query(data, capsys, monkeypatch):
    """Run the command; give its exit code, what it printed, and what it complained."""

    def run(text: str, *options: str, root: Path = data.root) -> tuple[int, str, str]:
        code = cli.main(["query", text, "--data-dir", str(root), *options])
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return run


def rows(query, text: str, *options: str):
    code, out, err = query(text, "--json", *options)
    assert (code, err) == (0, "")
    return json.loads(out)


def test_ticks_have_their_columns_and_their_partition(query):
    """The view gives the file's columns, exact times in ns, and what the path says."""
    assert rows(query, "SELECT * FROM ticks ORDER BY trade_id LIMIT 1") == [
        {
            "trade_id": 0,
            "trade_uid": None,
            "epoch": 0,
            "ts_event": "2024-08-08T12:00:00Z",
            "ts_recv": "2024-08-08T12:00:00.123456Z",
            "price": 61000.5,
            "quantity": 0.001,
            "side": "buy",
            "source": "ws",
            "ts_event_ns": NOON,
            "ts_recv_ns": NOON + 123_456_789,
            "venue": "binance",
            "symbol": "BTC-USDT",
            "date": DAY,
        }
    ]


VIEWS = {
    "ticks": [*TICKS_FIRST, *shapes.TICKS.names, "ts_event_ns", "ts_recv_ns", "date"],
    "bars": [*KEYS, *shapes.BARS.names, "date"],
    "indicators": [*KEYS, *shapes.indicators(()).names],
    "regimes": [*KEYS, *shapes.REGIMES.names, "model", "date"],
    "instruments": ["venue", *shapes.INSTRUMENTS.names, "date"],
    "coverage": ["venue", "symbol", "ts_from", "ts_to", "state"],
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_begins_with_what_its_rows_are_of(query, tmp_path, view):
    """Venue, symbol and timeframe come first, whether anything is stored or not."""
    for root in (None, tmp_path):
        code, out, _ = query(f"SELECT * FROM {view}", "--format", "csv", **({} if root is None else {"root": root}))
        assert code == 0
        names = out.splitlines()[0].split(",")
        assert names[: len(VIEWS[view])] == VIEWS[view]
        assert len(names) == len(set(names))


def test_what_does_not_say_when_it_came_is_refused_as_of_a_time(query):
    """Instruments are not shown as of a time, alone or beside bars; a query of one's own may bear the name."""
    for text in ("SELECT * FROM instruments", "SELECT * FROM bars, instruments"):
        code, out, err = query(text, "--as-of", "2024-08-08T12:00:01Z")
        assert (code, out) == (2, "") and "instruments as of a time" in err
    text = "WITH instruments AS (SELECT 1 AS n) SELECT n FROM instruments"
    assert rows(query, text, "--as-of", "2024-08-08T12:00:01Z") == [{"n": 1}]


def test_indicators_without_a_file_have_the_columns_of_the_settings(query, tmp_path):
    """A dashboard's query is answered before the first day is computed, too."""
    code, out, _ = query("SELECT rsi_14, bbands_20_2_upper FROM indicators", "--format", "csv", root=tmp_path)
    assert (code, out) == (0, "rsi_14,bbands_20_2_upper\n")


def test_what_has_no_value_is_null_in_every_format(tmp_path, query):
    """A file of older code that holds NaN gives null, so a threshold finds only numbers above it."""
    data, nan = DataDir(tmp_path / "old"), float("nan")
    times = [NOON + at * 60 * SECOND for at in range(3)]
    rsi = shapes.indicators(["rsi_14", "ema_9"])
    write(
        data,
        Leaf("indicators", "binance", "BTC-USDT", DAY, "1m"),
        rsi,
        times,
        rsi_14=[nan, 71.0, None],
        ema_9=[nan] * 3,
    )
    put = {
        "state": [None, 1, None],
        "p_0": [nan, 0.25, None],
        "p_1": [nan, 0.75, None],
        "change_probability": [nan] * 3,
    }
    write(data, Leaf("regimes", "binance", "BTC-USDT", DAY, "1m", "gaussian_hmm"), shapes.REGIMES, times, **put)
    write(
        data, Leaf("bars", "binance", "BTC-USDT", DAY, "1m"), shapes.BARS, times, close=[nan, 2.0, None], vwap=[nan] * 3
    )
    for text, expected in {
        "SELECT count(*) AS n FROM indicators WHERE rsi_14 > 70": "1",
        "SELECT max(rsi_14) AS n FROM indicators": "71.0",
        "SELECT rsi_14 AS n FROM indicators ORDER BY rsi_14 DESC NULLS LAST LIMIT 1": "71.0",
        "SELECT count(rsi_14) + count(ema_9) AS n FROM indicators": "1",
        "SELECT count(p_0) + count(p_1) + count(change_probability) AS n FROM regimes": "2",
        "SELECT max(p_1) AS n FROM regimes": "0.75",
        "SELECT max(close) AS n FROM bars WHERE vwap IS NULL": "2.0",
    }.items():
        assert query(text, "--format", "csv", root=data.root)[1] == f"n\n{expected}\n", text
    text = "SELECT rsi_14, ema_9 FROM indicators ORDER BY ts_open"
    assert query(text, "--format", "csv", root=data.root)[1] == "rsi_14,ema_9\n,\n71.0,\n,\n"
    assert "nan" not in query(text, root=data.root)[1].lower()
    assert json.loads(query(text, "--json", root=data.root)[1])[1] == {"rsi_14": 71.0, "ema_9": None}


def write(data: DataDir, leaf: Leaf, shape: pa.Schema, times: list[int], **columns: list[float | None]) -> None:
    """Write a file as older code did."""
    values = {
        "ts_open": times,
        "ts_close": [at + 60 * SECOND for at in times],
        "complete": [True] * len(times),
        **columns,
    }
    nothing = [None] * len(times)
    arrays = [pa.array(values.get(field.name, nothing), field.type, from_pandas=False) for field in shape]
    path = data.lake / leaf.path
    path.parent.mkdir(parents=True)
    parquet.write(path, pa.Table.from_arrays(arrays, schema=shape))


def test_times_work_with_the_functions_people_use(query):
    """Truncation, buckets, intervals and comparisons with text take the views' times, in UTC."""
    text = """SELECT date_trunc('minute', ts_event) AS minute, count(*) AS n, max(ts_event) - min(ts_event) AS span,
              extract(hour FROM min(ts_event)) AS hour FROM ticks
              WHERE ts_event >= '2024-08-08 12:00:05' AND ts_event < TIMESTAMPTZ '2024-08-08 12:00:08+00'
              AND date = '2024-08-08' GROUP BY ALL"""
    assert rows(query, text)[0] | {"span": None} == {
        "minute": "2024-08-08T12:00:00Z",
        "n": 3,
        "span": None,
        "hour": 12,
    }


def test_as_of_hides_what_came_later(query):
    """With --as-of a trade received after that instant is not there."""
    at = ["--as-of", "2024-08-08T12:00:03.123456788"]
    assert rows(query, "SELECT count(*) AS n, sum(trade_id) AS ids FROM ticks", *at) == [{"n": 3, "ids": 3}]
    assert query("SELECT 1", "--as-of", "soon")[0] == 2


def test_indicators_of_different_settings_are_one_view(query):
    """An output that a day lacks is null there."""
    assert rows(query, "SELECT date, rsi_14, ema_9 FROM indicators ORDER BY date") == [
        {"date": "2024-08-07", "rsi_14": 1.5, "ema_9": None},
        {"date": DAY, "rsi_14": None, "ema_9": 1.5},
    ]


@pytest.mark.parametrize("view", ["ticks", "bars", "indicators", "regimes", "coverage"])
def test_views_are_typed_where_nothing_is_stored(query, tmp_path, view):
    """In an empty or absent data directory every view exists, typed and empty, and nothing is made."""
    code, out, _ = query(f"SELECT * FROM {view}", "--format", "csv", root=tmp_path / "none")
    assert code == 0
    assert "," in out.splitlines()[0]
    assert len(out.splitlines()) == 1
    code, out, _ = query(f"DESCRIBE {view}", "--json", root=tmp_path / "none")
    types = {row["column_name"]: row["column_type"] for row in json.loads(out)}
    assert types["venue"] == types["symbol"] == "VARCHAR"
    times = {name for name in types if name.startswith("ts_") and not name.endswith("_ns")}
    assert {types[name] for name in times} == {"TIMESTAMP WITH TIME ZONE"}
    assert not (tmp_path / "none").exists()


def test_an_empty_view_has_the_types_of_a_full_one(query, tmp_path):
    """Ticks have the same columns and types whether anything is stored or not."""
    assert query("DESCRIBE ticks", "--json")[1] == query("DESCRIBE ticks", "--json", root=tmp_path)[1]


def test_the_formats(query):
    """A table for the eye, CSV with nulls empty, JSON with null for what JSON cannot say, Parquet as bytes."""
    text = "SELECT trade_id AS id, side, NULL AS nothing, 'a,\"b' AS odd, 'NaN'::DOUBLE AS nan FROM ticks LIMIT 2"
    assert query(text, "--format", "csv")[1] == 'id,side,nothing,odd,nan\n0,buy,,"a,""b",nan\n1,buy,,"a,""b",nan\n'
    assert query(text)[1].splitlines()[2].split() == ["0", "buy", 'a,"b', "nan"]
    assert rows(query, text)[1]["nan"] is None
    assert rows(query, "SELECT 1 AS a, [1, 2] AS l, 1.50::DECIMAL(5, 2) AS d") == [{"a": 1, "l": [1, 2], "d": 1.5}]
    assert list(rows(query, "SELECT 1 AS a, 2 AS a")[0].values()) == [1, 2]
    assert rows(query, "SELECT 1 AS a WHERE false") == []


@pytest.mark.process
def test_parquet_goes_to_stdout_as_bytes(data, tmp_path):
    """--format parquet gives a file that other programs read, with the columns' types."""
    out = tmp_path / "out.parquet"
    words = [*cli.executable(), "query", "SELECT * FROM ticks", "--format", "parquet", "--data-dir", str(data.root)]
    with out.open("wb") as file:
        subprocess.run(words, stdout=file, check=True, timeout=60)
    table = pq.read_table(out)
    assert table.num_rows == 10
    assert table.schema.field("ts_event").type == pa.timestamp("us", "UTC")


def test_a_terminal_gets_no_bytes(query, monkeypatch):
    """Parquet is not written to a terminal, and --json does not go with another format."""
    assert query("SELECT 1", "--json", "--format", "csv")[0] == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, _, err = query("SELECT 1", "--format", "parquet")
    assert (code, "rows.parquet" in err) == (2, True)


REFUSED = {
    "syntax": "selec 1",
    "nothing": "",
    "a comment": "-- nothing",
    "two": "SELECT 1; SELECT 2",
    "unknown table": "SELECT * FROM nosuch",
    "unknown column": "SELECT nosuch FROM ticks",
    "a parameter": "SELECT ?",
    "nul": "SELECT 1\0",
    "copy": "COPY ticks TO '{lake}/x.parquet'",
    "copy out": "COPY ticks TO '{out}/x.parquet'",
    "copy in a CTE": "WITH a AS (COPY ticks TO '{lake}/x.parquet') SELECT 1",
    "copy deeper": "SELECT (WITH a AS (COPY (SELECT 1) TO '{lake}/x.parquet' (RETURN_STATS)) SELECT count(*) FROM a)",
    "copy in text": "SELECT * FROM query('WITH a AS (COPY ticks TO ''{lake}/x.parquet'') SELECT 1')",
    "explain analyze": "EXPLAIN ANALYZE COPY ticks TO '{lake}/x.parquet'",
    "insert": "INSERT INTO coverage VALUES (1)",
    "insert in a CTE": "WITH a AS (INSERT INTO coverage DEFAULT VALUES RETURNING *) SELECT * FROM a",
    "delete": "DELETE FROM coverage",
    "update": "UPDATE coverage SET state = 'proved'",
    "drop": "DROP VIEW ticks",
    "create": "CREATE TABLE t AS SELECT 1",
    "create secret": "CREATE SECRET s (TYPE s3)",
    "attach": "ATTACH '{out}/x.db'",
    "export": "EXPORT DATABASE '{out}'",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "set": "SET threads = 1",
    "reset": "RESET ALL",
    "pragma": "PRAGMA enable_profiling",
    "call": "CALL pragma_version()",
    "use": "USE memory",
    "begin": "BEGIN",
    "prepare": "PREPARE p AS SELECT 1",
    "vacuum": "VACUUM",
    "csv": "SELECT * FROM read_csv('/etc/passwd')",
    "text": "SELECT * FROM read_text('/etc/passwd')",
    "blob": "SELECT * FROM read_blob('/proc/self/environ')",
    "a file as table": "SELECT * FROM '{out}/secret.parquet'",
    "parquet outside": "SELECT * FROM read_parquet('{out}/secret.parquet')",
    "parquet above": "SELECT * FROM read_parquet('{lake}/../secret.parquet')",
    "parquet metadata": "SELECT * FROM parquet_metadata('{out}/secret.parquet')",
    "glob outside": "SELECT * FROM glob('/etc/*')",
    "glob above": "SELECT * FROM glob('{lake}/../*')",
    "http": "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
    "s3": "SELECT * FROM 's3://bucket/x.parquet'",
    "memory": "SELECT * FROM arrow_scan(1, 2, 3)",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "a python variable": "SELECT * FROM data",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_writes_or_looks_outside_is_refused(query, data, tmp_path, text):
    """One clear line, exit 2, nothing printed, nothing written."""
    secret = tmp_path / "secret.parquet"
    pq.write_table(pa.table({"secret": ["canary"]}), secret)
    quoted = str(data.lake).replace("'", "''")
    (data.root / "secret.parquet").write_bytes(secret.read_bytes())
    before = snapshot(data.root) | snapshot(tmp_path)
    code, out, err = query(text.format(lake=quoted, out=tmp_path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("trading-platform: ")
    assert "canary" not in err
    assert snapshot(data.root) | snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("SELECT * FROM bar", 'Did you mean "bars"?'),
        ("SELECT clos FROM bars", 'Candidate bindings: "close"'),
        ("SELECT bars.clos FROM bars", 'Candidate bindings: "close"'),
        ("SELECT suum(close) FROM bars", 'Did you mean "sum"?'),
    ],
)
def test_what_duckdb_takes_for_meant_is_shown(query, text, hint):
    """DuckDB's guess stands on a second line; the one line that is shown has it too."""
    code, out, err = query(text)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert hint in err


def snapshot(root: Path) -> dict[Path, int]:
    return {path: os.stat(path).st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_the_control_duckdb_alone_would_write():
    """Without the check a CTE that copies calls itself a SELECT: the reason for walking the statement."""
    db = duckdb.connect()
    (statement,) = db.extract_statements("WITH a AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1")
    assert statement.type == duckdb.StatementType.SELECT
    with pytest.raises(QueryError, match="COPY"):
        sql.check_statement(db, "WITH a AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1")
    db.close()


@pytest.mark.parametrize(
    "text",
    [
        "FROM ticks LIMIT 1",
        "VALUES (1)",
        "SHOW TABLES",
        "SUMMARIZE ticks",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
        "SELECT * FROM (PIVOT ticks ON side IN ('buy', 'sell') USING count(*) GROUP BY symbol)",
        "SELECT * FROM range(3) UNION ALL SELECT unnest([1, 2])",
        "SELECT 'COPY INSERT DROP' AS words",
        "SELECT file FROM glob('{lake}/ticks/**') LIMIT 1",
        "SELECT count(*) FROM read_parquet('{lake}/ticks/**/*.parquet')",
        "SELECT 1;",
    ],
)
def test_what_only_reads_is_answered(query, data, text):
    """Every form of SELECT works, and so does reading the lake's own files."""
    lake_text = "".join(f"[{c}]" if c in "[*" else c for c in str(data.lake)).replace("'", "''")
    code, out, err = query(text.format(lake=lake_text), "--format", "csv")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 1


def build_marts(root: Path, number: int) -> None:
    """Put a warehouse in the published one's place."""
    half = root / "half.duckdb"
    with duckdb.connect(str(half)) as db:
        db.execute(f'CREATE SCHEMA marts; CREATE TABLE marts."o\'d""d" AS SELECT {number} AS n')
        db.execute("CREATE TABLE marts.bars AS SELECT 'the mart' AS which")
    half.replace(root / "warehouse.duckdb")


def test_marts_are_a_schema_beside_the_views(query, tmp_path):
    """A mart is found by its name, also beside a view of that name; the next build's is seen once it is in place."""
    DataDir(tmp_path).create()
    code, _, said = query("SELECT * FROM marts.bars", root=tmp_path)
    assert code == 2 and "no warehouse is built yet" in said
    for number in (1, 2):
        build_marts(tmp_path, number)
        code, out, _ = query('SELECT n FROM marts."o\'d""d"', "--json", root=tmp_path)
        assert code == 0 and json.loads(out) == [{"n": number}]
    both = "SELECT which, (SELECT count(*) FROM bars) AS n FROM MARTS.bars"
    code, out, _ = query(both, "--json", root=tmp_path)
    assert code == 0 and json.loads(out) == [{"which": "the mart", "n": 0}]
    code, _, said = query("SELECT * FROM marts.bars", "--as-of", "2024-08-08", root=tmp_path)
    assert code == 2 and "not marts" in said
    code, _, said = query("SELECT * FROM marts.never", root=tmp_path)
    assert code == 2 and "never" in said
