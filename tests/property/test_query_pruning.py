"""What a query answers does not depend on which files were left out for it; and where it may, it reads few."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from trading_platform import quick_settings, settings
from trading_platform.domain.datasets import DATASETS
from trading_platform.domain.days import DAY_NS, day_of, day_start
from trading_platform.domain.errors import QueryError
from trading_platform.store.fs.layout import DataDir, Leaf
from trading_platform.store.lake import parquet, schema as shapes
from trading_platform.store.sql import pruning, query as sql, views

BEGIN = day_start("2024-02-27")
SYMBOLS = ("1000SATS-USDT", "BTC-USDT", "ETH-USDT", "NULL-USDT", "币安人生-USDT")
VENUES = ("binance", "okx")
COMPARE = ("=", "<>", "<", "<=", ">", ">=")
DAYS = [day_of(BEGIN + at * DAY_NS) for at in range(4)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """Make a lake of many leaves with two rows each, one at the first and one at the last instant of its day."""
    data = DataDir(tmp_path_factory.mktemp("pruned") / "a [lake]*").create()
    number = 0
    for venue in VENUES:
        for symbol in SYMBOLS:
            for day in DAYS:
                number += 2
                begin = day_start(day)
                ticks = {
                    "trade_id": [number, number + 1],
                    "epoch": [0, 0],
                    "ts_event": [begin, begin + DAY_NS - 1],
                    "ts_recv": [begin, begin],
                    "price": [float(number), 1.0],
                    "side": ["buy", None],
                }
                put(data, Leaf("ticks", venue, symbol, day), ticks, shapes.TICKS)
                for timeframe in ("1h", "1d"):
                    bars = {"ts_open": [begin], "ts_close": [begin + DAY_NS], "close": [float(number)]}
                    put(data, Leaf("bars", venue, symbol, day, timeframe), bars, shapes.BARS)
                output = "rsi_14" if day < DAYS[2] else "ema_9"
                rows = {"ts_open": [begin], "ts_close": [begin + DAY_NS], "complete": [True], output: [float(number)]}
                put(data, Leaf("indicators", venue, symbol, day, "1d"), rows, shapes.indicators([output]))
    return data


def put(data: DataDir, leaf: Leaf, columns: dict[str, list[object]], shape: pa.Schema) -> None:
    values = {**leaf._asdict(), "date": leaf.day}
    folders = (f"{key}={values[key]}" for key in DATASETS[leaf.dataset].keys)
    path = data.lake.joinpath(leaf.dataset, *folders, leaf.file_name)
    path.parent.mkdir(parents=True)
    rows = len(next(iter(columns.values())))
    parquet.write(
        path,
        pa.Table.from_arrays([pa.array(columns.get(f.name, [None] * rows), f.type) for f in shape], schema=shape),
    )


def answer(data: DataDir, text: str) -> object:
    """Return columns, types and rows, or the error."""
    try:
        table = pa.Table.from_batches(list(sql.answer(data, text, coverage=shapes.COVERAGE_OF_ALL.empty_table)))
    except QueryError as error:
        return str(error)
    return table.schema, sorted(map(repr, zip(*(column.to_pylist() for column in table.columns), strict=True)))


def both(data: DataDir, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[object, list[int | None]]:
    """Return the answer, which is that without pruning, and how many files each view was left with."""
    seen: list[int | None] = []
    files = pruning.files

    def watched(*args: object) -> object:
        found = files(*args)  # type: ignore[arg-type]
        seen.append(None if found is None else len(found))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(pruning, "files", watched)
        pruned = answer(data, text)
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "files", lambda *_: None)
        whole = answer(data, text)
    assert pruned == whole, text
    return pruned, seen


FEW = {
    "SELECT count(*) FROM ticks WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'": 2,
    "SELECT count(*) FROM ticks WHERE 'BTC-USDT' = ticks.symbol AND venue = 'okx' AND date >= DATE '2024-02-29'": 2,
    "FROM ticks t WHERE symbol IN ('ETH-USDT', 'NULL-USDT') AND t.date BETWEEN '2024-02-28' AND '2024-02-29'": 8,
    "SELECT * FROM ticks WHERE symbol LIKE 'B%' AND year(date) = 2024 AND month(date) = 3": 2,
    "SELECT * FROM ticks WHERE NOT (symbol <> 'ETH-USDT' OR venue = 'okx')": 4,
    "SELECT 1 FROM ticks WHERE symbol = 'BTC-USDT' AND date = '2024-02-28' OR venue = 'okx' AND date = '2024-03-01'": 7,
    "SELECT * FROM ticks WHERE ts_event >= '2024-02-28 12:00' AND ts_event < TIMESTAMPTZ '2024-02-29 00:00+00'": 10,
    "SELECT * FROM ticks WHERE symbol = 'BTC-USDT' AND ts_event = TIMESTAMPTZ '2024-02-28 00:00+00'": 4,
    "SELECT * FROM ticks WHERE venue = 'okx' AND 1709078400000000000 > ts_event_ns AND side = 'buy'": 5,
    "SELECT 1 FROM bars WHERE timeframe = '1d' AND symbol = '币安人生-USDT' AND ts_open = '2024-02-28'": 4,
    "WITH x AS (SELECT * FROM ticks WHERE symbol = 'BTC-USDT'), y AS (SELECT * FROM ticks WHERE date = '2024-02-28')"
    " SELECT count(*) FROM x JOIN y USING (trade_id)": 16,
    "WITH ticks AS (SELECT * FROM ticks WHERE symbol = 'BTC-USDT') SELECT * FROM ticks WHERE symbol = 'ETH-USDT'": 16,
    "SELECT sum(a.price) FROM ticks a JOIN ticks b ON a.trade_id = b.trade_id"
    " WHERE a.symbol = 'BTC-USDT' AND b.symbol = 'BTC-USDT' AND b.date = '2024-02-28'": 8,
    "SELECT count(*) FROM bars b WHERE b.symbol = 'BTC-USDT' AND EXISTS"
    " (SELECT 1 FROM bars WHERE symbol = 'ETH-USDT' AND ts_open = b.ts_open)": 32,
    "SELECT * FROM ticks WHERE symbol = 'NO-SUCH'": 0,
    "SELECT rsi_14, symbol FROM indicators WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'": 2,
    "SELECT * FROM (SELECT * FROM ticks WHERE symbol = 'BTC-USDT') WHERE date = '2024-02-28'": 8,
    "SELECT 1 FROM ticks WHERE symbol = 'BTC-USDT' UNION ALL SELECT 2 FROM ticks WHERE symbol = 'ETH-USDT'": 16,
}


@pytest.mark.parametrize("text", FEW)
def test_few_files_are_read_and_the_answer_is_the_same(
    text: str, data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditions on the keys, and on times, leave out the files that they rule out."""
    assert both(data, text, monkeypatch)[1] == [FEW[text]]


SAME = (
    "SELECT * FROM ticks",
    "SELECT a.trade_id, b.symbol FROM ticks a LEFT JOIN ticks b ON a.trade_id = b.trade_id + 8 WHERE b.symbol IS NULL",
    "SELECT a.trade_id FROM ticks a LEFT JOIN ticks b ON a.trade_id = b.trade_id + 8"
    " WHERE coalesce(b.symbol, 'BTC-USDT') = 'BTC-USDT'",
    "SELECT 1 FROM ticks a LEFT JOIN ticks b ON a.trade_id = b.trade_id WHERE b.symbol = 'X' OR a.side IS NULL",
    "SELECT count(*) FROM ticks a ANTI JOIN ticks b ON a.trade_id = b.trade_id WHERE a.symbol = 'BTC-USDT'",
    "SELECT b.close, t.trade_id FROM bars b ASOF JOIN ticks t ON b.venue = t.venue AND b.symbol = t.symbol"
    " AND b.ts_open >= t.ts_event WHERE t.date = '2024-02-28'",
    "SELECT upper(side) AS symbol FROM ticks WHERE symbol = 'BUY'",
    "SELECT venue AS symbol FROM ticks WHERE symbol = 'okx'",
    "SELECT * FROM ticks AS t(symbol, date) WHERE symbol = 'okx'",
    "SELECT count(*) FROM ticks AS symbol WHERE symbol.venue = 'okx'",
    "SELECT * FROM indicators WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'",
    "SELECT ema_9 FROM indicators WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'",
    "SELECT nosuch FROM indicators WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'",
    "SELECT indicators FROM indicators WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'",
    "SELECT * FROM ticks WHERE symbol = 5",
    "SELECT * FROM ticks WHERE date = '2024-02-28' OR price > 3",
    "SELECT * FROM ticks WHERE date = NULL",
    "SELECT count(*) FROM ticks WHERE symbol = (SELECT min(symbol) FROM ticks WHERE venue = 'okx')",
    "SELECT count(*) FROM ticks WHERE date <= today() AND symbol IS NOT NULL",
    "SELECT count(*) FROM ticks t FULL JOIN bars b ON t.date = b.date WHERE t.symbol = 'BTC-USDT'",
    "SELECT count(*) FROM ticks POSITIONAL JOIN bars WHERE ticks.symbol = 'BTC-USDT'",
    "FROM ticks WHERE symbol = 'BTC-USDT' AND date = '28.02.2024'",
    "SELECT count(*) FROM ticks GROUP BY symbol HAVING symbol = 'BTC-USDT'",
    "SELECT list_filter(['a'], symbol -> symbol = 'a') FROM ticks WHERE list_contains(list_filter(['a'],"
    " symbol -> symbol = 'a'), 'a')",
    "SELECT count(*) FROM bars b, LATERAL (SELECT * FROM ticks WHERE timeframe = '1d' AND symbol = b.symbol) x",
    "DESCRIBE ticks",
    "SUMMARIZE SELECT side FROM ticks WHERE symbol = 'BTC-USDT'",
    "SHOW TABLES",
    "SELECT * FROM tick",
    "SELECT table_name FROM information_schema.tables",
    "SELECT count(*) FROM ticks WHERE CASE WHEN symbol = 'BTC-USDT' THEN true ELSE date > '2024-02-28' END",
    "SELECT count(*) FROM ticks WHERE ts_event > ts_recv AND date_trunc('day', ts_event) = '2024-02-28'",
    "SELECT count(*) FROM ticks WHERE ts_event IS DISTINCT FROM '2024-02-28'::TIMESTAMPTZ",
)


@pytest.mark.parametrize("text", SAME)
def test_where_it_is_unsure_nothing_changes(text: str, data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outer, anti and nearest joins, other names, other tables' columns, errors: the answer is that of all files."""
    both(data, text, monkeypatch)


def test_random_conditions(data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is joined by AND, OR and NOT, in whatever kind of join."""
    rng = random.Random(7)

    def atom(name: str) -> str:
        dot = f"{name}." if name else ""
        return rng.choice(
            [
                f"{dot}symbol {rng.choice(['=', '<>', '<', '>='])} '{rng.choice(SYMBOLS)}'",
                f"{dot}date {rng.choice(COMPARE)} '{rng.choice(DAYS)}'",
                f"{dot}venue IN ('{rng.choice(VENUES)}')",
                f"{dot}ts_event {rng.choice(COMPARE)} '{rng.choice(DAYS)} {rng.choice((0, 12)):02}:00'",
                f"{dot}symbol IS {rng.choice(['', 'NOT '])}NULL",
                f"{dot}price > {rng.randrange(50)}",
                f"{dot}ts_event BETWEEN '{rng.choice(DAYS)}' AND '{rng.choice(DAYS)}'",
                f"{dot}side IS NULL",
            ]
        )

    def condition(names: list[str], depth: int) -> str:
        if depth == 0:
            return atom(rng.choice(names))
        parts = [condition(names, depth - 1) for _ in range(rng.randrange(1, 3))]
        text = f" {rng.choice(['AND', 'OR'])} ".join(f"({part})" for part in parts)
        return f"NOT ({text})" if rng.random() < 0.3 else text

    for _ in range(15):
        both(data, f"SELECT count(*), sum(trade_id) FROM ticks WHERE {condition([''], 2)}", monkeypatch)
    for _ in range(15):
        kind = rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        text = f"FROM ticks a {kind} ticks b ON a.trade_id = b.trade_id + {rng.choice([0, 2, 8])}"
        both(
            data,
            f"SELECT count(*), sum(a.trade_id), sum(b.trade_id) {text} WHERE {condition(['a', 'b'], 2)}",
            monkeypatch,
        )


def test_a_leaf_that_vanishes_is_left_out(data: DataDir, tmp_path: Path) -> None:
    """A folder without its file is no file; keys are as the layout has them."""
    assert [(name, view.keys) for name, view in views.VIEWS.items()] == [(x.name, x.keys) for x in DATASETS.values()]
    there = DataDir(tmp_path).create()
    (there.lake / "ticks/venue=okx/symbol=BTC-USDT/date=2024-02-28").mkdir(parents=True)
    text = "SELECT count(*) AS n FROM ticks WHERE symbol = 'BTC-USDT'"
    assert sql.few(there, text) == sql.ShortAnswer(["n"], [True], [(0,)])


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("SELECT 1", "pyarrow numpy pandas polars sqlalchemy pydantic structlog trading_platform.api.readers"),
        (
            "SELECT count(*) FROM ticks WHERE symbol = 'BTC-USDT' AND date = '2024-02-28'",
            "pandas polars pyarrow numpy sqlalchemy pydantic structlog",
        ),
        ("SELECT * FROM ticks WHERE symbol = 'BTC-USDT'", "pandas polars sqlalchemy pydantic structlog"),
    ],
)
def test_a_query_imports_what_it_needs(text: str, lacks: str, data: DataDir) -> None:
    """Most of the time of a short query is imports: no dataframe, no ledger, no settings model, no logging."""
    program = (
        "import sys; from trading_platform.cli import main; code = main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    environ = {"PYTHONPATH": str(Path(sql.__file__).parents[2])}
    words = [sys.executable, "-c", program, "query", text, "--json", "--data-dir", str(data.root)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=data.root,
        env=environ,
    )
    assert done.stdout.startswith("[{")
    assert not set(lacks.split()) & set(done.stderr.split())


def test_the_views_are_the_shapes_of_the_files() -> None:
    """Arrow and DuckDB each have a name for a type of the table; both mean the same."""
    kinds = {shapes.TIME: "TIMESTAMP_NS", pa.int64(): "BIGINT", pa.int16(): "SMALLINT", pa.int8(): "TINYINT"}
    kinds |= {pa.float64(): "DOUBLE", pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN"}
    of_files = {name: {field.name: kinds[field.type] for field in shape} for name, shape in shapes.SHAPES.items()}
    assert {name: view.shape for name, view in views.VIEWS.items()} == of_files
    assert list(views.COVERAGE.shape) == shapes.COVERAGE_OF_ALL.names


def test_quick_settings_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand in only where no more than the data directory is set; whatever else is asked is read then."""
    assert (quick_settings.PREFIX, quick_settings.FILE_NAME) == (settings.PREFIX, settings.FILE_NAME)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    for overrides, environ in (({}, {}), ({"data_dir": "x"}, {}), ({}, {f"{settings.PREFIX}DATA_DIR": "y"})):
        few = quick_settings.quick(overrides, environ)
        assert few is not None and few.data_dir == settings.load(environ, overrides=overrides).data_dir
    few = quick_settings.quick({"data_dir": "x"})
    assert few is not None and few.database_url.get_secret_value() == "" and few.log.level == "info"
    refused = (
        {f"{settings.PREFIX}LOG__LEVEL": "debug"},
        {f"{settings.PREFIX}DATA_DIR": ""},
        {f"{settings.PREFIX}NO": "1"},
    )
    assert [quick_settings.quick({}, environ) for environ in refused] == [None] * 3
    (tmp_path / settings.FILE_NAME).touch()
    assert quick_settings.quick({}) is None
