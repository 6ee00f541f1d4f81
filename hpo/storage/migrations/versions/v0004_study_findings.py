"""Findings about a whole study, and the size of its data set, by which they judge noise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the columns; studies from before leave the columns empty."""
    for name in ("classes", "train_images"):
        op.add_column("hpo_study", sa.Column(name, sa.Integer()))
    document = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "hpo_study_finding",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("check_name", sa.String(200), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("evidence", document, nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("change", document, nullable=False),
        sa.Column("trials_seen", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("severity IN ('note', 'warn')", name="ck_severity"),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
    )
