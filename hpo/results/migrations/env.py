"""Alembic's entry: runs the revisions on the connection that `hpo.results.schema` opened."""

from __future__ import annotations

from alembic import context

from hpo.results.migrations.env_filter import only_ours
from hpo.results.revision import VERSION_TABLE
from hpo.results.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_object=only_ours,
)
context.run_migrations()
