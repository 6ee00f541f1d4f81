"""optuna-dashboard over a study database, served by waitress."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from optuna_dashboard import wsgi
from sqlalchemy import inspect
from waitress.server import create_server

from hpo.errors import StorageError, UserError
from hpo.redact import safe_url
from hpo.results.engine import open_reader, reading
from hpo.results.optuna_storage import open_optuna_storage

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

# Enough for a page's parallel requests; the storage behind them has four connections.
_THREADS = 4


@dataclass(frozen=True)
class DashboardServer:
    """A dashboard that listens already; ``serve`` answers until Ctrl-C."""

    address: str
    _server: Any

    def serve(self) -> None:
        """Answer requests; returns after KeyboardInterrupt."""
        self._server.run()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def make_app(url: str) -> WsgiApp:
    """The dashboard as a WSGI application.

    Raises ``StorageError`` if the database is missing, unusable, or no study was ever made in it.
    """
    _require_studies(url)
    # Optuna's cached storage: with 5,000 trials a page's refetch takes 0.26 s instead of 5.3 s.
    app: WsgiApp = wsgi(open_optuna_storage(url))
    return app


def make_server(url: str, host: str, port: int) -> DashboardServer:
    """Listen on an address. Raises as ``make_app``, and ``UserError`` if the address cannot be had."""
    app = make_app(url)
    listening = _listen(host, port)
    server = create_server(app, sockets=[listening], threads=_THREADS, ident=None)
    shown = f"[{host}]" if ":" in host else host
    return DashboardServer(f"http://{shown}:{listening.getsockname()[1]}/dashboard/", server)


def is_local(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host has such a name
        raise UserError(_why_not(host, port, error)) from None


def _why_not(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} is in use: name another one with --port, or let --port 0 find one"
    if number == errno.EACCES:
        return f"port {port} needs special rights: use one above 1023 with --port"
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return f"this machine has no address {host}: use --host 127.0.0.1, or 0.0.0.0 for every network"
    return f"cannot listen on {host}:{port}: {error}"


def _require_studies(url: str) -> None:
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            found = inspect(connection).has_table("studies") and inspect(connection).has_table("trials")
    finally:
        engine.dispose()
    if not found:
        raise StorageError(
            f"{safe_url(url)} holds no studies: make some with `hpo run STUDY --storage ...`, or name another"
        )
