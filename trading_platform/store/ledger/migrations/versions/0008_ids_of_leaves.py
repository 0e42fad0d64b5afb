"""The least and the greatest id of each published file of ticks, as columns: another day that holds an id is found."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = ("dataset", "venue", "symbol", "last_id", "first_id")


def upgrade() -> None:
    """Add the columns, fill them from the records, and make the index."""
    op.add_column("leaves", sa.Column("first_id", sa.BigInteger))
    op.add_column("leaves", sa.Column("last_id", sa.BigInteger))
    leaves = sa.table("leaves", *(sa.column(name) for name in (*_COLUMNS, "path", "published", "record")))
    db = op.get_bind()
    told = db.execute(sa.select(leaves.c.path, leaves.c.record).where(leaves.c.dataset == "ticks", leaves.c.published))
    rows: list[dict[str, object]] = []
    for path, text in told:
        record = json.loads(text)
        ends = [record[name] for name in ("first_id", "last_id") if record.get(name) is not None]
        if len(ends) == 2:
            rows.append({"at": path, "first": min(ends), "last": max(ends)})
    if rows:
        columns: dict[str, sa.BindParameter[int]] = {"first_id": sa.bindparam("first"), "last_id": sa.bindparam("last")}
        db.execute(leaves.update().where(leaves.c.path == sa.bindparam("at")).values(**columns), rows)
    op.create_index("leaves_by_id", "leaves", list(_COLUMNS), sqlite_where=sa.text("first_id IS NOT NULL"))


def downgrade() -> None:
    """Drop index and columns."""
    op.drop_index("leaves_by_id", "leaves")
    op.drop_column("leaves", "last_id")
    op.drop_column("leaves", "first_id")
