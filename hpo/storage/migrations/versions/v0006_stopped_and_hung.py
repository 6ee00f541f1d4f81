"""Studies that are stopped, when a trial last made progress, and attempts that hung."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hpo.storage.migrations.constraints import change_check

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns, and a word to what an attempt may come to."""
    op.add_column("hpo_study", sa.Column("stopped_at", sa.DateTime()))
    op.add_column("hpo_slot", sa.Column("progress_at", sa.Double()))
    outcomes = "'complete', 'pruned', 'failed', 'released', 'lost'"
    change_check("hpo_attempt", "ck_outcome", f"outcome IN ({outcomes})", f"outcome IN ({outcomes}, 'hung')")
