"""Where a venue's ids started again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of turns; until now there was one numbering only."""
    op.create_table(
        "turns",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.SmallInteger, primary_key=True),
        sa.Column("ended_id", sa.BigInteger, nullable=False),
        sa.Column("ended_ns", sa.BigInteger, nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("begins_ns", sa.BigInteger, nullable=False),
        sa.Column("known_ns", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("turns")
