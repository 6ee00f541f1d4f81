"""Histograms of activations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns; earlier looks have none."""
    op.add_column("hpo_layer", sa.Column("activation_low", sa.Double()))
    op.add_column("hpo_layer", sa.Column("activation_high", sa.Double()))
    op.add_column("hpo_layer", sa.Column("activation_counts", sa.JSON()))
