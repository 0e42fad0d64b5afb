"""Indexes for what is asked of a large ledger: what is due, whether a day holds anything, how much is kept apart."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("coverage_by_day", "coverage", ["day"])
    op.create_index("gaps_by_due", "gaps", ["state", "due_ns", "id"])
    op.create_index("quarantine_by_kind", "quarantine", ["venue", "symbol", "kind"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("quarantine_by_kind", "quarantine")
    op.drop_index("gaps_by_due", "gaps")
    op.drop_index("coverage_by_day", "coverage")
