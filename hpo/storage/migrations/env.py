"""Alembic's entry: runs the revisions on the connection that `hpo.storage.schema` opened."""

from __future__ import annotations

from alembic import context

from hpo.storage.migrations.env_filter import only_ours
from hpo.storage.revision import VERSION_TABLE
from hpo.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_object=only_ours,
)
context.run_migrations()
