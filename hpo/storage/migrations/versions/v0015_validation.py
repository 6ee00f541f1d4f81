"""Which images validate, where it is not a drawn share of them; and findings about the images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns; the validation images of all studies from before were drawn."""
    op.add_column("hpo_study", sa.Column("validation", sa.String(16)))
    op.add_column("hpo_study", sa.Column("val_class_counts", sa.JSON()))
    op.add_column("hpo_study", sa.Column("image_findings", sa.JSON()))
    op.execute("UPDATE hpo_study SET validation = 'drawn' WHERE dataset <> ''")
