"""The second objective of a study, and how long a trial's network takes for an image."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns; studies from before have no second objective, and nothing was measured."""
    op.add_column("hpo_trial", sa.Column("milliseconds", sa.Double()))
    op.add_column("hpo_study", sa.Column("tradeoff", sa.String(200)))
    op.add_column("hpo_study", sa.Column("tradeoff_direction", sa.String(16)))
