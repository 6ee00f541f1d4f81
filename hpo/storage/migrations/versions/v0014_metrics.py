"""Metrics for classes of unequal size, and the confusion matrix of a trial's best epoch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the columns and the table; epochs from before have no such metrics."""
    for name in ("val_balanced_accuracy", "val_macro_f1", "val_auc"):
        op.add_column("hpo_epoch", sa.Column(name, sa.Double()))
    counts = ("epoch", "images", "correct", "predicted")
    op.create_table(
        "hpo_class",
        sa.Column(
            "trial_id",
            sa.Integer(),
            sa.ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("label", sa.Integer(), primary_key=True),
        sa.Column("class_name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        sa.Column("predictions", sa.JSON()),
    )
