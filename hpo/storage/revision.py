"""The schema revision of a database: all that a reader needs to know about migrations."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL

from hpo.errors import StorageError
from hpo.provenance import DISTRIBUTION
from hpo.storage.engine import reading
from hpo.storage.presence import lost_log_hint
from hpo.storage.url import place

HEAD = "0016"
"""The newest revision in migrations/versions."""
VERSION_TABLE = "hpo_alembic_version"


def require(engine: Engine) -> None:
    """Raise ``StorageError`` unless the database has the tables that this hpo reads; writes nothing."""
    with reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            raise StorageError(_without_ours(connection, engine.url))
        found = refuse_newer(connection)
        if found != HEAD:
            raise StorageError(
                f"an older hpo created {place(engine.url)} (schema {found}, this hpo reads {HEAD}): "
                "upgrade it with `hpo db upgrade`, which keeps all data"
            )


def _without_ours(connection: Connection, url: URL) -> str:
    where = place(url)
    if inspect(connection).has_table("studies"):
        return (
            f"{where} contains Optuna's studies and none of hpo's: `hpo status` lists them, "
            "`hpo db upgrade` adds hpo's tables beside Optuna's"
        )
    hint = lost_log_hint(Path(where)) if url.drivername == "sqlite" else ""
    return f"no study has been run with {where} yet: start one with `hpo run`" + (hint and f"; {hint}")


def refuse_newer(connection: Connection) -> str | None:
    """Return the schema's revision, if any; raises ``StorageError`` if it is newer than this hpo knows."""
    revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    if revision is not None and revision > HEAD:
        raise StorageError(
            f"a newer hpo created this database (schema {revision}, this hpo knows {HEAD}): "
            f"update it with `pip install -U {DISTRIBUTION}`, or use another --storage"
        )
    return None if revision is None else str(revision)
