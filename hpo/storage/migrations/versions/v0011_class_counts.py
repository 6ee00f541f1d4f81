"""The classes of a study's images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; studies from before are taken to have equal classes."""
    op.add_column("hpo_study", sa.Column("class_counts", sa.JSON()))
