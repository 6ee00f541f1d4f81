"""What a verdict says for programs: its cause, the next likely one, how sure it is, and what to set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("cause", sa.String(200)),
        sa.Column("second_cause", sa.String(200)),
        sa.Column("confidence", sa.Double()),
        sa.Column("remedy_change", sa.JSON()),
    ):
        op.add_column("hpo_trial", column)
