"""Configurations that somebody puts into a study's slots, in the place of what would be drawn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; slots of before have nothing in it."""
    op.add_column("hpo_slot", sa.Column("given", sa.JSON()))
