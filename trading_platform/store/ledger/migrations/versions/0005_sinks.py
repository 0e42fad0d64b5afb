"""How far each sink holds each lane. Until now there was one, staging: its positions are what they were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OLD = ("staged_segment", "staged_offset", "context")


def upgrade() -> None:
    """Create the table, and move the positions of staging into it."""
    op.create_table(
        "sinks",
        sa.Column("lane", sa.String(64), primary_key=True),
        sa.Column("sink", sa.String(64), primary_key=True),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("byte_offset", sa.BigInteger, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO sinks (lane, sink, segment, byte_offset, context) "
        "SELECT lane, 'staging', staged_segment, staged_offset, context FROM lanes"
    )
    for name in _OLD:
        op.drop_column("lanes", name)


def downgrade() -> None:
    """Move staging's positions back; those of other sinks are lost."""
    for name, kind in zip(_OLD, (sa.Integer, sa.BigInteger, sa.Text), strict=True):
        op.add_column("lanes", sa.Column(name, kind, nullable=False, server_default="" if kind is sa.Text else "0"))
    for old, new in zip(_OLD, ("segment", "byte_offset", "context"), strict=True):
        op.execute(
            f"UPDATE lanes SET {old} = (SELECT {new} FROM sinks "  # noqa: S608  names of our own
            "WHERE sinks.lane = lanes.lane AND sink = 'staging')"
        )
    op.drop_table("sinks")
