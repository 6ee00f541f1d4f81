"""Which revision of the schema a database has: all that a reader needs to know of migrations."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

from hpo.errors import StorageError
from hpo.storage.engine import reading
from hpo.storage.url import place

HEAD = "0010"
"""The newest revision in migrations/versions."""
VERSION_TABLE = "hpo_alembic_version"


def require(engine: Engine) -> None:
    """Raise ``StorageError`` unless this database has the tables that this hpo reads. Nothing is written."""
    with reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            raise StorageError(_without_ours(connection, place(engine.url)))
        found = refuse_newer(connection)
        if found != HEAD:
            raise StorageError(
                f"an older hpo made {place(engine.url)} (schema {found}, this hpo reads {HEAD}): "
                "bring it up to date with `hpo db upgrade`, which keeps everything in it"
            )


def _without_ours(connection: Connection, where: str) -> str:
    if inspect(connection).has_table("studies"):
        return (
            f"{where} holds Optuna's studies and none of hpo's: `hpo status` lists them, "
            "`hpo db upgrade` adds hpo's tables beside Optuna's"
        )
    return f"no study has been run with {where} yet: begin one with `hpo run`"


def refuse_newer(connection: Connection) -> str | None:
    """The schema's revision, if it has one; raises ``StorageError`` for one that this hpo does not know."""
    revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    if revision is not None and revision > HEAD:
        raise StorageError(
            f"a newer hpo made this database (schema {revision}, this hpo knows {HEAD}): "
            "update it with `pip install -U hpo`, or use another --storage"
        )
    return None if revision is None else str(revision)
