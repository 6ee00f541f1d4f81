"""Idle workers are told when there may be something to do. On SQLite nobody is told: they look."""

from __future__ import annotations

from sqlalchemy import Connection

CHANNEL = "hpo_work"


def notify_idle_workers(connection: Connection) -> None:
    """Wake the idle workers of this database once the connection's transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
