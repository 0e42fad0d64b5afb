"""A checksum in each row that says how far a lane is decoded: a flipped bit there was not noticed."""

from __future__ import annotations

import google_crc32c
import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and fill it."""
    op.add_column("lanes", sa.Column("checksum", sa.BigInteger, nullable=False, server_default="0"))
    names = ("lane", "decoded_segment", "decoded_offset", "checksum")
    lanes = sa.table("lanes", *(sa.column(name) for name in names))
    db = op.get_bind()
    for lane, segment, offset in db.execute(sa.select(*(lanes.c[name] for name in names[:3]))).all():
        checksum = google_crc32c.value(f"{lane} {segment} {offset}".encode())
        db.execute(lanes.update().where(lanes.c.lane == lane).values(checksum=checksum))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("lanes", "checksum")
