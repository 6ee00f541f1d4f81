"""What wakes an idle worker: PostgreSQL's word that there may be something to do, a signal, or time."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from hpo.signals import wait_readable
from hpo.storage.notify import CHANNEL


class Wakeups:
    """Listens while its worker is idle, on a connection of the engine's pool. On SQLite it never does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @property
    def listens(self) -> bool:
        """Whether it hears of changes; if not, somebody has to look for them."""
        return self._connection is not None

    def listen(self) -> bool:
        """Hear of all that changes from now on; whether it begins to: what came before is to be looked for.

        False too where there is nothing to hear, and while the database is away.
        """
        if self.listens or self._engine.dialect.name != "postgresql":
            return False
        with suppress(DBAPIError):
            connection = self._engine.connect()
            # No transaction stays open meanwhile.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            try:
                connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                return True
            except DBAPIError:
                self._lose()
        return False

    def wait(self, seconds: float) -> bool:
        """Whether there may be something to do, after at most so long; False at once after a signal."""
        try:
            return self._heard() or (wait_readable(self._sources(), seconds) and self._heard())
        except psycopg.OperationalError:  # the server restarts, or the network was cut
            self._lose()
            return True

    def close(self) -> None:
        """Give the connection back: who trains hears nothing, and needs it for other things."""
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

    def _heard(self) -> bool:
        """Whether anything came since the last time. Raises ``psycopg.OperationalError`` if nothing can."""
        if self._connection is None:
            return False
        server = _driver(self._connection).pgconn
        server.consume_input()
        heard = False
        while server.notifies() is not None:
            heard = True
        return heard


def _driver(connection: Connection) -> psycopg.Connection[object]:
    return cast("psycopg.Connection[object]", connection.connection.driver_connection)
