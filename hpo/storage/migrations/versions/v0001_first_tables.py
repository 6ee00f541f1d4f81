"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NAME = sa.String(200)
_WORD = sa.String(16)


def upgrade() -> None:
    """Make the tables."""
    _make_study()
    _make_statistics()
    _make_trial()
    _make_slot()
    _make_attempt()
    _make_epoch()
    _make_layer()
    _make_finding()
    op.create_table(
        "hpo_schema",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )


def _make_study() -> None:
    op.create_table(
        "hpo_study",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", _NAME, nullable=False, unique=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("package_versions", sa.JSON(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("dataset_fingerprint", sa.Text(), nullable=False),
        sa.Column("dataset_origin", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.study_id"], ondelete="CASCADE"),
    )


def _make_statistics() -> None:
    op.create_table(
        "hpo_statistics",
        sa.Column("study_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
    )


def _make_trial() -> None:
    op.create_table(
        "hpo_trial",
        sa.Column("trial_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("stage", _NAME, nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("configuration", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("outcome", _WORD),
        sa.Column("value", sa.Double()),
        sa.Column("verdict", sa.Text()),
        sa.Column("remedy", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("best_epoch", sa.Integer()),
        sa.Column("epochs", sa.Integer()),
        sa.Column("seconds", sa.Double()),
        sa.Column("images", sa.BigInteger()),
        sa.Column("images_per_second", sa.Double()),
        sa.Column("parameters", sa.BigInteger()),
        sa.Column("weights_hash", sa.Text()),
        sa.Column("statistics_hash", sa.String(64)),
        sa.Column("test_value", sa.Double()),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.UniqueConstraint("study_id", "stage", "slot"),
        sa.CheckConstraint("outcome IN ('complete', 'pruned', 'failed')", name="ck_outcome"),
        sa.CheckConstraint("outcome <> 'complete' OR value IS NOT NULL", name="ck_complete_has_value"),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ck_ended"),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.trial_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["study_id", "statistics_hash"], ["hpo_statistics.study_id", "hpo_statistics.hash"]
        ),
    )


def _make_slot() -> None:
    op.create_table(
        "hpo_slot",
        sa.Column("study_id", sa.Integer(), primary_key=True),
        sa.Column("stage", _NAME, primary_key=True),
        sa.Column("slot", sa.Integer(), primary_key=True),
        sa.Column("trial_id", sa.Integer(), unique=True),
        sa.Column("state", _WORD, nullable=False, server_default="waiting"),
        sa.Column("worker", sa.Text()),
        sa.Column("token", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lease_until", sa.Double()),
        sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done')", name="ck_state"),
        sa.CheckConstraint("(state = 'running') = (worker IS NOT NULL)", name="ck_worker"),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="ck_lease"),
        sa.ForeignKeyConstraint(["study_id"], ["hpo_study.study_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="SET NULL"),
    )
    unfinished = sa.text("state <> 'done'")
    op.create_index(
        "ix_hpo_slot_open",
        "hpo_slot",
        ["study_id", "slot"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )


def _make_attempt() -> None:
    op.create_table(
        "hpo_attempt",
        sa.Column("trial_id", sa.Integer(), primary_key=True),
        sa.Column("attempt", sa.Integer(), primary_key=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("from_epoch", sa.Integer(), nullable=False),
        sa.Column("to_epoch", sa.Integer()),
        sa.Column("outcome", _WORD),
        sa.CheckConstraint(
            "outcome IN ('complete', 'pruned', 'failed', 'released', 'lost')", name="ck_outcome"
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
    )


def _make_epoch() -> None:
    op.create_table(
        "hpo_epoch",
        sa.Column("trial_id", sa.Integer(), primary_key=True),
        sa.Column("epoch", sa.Integer(), primary_key=True),
        sa.Column("train_loss", sa.Double()),
        sa.Column("train_accuracy", sa.Double()),
        sa.Column("val_loss", sa.Double()),
        sa.Column("val_accuracy", sa.Double()),
        sa.Column("lr", sa.Double()),
        sa.Column("seconds", sa.Double()),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("images_per_second", sa.Double()),
        sa.Column("ended_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("epoch >= 1", name="ck_epoch"),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
    )


def _make_layer() -> None:
    op.create_table(
        "hpo_layer",
        sa.Column("trial_id", sa.Integer(), primary_key=True),
        sa.Column("step", sa.Integer(), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("activation_mean", sa.Double()),
        sa.Column("activation_std", sa.Double()),
        sa.Column("dead", sa.Double()),
        sa.Column("saturated", sa.Double()),
        sa.Column("gradient_norm", sa.Double()),
        sa.Column("update_ratio", sa.Double()),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
    )


def _make_finding() -> None:
    op.create_table(
        "hpo_finding",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("check_name", _NAME, nullable=False),
        sa.Column("severity", _WORD, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("layer", _NAME, nullable=False, server_default=""),
        sa.Column("value", sa.Double()),
        sa.Column("threshold", sa.Double()),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text()),
        sa.CheckConstraint("severity IN ('pass', 'note', 'warn', 'fatal')", name="ck_severity"),
        sa.UniqueConstraint("trial_id", "check_name", "step", "layer"),
        sa.ForeignKeyConstraint(["trial_id"], ["hpo_trial.trial_id"], ondelete="CASCADE"),
    )
    op.create_index("ix_hpo_finding_check", "hpo_finding", ["check_name", "severity"])
