"""Rungs, at which trials are compared and the search ends some early, and slots that are paused there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hpo.storage.migrations.constraints import change_check

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table, and the new states of slots and attempts."""
    op.create_table(
        "hpo_rung",
        sa.Column("trial_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(200), nullable=False),
        sa.Column("bracket", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("decision IN ('goes_on', 'stopped', 'paused')", name="ck_decision"),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
    )
    op.create_index(
        "ix_hpo_rung_score", "hpo_rung", ["study_id", "stage", "bracket", "epochs", "epoch", "score"]
    )
    states = "'waiting', 'running'"
    change_check(
        "hpo_slot", "ck_state", f"state IN ({states}, 'done')", f"state IN ({states}, 'paused', 'done')"
    )
    outcomes = "'complete', 'pruned', 'failed', 'released', 'lost', 'hung'"
    change_check(
        "hpo_attempt", "ck_outcome", f"outcome IN ({outcomes})", f"outcome IN ({outcomes}, 'paused')"
    )
