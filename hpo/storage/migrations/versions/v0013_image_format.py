"""The size and the channels of a study's images, and how they were made to fit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns; the images of studies from before are 32 x 32 in color, whatever their shape was."""
    for name in ("image_height", "image_width", "image_channels"):
        op.add_column("hpo_study", sa.Column(name, sa.Integer()))
    op.add_column("hpo_study", sa.Column("image_resize", sa.String(16)))
    op.execute(
        "UPDATE hpo_study SET image_height = 32, image_width = 32, image_channels = 3, "
        "image_resize = 'squeeze' WHERE dataset <> ''"
    )
