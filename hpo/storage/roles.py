"""Least privilege on PostgreSQL: roles that may read, work or submit, and nothing else.

The user that created the tables owns them, and alone can change them: it upgrades and grants these roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import psycopg
from optuna.storages._rdb.models import BaseModel as OptunaBase
from sqlalchemy import Connection, Integer, text
from sqlalchemy.exc import DBAPIError

from hpo.errors import UserError
from hpo.storage.engine import open_engine, writing
from hpo.storage.errors import explain, is_fault
from hpo.storage.revision import require
from hpo.storage.tables import Base
from hpo.storage.url import parse_url
from hpo.storage.views import VIEWS

VIEWER, WORKER, SUBMITTER = "hpo_viewer", "hpo_worker", "hpo_submitter"
ROLES = {
    VIEWER: "reads: hpo status, studies, workers, show, logs, query, report, dashboard, export-study",
    WORKER: "reads, claims trials, records and ends them: hpo worker",
    SUBMITTER: "changes any record: hpo run, submit, enqueue, stop, resume, delete",
}
"""Each role and its purpose."""

_VERSIONS = ("alembic_version", "hpo_alembic_version", "hpo_schema", "version_info")
"""Tables with the schema version, which only the owner may change."""
_OPTUNAS = tuple(sorted(OptunaBase.metadata.tables))
_TABLES = tuple(sorted({*Base.metadata.tables, *_OPTUNAS, *_VERSIONS}))
_RECORDS = tuple(table for table in _TABLES if table not in _VERSIONS)
_WORKER_RIGHTS = {
    "hpo_attempt": "INSERT, UPDATE",
    "hpo_candidate": "INSERT, UPDATE",
    "hpo_decision": "INSERT",
    "hpo_class": "INSERT, UPDATE, DELETE",
    "hpo_epoch": "INSERT, UPDATE, DELETE",
    "hpo_finding": "INSERT, UPDATE, DELETE",
    "hpo_layer": "INSERT, UPDATE, DELETE",
    "hpo_rung": "INSERT, UPDATE",
    "hpo_slot": "INSERT, UPDATE",
    "hpo_stage": "INSERT, UPDATE",
    "hpo_statistics": "INSERT, UPDATE",
    # A failing study is stopped; what it trains cannot be changed.
    "hpo_study": "UPDATE (stopped_at)",
    "hpo_study_finding": "INSERT, DELETE",
    "hpo_trial": "INSERT, UPDATE, DELETE",
    "hpo_worker": "INSERT, UPDATE, DELETE",
    # Optuna locks the study's row, for which PostgreSQL requires the right to update a column.
    "studies": "UPDATE (study_id)",
    "trial_intermediate_values": "INSERT, UPDATE",
    "trial_params": "INSERT, UPDATE",
    "trial_system_attributes": "INSERT, UPDATE",
    "trial_user_attributes": "INSERT, UPDATE",
    "trial_values": "INSERT, UPDATE",
    "trials": "INSERT, UPDATE",
}
_IN_PLACE = """\
DO $$ BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO {roles}', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {roles}', current_schema());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
END $$"""
_CREATE = """\
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role};
    END IF;
END $$"""
_GRANTED = text("""
    SELECT count(*) FROM pg_roles
    WHERE rolname IN ('hpo_viewer', 'hpo_worker', 'hpo_submitter')
        AND has_table_privilege(oid, 'hpo_study', 'SELECT')
""")


def statements() -> tuple[str, ...]:
    """Return the SQL that creates missing roles and grants each exactly its rights in this database."""
    roles = ", ".join(ROLES)
    return (
        *(_CREATE.format(role=role) for role in ROLES),
        _IN_PLACE.format(roles=roles),
        *_grants(),
    )


def apply(url: str, passwords: Mapping[str, str]) -> None:
    """Run the statements as the owner of the tables; roles with a password can then log in.

    Raises ``UserError`` for SQLite, ``StorageError`` without hpo's tables or the right to do it.
    """
    if parse_url(url).drivername == "sqlite":
        raise UserError(
            "SQLite has no users: write permission on its file and folder allows everything (chmod, chown)"
        )
    engine = open_engine(url)
    try:
        require(engine)
        with writing(engine) as connection:
            for statement in statements():
                _run(connection, statement)
            for role, password in passwords.items():
                _run(connection, _login(connection, role, password))
    except DBAPIError as error:
        if not is_fault(error):
            raise
        raise explain(engine.url, error) from error
    finally:
        engine.dispose()


def _run(connection: Connection, statement: str) -> None:
    # Without parameters the driver leaves a % alone.
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _login(connection: Connection, role: str, password: str) -> str:
    """Return the statement with the password's hash, since the server may log it."""
    server = cast("psycopg.Connection[object]", connection.connection.dbapi_connection).pgconn
    hashed = server.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    return f"ALTER ROLE {role} LOGIN PASSWORD '{hashed}'"


def renew(connection: Connection) -> None:
    """Repeat the grants if the roles have rights: new tables and recreated views have none yet."""
    if connection.dialect.name == "postgresql" and connection.scalar(_GRANTED) == len(ROLES):
        for statement in _grants():
            _run(connection, statement)


def _grants() -> tuple[str, ...]:
    roles = ", ".join(ROLES)
    return (
        f"REVOKE ALL ON {', '.join((*_TABLES, *VIEWS))} FROM {roles}",
        f"REVOKE ALL ON SEQUENCE {', '.join(_sequences(_RECORDS))} FROM {roles}",
        f"GRANT SELECT ON {', '.join((*_TABLES, *VIEWS))} TO {roles}",
        *(f"GRANT {rights} ON {table} TO {WORKER}" for table, rights in _WORKER_RIGHTS.items()),
        f"GRANT USAGE ON SEQUENCE {', '.join(_sequences(_inserted()))} TO {WORKER}",
        f"GRANT INSERT, UPDATE, DELETE ON {', '.join(_RECORDS)} TO {SUBMITTER}",
        f"GRANT USAGE ON SEQUENCE {', '.join(_sequences(_RECORDS))} TO {SUBMITTER}",
    )


def _inserted() -> tuple[str, ...]:
    return tuple(table for table, rights in _WORKER_RIGHTS.items() if "INSERT" in rights)


def _sequences(tables: tuple[str, ...]) -> list[str]:
    """Return the sequences that number the rows of these tables."""
    known = {**Base.metadata.tables, **OptunaBase.metadata.tables}
    found = []
    for name in tables:
        column = known[name].autoincrement_column
        if column is not None and isinstance(column.type, Integer):
            found.append(f"{name}_{column.name}_seq")
    return found
