"""The objective of a study, its direction, and any other metrics of an epoch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the columns; studies from before maximize the validation accuracy."""
    op.add_column("hpo_epoch", sa.Column("metrics", sa.JSON()))
    op.add_column(
        "hpo_study",
        sa.Column("objective", sa.String(200), nullable=False, server_default="val_accuracy"),
    )
    op.add_column(
        "hpo_study",
        sa.Column("direction", sa.String(16), nullable=False, server_default="maximize"),
    )
