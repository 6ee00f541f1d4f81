"""Notifying idle workers that there may be work. On SQLite workers poll instead."""

from __future__ import annotations

from sqlalchemy import Connection

CHANNEL = "hpo_work"


def notify_idle_workers(connection: Connection) -> None:
    """Wake the idle workers of this database once the connection's transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
