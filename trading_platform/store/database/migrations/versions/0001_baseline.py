"""Schema `market` (hypertables of what the lake holds) and `platform` (what is known about it), with their rights."""

from __future__ import annotations

from alembic import op

from trading_platform.store.database.proofs import Holds, Proof

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PROOFS: tuple[Proof, ...] = (
    Holds(
        "the five tables of the lake are hypertables, the instruments a table",
        "SELECT (SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = 'market'"
        " AND hypertable_name IN ('ticks', 'bars', 'indicators', 'regimes')) = 4"
        " AND to_regclass('market.instruments') IS NOT NULL",
    ),
    Holds(
        "no column holds a time without its zone",
        "SELECT count(*) = 0 FROM information_schema.columns WHERE table_schema IN ('market', 'platform')"
        " AND data_type IN ('timestamp without time zone', 'time without time zone')",
    ),
    Holds(
        "no default is computed in local time",
        "SELECT count(*) = 0 FROM information_schema.columns WHERE table_schema IN ('market', 'platform')"
        " AND column_default ~* '(local|current_date|current_time\\M|at time zone|::date|to_char|date_trunc)'",
    ),
    Holds(
        "nobody but the roles may use the schemas",
        "SELECT bool_and(NOT has_schema_privilege('public', name, 'USAGE, CREATE'))"
        " FROM unnest(ARRAY['market', 'platform']) AS name",
    ),
)

_KEY = "instrument_id integer NOT NULL REFERENCES market.instruments (id)"
_INTERVAL = "ts_open timestamptz NOT NULL, ts_close timestamptz NOT NULL, CHECK (ts_open < ts_close)"

_TABLES = f"""
CREATE TABLE market.instruments (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text NOT NULL CHECK (length(venue) BETWEEN 1 AND 32),
    symbol text NOT NULL CHECK (length(symbol) BETWEEN 1 AND 64),
    payload jsonb,
    UNIQUE (venue, symbol)
);
CREATE TABLE market.ticks (
    instrument_id integer NOT NULL,
    epoch smallint NOT NULL,
    trade_id bigint,
    trade_uid text,
    ts_event timestamptz NOT NULL,
    ts_event_ns bigint NOT NULL,
    ts_recv timestamptz NOT NULL,
    ts_recv_ns bigint NOT NULL,
    price double precision NOT NULL CHECK (price > 0 AND price < 1e18),
    quantity double precision NOT NULL CHECK (quantity > 0 AND quantity < 1e18),
    side text CHECK (side IN ('buy', 'sell')),
    source text NOT NULL CHECK (source IN ('ws', 'rest', 'archive')),
    CHECK ((trade_id IS NULL) <> (trade_uid IS NULL))
);
CREATE TABLE market.bars (
    {_KEY},
    timeframe text NOT NULL,
    {_INTERVAL},
    open double precision,
    high double precision,
    low double precision,
    close double precision,
    volume double precision NOT NULL CHECK (volume >= 0 AND volume < 1e18),
    quote_volume double precision NOT NULL,
    taker_buy_volume double precision,
    taker_buy_quote_volume double precision,
    trade_count bigint NOT NULL CHECK (trade_count >= 0),
    vwap double precision,
    complete boolean NOT NULL,
    proof text,
    PRIMARY KEY (instrument_id, timeframe, ts_open),
    CHECK (low <= open AND low <= close AND open <= high AND close <= high)
);
CREATE TABLE market.indicators (
    {_KEY},
    timeframe text NOT NULL,
    name text NOT NULL,
    {_INTERVAL},
    complete boolean NOT NULL,
    value double precision NOT NULL CHECK (value <> 'NaN'),
    PRIMARY KEY (instrument_id, timeframe, name, ts_open)
);
CREATE TABLE market.regimes (
    {_KEY},
    model text NOT NULL,
    timeframe text NOT NULL,
    {_INTERVAL},
    state smallint,
    label text,
    p_0 double precision,
    p_1 double precision,
    p_2 double precision,
    p_3 double precision,
    p_4 double precision,
    change_probability double precision,
    model_version text,
    PRIMARY KEY (instrument_id, model, timeframe, ts_open)
);
CREATE TABLE platform.identity (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL
);
CREATE TABLE platform.watermarks (
    sink text NOT NULL,
    lane text NOT NULL,
    segment integer NOT NULL,
    byte_offset bigint NOT NULL,
    context text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, lane)
);
CREATE TABLE platform.coverage (
    {_KEY},
    epoch smallint NOT NULL,
    ids int8multirange NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instrument_id, epoch)
);
CREATE TABLE platform.gaps (
    id bigint PRIMARY KEY,
    venue text NOT NULL,
    symbol text NOT NULL,
    epoch smallint NOT NULL,
    first_missing bigint NOT NULL,
    last_missing bigint NOT NULL CHECK (first_missing <= last_missing),
    state text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    due_ns bigint NOT NULL,
    prev_ts_ns bigint,
    next_ts_ns bigint
);
CREATE INDEX gaps_by_symbol ON platform.gaps (venue, symbol, epoch, first_missing);
CREATE TABLE platform.completeness (
    venue text NOT NULL,
    symbol text NOT NULL,
    day date NOT NULL,
    first_id bigint,
    last_id bigint,
    expected bigint,
    stored bigint NOT NULL,
    void bigint NOT NULL,
    open bigint NOT NULL,
    unrecoverable bigint NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (venue, symbol, day)
);
CREATE TABLE platform.conflicts (
    venue text NOT NULL,
    symbol text NOT NULL,
    epoch smallint NOT NULL,
    trade_id bigint NOT NULL,
    kept text NOT NULL,
    other text NOT NULL,
    PRIMARY KEY (venue, symbol, epoch, trade_id, kept, other)
);
CREATE TABLE platform.revisions (
    path text NOT NULL,
    content_hash text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    dataset text NOT NULL,
    venue text NOT NULL,
    symbol text NOT NULL,
    day date NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (path, at)
);
"""

_CHUNKS = {"ticks": ("ts_event", "1 day"), "bars": ("ts_open", "7 days"), "indicators": ("ts_open", "7 days")}
_CHUNKS |= {"regimes": ("ts_open", "30 days")}
_ORDER = {"ticks": ("instrument_id", "ts_event, epoch, trade_id"), "bars": ("instrument_id, timeframe", "ts_open")}
_ORDER |= {"indicators": ("instrument_id, timeframe, name", "ts_open")}
_ORDER |= {"regimes": ("instrument_id, model, timeframe", "ts_open")}

# One index serves both, (instrument, time) and one row per id: the live load pays for every further one.
_INDEXES = """
CREATE UNIQUE INDEX ticks_key ON market.ticks (instrument_id, ts_event, epoch, trade_id);
CREATE UNIQUE INDEX ticks_uid ON market.ticks (instrument_id, ts_event, trade_uid) WHERE trade_uid IS NOT NULL;
CREATE INDEX bars_by_time ON market.bars (instrument_id, ts_open DESC);
CREATE INDEX indicators_by_time ON market.indicators (instrument_id, ts_open DESC);
CREATE INDEX regimes_by_time ON market.regimes (instrument_id, ts_open DESC);
"""

# Sums of numerics: a float's sum would depend on how the rows were split.
_BY_HOUR = """
SELECT instrument_id, time_bucket(INTERVAL '1 hour', ts_event) AS ts_open, count(*) AS trade_count,
    sum(quantity::numeric) AS volume, sum(price::numeric * quantity::numeric) AS quote_volume,
    min(price) AS low, max(price) AS high, min(ts_event_ns) AS first_ns, max(ts_event_ns) AS last_ns
FROM market.ticks GROUP BY 1, 2
"""

_RIGHTS = """
GRANT USAGE ON SCHEMA market, platform TO tp_reader, tp_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA market, platform TO tp_reader, tp_writer;
GRANT INSERT ON ALL TABLES IN SCHEMA market TO tp_writer;
GRANT UPDATE (payload) ON market.instruments TO tp_writer;
GRANT UPDATE, DELETE ON market.ticks, market.bars, market.indicators, market.regimes TO tp_writer;
GRANT INSERT, UPDATE, DELETE ON platform.watermarks, platform.coverage, platform.gaps, platform.completeness,
    platform.conflicts TO tp_writer;
GRANT INSERT ON platform.revisions, platform.identity TO tp_writer;
GRANT INSERT (actor, action, subject, detail, ledger_key, at) ON platform.audit_log TO tp_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA market, platform GRANT SELECT ON TABLES TO tp_reader, tp_writer;
"""


def upgrade() -> None:
    """Create tables, hypertables, indexes, the hourly aggregate and the rights."""
    connection = op.get_bind()
    for statement in _statements(_TABLES):
        op.execute(statement)
    for table, (column, length) in _CHUNKS.items():
        op.execute(
            f"SELECT create_hypertable('market.{table}', '{column}', chunk_time_interval => INTERVAL '{length}',"
            " create_default_indexes => false)"
        )
    for statement in _statements(_INDEXES):
        op.execute(statement)
    licence = connection.exec_driver_sql("SELECT current_setting('timescaledb.license')").scalar()
    if licence == "timescale":
        _community()
    else:
        op.execute(f"CREATE VIEW market.ticks_by_hour AS {_BY_HOUR}")
    for statement in _statements(_RIGHTS):
        op.execute(statement)


def _community() -> None:
    """Use what the Apache edition has not. When to compress and refresh is told by upkeep: a job needs a login."""
    op.execute(
        "CREATE MATERIALIZED VIEW market.ticks_by_hour"
        f" WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS {_BY_HOUR} WITH NO DATA"
    )
    for table, (segment, order) in _ORDER.items():
        op.execute(
            f"ALTER TABLE market.{table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segment}',"
            f" timescaledb.compress_orderby = '{order}')"
        )


def _statements(text: str) -> list[str]:
    return [statement.strip() for statement in text.split(";") if statement.strip()]
