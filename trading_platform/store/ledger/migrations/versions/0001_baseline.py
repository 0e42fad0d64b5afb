"""The ledger as first released."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def symbol_key() -> list[sa.Column[Any]]:
    """Return the columns that name one symbol's id sequence."""
    return [
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.SmallInteger, primary_key=True),
    ]


def upgrade() -> None:
    """Create every table of the baseline."""
    _create_projection()
    _create_work()


def _create_projection() -> None:
    op.create_table(
        "sequences",
        *symbol_key(),
        sa.Column("from_id", sa.BigInteger, nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("head_ts", sa.BigInteger, nullable=False),
        sa.Column("tail", sa.String(8), nullable=False),
        sa.Column("tail_ts", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ranges",
        *symbol_key(),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("first_id", sa.BigInteger, primary_key=True),
        sa.Column("last_id", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "evidence",
        *symbol_key(),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("first_id", sa.BigInteger, primary_key=True),
        sa.Column("last_id", sa.BigInteger, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seen_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "coverage",
        *symbol_key(),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("first_ts", sa.BigInteger, nullable=False),
        sa.Column("last_ts", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "quarantine",
        sa.Column("lane", sa.String(64), primary_key=True),
        sa.Column("segment", sa.Integer, primary_key=True),
        sa.Column("record_offset", sa.BigInteger, primary_key=True),
        sa.Column("item", sa.Integer, primary_key=True),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("symbol", sa.String(64)),
        sa.Column("trade_id", sa.BigInteger),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("ts_recv", sa.BigInteger, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "instruments",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "bans",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "conflicts",
        *symbol_key(),
        sa.Column("trade_id", sa.BigInteger, primary_key=True),
        sa.Column("kept", sa.String(200), primary_key=True),
        sa.Column("other", sa.String(200), primary_key=True),
    )


def _create_work() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "lanes",
        sa.Column("lane", sa.String(64), primary_key=True),
        sa.Column("decoded_segment", sa.Integer, nullable=False),
        sa.Column("decoded_offset", sa.BigInteger, nullable=False),
        sa.Column("staged_segment", sa.Integer, nullable=False),
        sa.Column("staged_offset", sa.BigInteger, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
    )
    op.create_table(
        "gaps",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("epoch", sa.SmallInteger, nullable=False),
        sa.Column("first_missing", sa.BigInteger, nullable=False),
        sa.Column("last_missing", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_ns", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String(64)),
        sa.Column("lease_until_ns", sa.BigInteger),
        sa.Column("prev_ts", sa.BigInteger),
        sa.Column("next_ts", sa.BigInteger),
    )
    op.create_index("gaps_by_state", "gaps", ["state", "venue", "symbol", "epoch"])
    op.create_table(
        "leaves",
        sa.Column("path", sa.String(300), primary_key=True),
        sa.Column("dataset", sa.String(32), nullable=False),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("symbol", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("timeframe", sa.String(8)),
        sa.Column("model", sa.String(64)),
        sa.Column("published", sa.Boolean, nullable=False),
        sa.Column("record", sa.Text),
        sa.Column("intent", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("sealed", sa.String(64)),
    )
    op.create_index("leaves_by_dataset", "leaves", ["dataset", "venue", "symbol", "day"])
    op.create_table(
        "audit_log",
        sa.Column("id", ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop every table of the baseline."""
    for name in (
        "audit_log",
        "leaves",
        "gaps",
        "lanes",
        "facts",
        "conflicts",
        "bans",
        "instruments",
        "quarantine",
        "coverage",
        "evidence",
        "ranges",
        "sequences",
    ):
        op.drop_table(name)
