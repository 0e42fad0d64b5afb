"""What follows for each day from the account of ids, kept ready; the first reader of a long account fills it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_days",
        sa.Column("venue", sa.String(32), primary_key=True),
        sa.Column("symbol", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.SmallInteger, primary_key=True),
        sa.Column("newest", sa.String(10), nullable=False),
        sa.Column("void", sa.BigInteger, nullable=False),
        sa.Column("open", sa.BigInteger, nullable=False),
        sa.Column("open_gaps", sa.BigInteger, nullable=False),
        sa.Column("unrecoverable", sa.BigInteger, nullable=False),
        sa.Column("days", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("kept_days")
