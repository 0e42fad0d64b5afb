"""The ledger's tables, once, for SQLite and PostgreSQL alike.

How they change over time is store/migrations; what is done with them is the sibling modules.
Everything above the line `work` is a projection of the log and rebuilt by `replay --ledger`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()
# SQLite numbers rows by itself only for a column of exactly this type.
RowId = BigInteger().with_variant(Integer, "sqlite")


def _symbol_key() -> list[Column[object]]:
    return [
        Column("venue", String(32), primary_key=True),
        Column("symbol", String(64), primary_key=True),
        Column("epoch", SmallInteger, primary_key=True),
    ]


sequences = Table(
    "sequences",
    metadata,
    *_symbol_key(),
    Column("from_id", BigInteger, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("head_ts", BigInteger, nullable=False),
    Column("tail", String(8), nullable=False),  # live, open, closed
    Column("tail_ts", BigInteger, nullable=False),  # when that was learned, receive time
)

epoch_resets = Table(
    "turns",
    metadata,
    *_symbol_key(),  # of the numbering that begins
    Column("ended_id", BigInteger, nullable=False),
    Column("ended_ns", BigInteger, nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("begins_ns", BigInteger, nullable=False),
    Column("known_ns", BigInteger, nullable=False),
)

ranges = Table(
    "ranges",
    metadata,
    *_symbol_key(),
    Column("kind", String(16), primary_key=True),  # stored, void, unrecoverable
    Column("first_id", BigInteger, primary_key=True),
    Column("last_id", BigInteger, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    *_symbol_key(),
    Column(
        "kind", String(16), primary_key=True
    ),  # void (withdrawn, left out), unrecoverable, skip, unserved (and … last), promise, tail
    Column("first_id", BigInteger, primary_key=True),
    Column("last_id", BigInteger, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),  # receive time of what shows it
)

coverage = Table(
    "coverage",
    metadata,
    *_symbol_key(),
    Column("day", String(10), primary_key=True),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("first_ts", BigInteger, nullable=False),
    Column("last_ts", BigInteger, nullable=False),
    Index("coverage_by_day", "day"),
)

kept_days = Table(
    "kept_days",
    metadata,
    *_symbol_key(),  # of a sequence that nothing has happened to since, see kept_days.py
    Column("newest", String(10), nullable=False),  # day that holds a trade, or empty
    Column("void", BigInteger, nullable=False),
    Column("open", BigInteger, nullable=False),
    Column("open_gaps", BigInteger, nullable=False),
    Column("unrecoverable", BigInteger, nullable=False),
    Column("days", LargeBinary, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("lane", String(64), primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("record_offset", BigInteger, primary_key=True),
    Column("item", Integer, primary_key=True),  # frame within the record
    Column("venue", String(32), nullable=False),
    Column("symbol", String(64)),
    Column("trade_id", BigInteger),
    Column("source", String(8), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("ts_recv", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Index("quarantine_by_kind", "venue", "symbol", "kind"),
)

instruments = Table(
    "instruments",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("payload", Text, nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("until_ns", BigInteger, nullable=False),
)

heard = Table(
    "heard",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("begun_ns", BigInteger, primary_key=True),  # when a connection delivered its first trade of the symbol
    Column("until_ns", BigInteger, nullable=False),  # and its latest
)

listed_days = Table(
    "listed_days",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("symbol", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("trades", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
)

conflicts = Table(
    "conflicts",
    metadata,
    *_symbol_key(),
    Column("trade_id", BigInteger, primary_key=True),
    Column("kept", String(200), primary_key=True),
    Column("other", String(200), primary_key=True),
)

# ---- work: what is being done, not what the log says ----

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane", String(64), primary_key=True),
    Column("decoded_segment", Integer, nullable=False),
    Column("decoded_offset", BigInteger, nullable=False),
    Column("checksum", BigInteger, nullable=False),  # of the other columns
)

sinks = Table(
    "sinks",
    metadata,
    Column("lane", String(64), primary_key=True),  # empty: the sink exists
    Column("sink", String(64), primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("byte_offset", BigInteger, nullable=False),
    Column("context", Text, nullable=False),  # the decoder's at that position
)

gaps = Table(
    "gaps",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("venue", String(32), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("epoch", SmallInteger, nullable=False),
    Column("first_missing", BigInteger, nullable=False),
    Column("last_missing", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # open, leased, filled, unrecoverable, void
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("lease", String(64)),
    Column("lease_until_ns", BigInteger),
    Column("prev_ts", BigInteger),
    Column("next_ts", BigInteger),
    Index("gaps_by_state", "state", "venue", "symbol", "epoch"),
    Index("gaps_by_due", "state", "due_ns", "id"),
)

leaves = Table(
    "leaves",
    metadata,
    Column("path", String(300), primary_key=True),
    Column("dataset", String(32), nullable=False),
    Column("venue", String(32), nullable=False),
    Column("symbol", String(64), nullable=False),
    Column("day", String(10), nullable=False),
    Column("timeframe", String(8)),
    Column("model", String(64)),
    Column("published", Boolean, nullable=False),  # false: only an intent so far
    Column("record", Text),
    Column("intent", Text),
    Column("verdict", Text),
    Column("sealed", String(64)),  # content hash at the time of sealing
    Column("seal_holds", Boolean, nullable=False),  # that hash is the record's
    Column("first_id", BigInteger),  # the record's, of what is published
    Column("last_id", BigInteger),
    Index("leaves_by_dataset", "dataset", "venue", "symbol", "day"),
    # PostgreSQL's could be partial too; saying so imports its dialect (50 ms) into every process.
    Index("leaves_sealed", "dataset", "seal_holds", "venue", "symbol", "day", sqlite_where=text("seal_holds = 1")),
    Index(
        "leaves_by_id", "dataset", "venue", "symbol", "last_id", "first_id", sqlite_where=text("first_id IS NOT NULL")
    ),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
