"""Studies with a priority, the workers that are there, and what they print."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("hpo_attempt", sa.Column("output", sa.Text()))
    op.add_column("hpo_study", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    running = sa.text("state = 'running'")
    op.create_index(
        "ix_hpo_slot_running", "hpo_slot", ["study_id"], sqlite_where=running, postgresql_where=running
    )
    op.create_table(
        "hpo_worker",
        sa.Column("worker", sa.String(200), primary_key=True),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("studies", sa.JSON(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
    )
