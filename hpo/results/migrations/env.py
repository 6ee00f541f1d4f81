"""Alembic's entry: runs the revisions on the connection that `hpo.results.schema` opened."""

from __future__ import annotations

from typing import Any

from alembic import context

from hpo.results.schema import VERSION_TABLE
from hpo.results.tables import Base


def only_ours(_item: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Keep Optuna's tables out, or autogenerate proposes to drop them."""
    return kind != "table" or (name or "").startswith("hpo_")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_object=only_ours,
)
context.run_migrations()
