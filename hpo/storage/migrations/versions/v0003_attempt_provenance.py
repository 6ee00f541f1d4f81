"""With what code, packages, threads and number format each attempt trained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; attempts of before have NULL in them."""
    for column in (
        sa.Column("processor", sa.Text()),
        sa.Column("threads", sa.Integer()),
        sa.Column("precision", sa.String(16)),
        sa.Column("code_version", sa.Text()),
        sa.Column("package_versions", sa.JSON()),
    ):
        op.add_column("hpo_attempt", column)
