"""SQLite databases that do not wait for the disk: in a test, no power cut takes what was written."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Engine, event

from hpo.storage.engine import SqliteConnection


def write_unsynced() -> None:
    """Let hpo's own connections to SQLite leave it to the system when data reach the disk."""
    if not event.contains(Engine, "connect", _unsynced):
        event.listen(Engine, "connect", _unsynced)


def _unsynced(connection: object, _record: object) -> None:
    if isinstance(connection, SqliteConnection):
        try:
            connection.execute("PRAGMA synchronous=OFF")
        except sqlite3.Error:  # a damaged file: it is for the program to notice
            return
