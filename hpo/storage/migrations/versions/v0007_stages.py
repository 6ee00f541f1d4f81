"""Stages of a study, why they are as they are, and the configurations that a stage confirms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

_NAME = sa.String(200)


def upgrade() -> None:
    """Make the tables; studies of before have one stage, which needs no row."""
    op.create_table(
        "hpo_stage",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("stage", _NAME, primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("space", sa.JSON(), nullable=False),
        sa.Column("fixed", sa.JSON(), nullable=False),
        sa.Column("epochs", sa.Integer()),
        sa.Column("train_images", sa.Integer()),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("study_id", "position"),
        sa.CheckConstraint("kind IN ('search', 'confirm', 'test')", name="ck_kind"),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
    )
    _make_decision()
    _make_candidate()


def _of_stage() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["study_id", "stage"], ["hpo_stage.study_id", "hpo_stage.stage"], ondelete="CASCADE"
    )


def _make_decision() -> None:
    op.create_table(
        "hpo_decision",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("stage", _NAME, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        _of_stage(),
    )


def _make_candidate() -> None:
    op.create_table(
        "hpo_candidate",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("stage", _NAME, primary_key=True),
        sa.Column("candidate", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("search_value", sa.Double(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer()),
        sa.Column("rank", sa.Integer()),
        *(sa.Column(name, sa.Double()) for name in ("mean", "low", "high", "difference", "p_value")),
        _of_stage(),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
    )
