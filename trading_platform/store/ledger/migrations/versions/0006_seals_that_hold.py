"""Keep in an indexed column which seals hold: comparing hashes inside the records of 365,000 days took 1.5 s."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, tell it of every sealed leaf, and index those whose seal holds."""
    op.add_column("leaves", sa.Column("seal_holds", sa.Boolean, nullable=False, server_default=sa.false()))
    leaves = sa.table("leaves", sa.column("path"), sa.column("record"), sa.column("sealed"), sa.column("seal_holds"))
    db = op.get_bind()
    rows = db.execute(
        sa.select(leaves.c.path, leaves.c.record, leaves.c.sealed).where(
            leaves.c.sealed.is_not(None), leaves.c.record.is_not(None)
        )
    )
    hold = [{"at": path} for path, record, sealed in rows if json.loads(record)["content_hash"] == sealed]
    if hold:
        db.execute(leaves.update().where(leaves.c.path == sa.bindparam("at")).values(seal_holds=sa.true()), hold)
    columns = ["dataset", "seal_holds", "venue", "symbol", "day"]
    op.create_index("leaves_sealed", "leaves", columns, sqlite_where=sa.text("seal_holds = 1"))


def downgrade() -> None:
    """Drop both."""
    op.drop_index("leaves_sealed", "leaves")
    op.drop_column("leaves", "seal_holds")
