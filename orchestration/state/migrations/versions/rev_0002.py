"""When a person has seen an alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody is known to have seen what is there."""
    op.add_column("alerts", sa.Column("acknowledged_at", sa.Text, nullable=True))


def downgrade() -> None:
    """Drop the column with what it says."""
    op.drop_column("alerts", "acknowledged_at")
