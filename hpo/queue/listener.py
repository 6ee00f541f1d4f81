"""Wakes idle workers: PostgreSQL notifies them of changes (LISTEN/NOTIFY), so that they need not poll."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from hpo.signals import wait_readable
from hpo.storage.notify import CHANNEL


class Wakeups:
    """Listens for notifications while its worker is idle, on a pooled connection. Never listens on SQLite."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @property
    def listens(self) -> bool:
        """Whether notifications arrive; if not, the worker has to poll."""
        return self._connection is not None

    def listen(self) -> bool:
        """Start listening; return whether it started, so that the caller checks once for earlier changes.

        Returns False if it already listens, on SQLite, and while the database is unreachable.
        """
        if self.listens or self._engine.dialect.name != "postgresql":
            return False
        with suppress(DBAPIError):
            connection = self._engine.connect()
            # Keep no transaction open while listening.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            try:
                connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                return True
            except DBAPIError:
                self._lose()
        return False

    def wait(self, seconds: float) -> bool:
        """Wait for a notification; return whether there may be work. A signal ends the wait with False."""
        try:
            return self._notified() or (wait_readable(self._sources(), seconds) and self._notified())
        except psycopg.OperationalError:  # the server restarted, or the network was cut
            self._lose()
            return True

    def close(self) -> None:
        """Stop listening and return the connection to the pool: the training needs it."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.exec_driver_sql("UNLISTEN *")
            connection.close()
            self._connection = None
        except DBAPIError:
            self._lose()

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        connection.invalidate()
        connection.close()

    def _sources(self) -> list[psycopg.Connection[object]]:
        return [] if self._connection is None else [_driver(self._connection)]

    def _notified(self) -> bool:
        """Return whether notifications arrived. Raises ``OperationalError`` if the connection broke."""
        if self._connection is None:
            return False
        server = _driver(self._connection).pgconn
        server.consume_input()
        notified = False
        while server.notifies() is not None:
            notified = True
        return notified


def _driver(connection: Connection) -> psycopg.Connection[object]:
    return cast("psycopg.Connection[object]", connection.connection.driver_connection)
