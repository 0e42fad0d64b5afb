"""Symbols whose ids prove nothing: when their trades were heard, and the days of which the venue's listing is held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "heard",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("begun_ns", sa.BigInteger, primary_key=True),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "listed_days",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("trades", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("seen_ns", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("listed_days")
    op.drop_table("heard")
