"""Serve the dashboard with waitress."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import time
from dataclasses import dataclass
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from hpo.errors import UserError
from hpo.reporting.dashboard.app import Access, Dashboard, make_app
from hpo.reporting.dashboard.headers import is_local
from hpo.signals import stop_on_signals

# Enough for a page's parallel requests; the storage behind them has four connections.
_THREADS = 4
# Waitress receives a request's body before the login is checked. Reading needs no body.
_LARGEST_BODY = 64 * 1024
_LARGEST_UPLOAD = 32 * 1024 * 1024
_SHUTDOWN_SECONDS = 15.0
"""How long a shutdown waits for answers in progress."""
_POLL_SECONDS = 0.25
"""How soon a signal is noticed."""
# It warns about each request that waits for a thread; a browser sends more at once than there are threads.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
_FORWARDED = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}


@dataclass(frozen=True)
class DashboardServer:
    """A dashboard that is already listening."""

    address: str
    """Its URL, without the token."""
    _server: Any
    _sockets: dict[int, Any]
    _app: Dashboard

    def serve(self) -> None:
        """Answer requests until a signal, then finish those in progress. A second one kills it.

        Threads may remain, idle or with an answer that takes too long. The caller must therefore end the
        process with ``os._exit``: Python's own shutdown aborts if one of them runs C++ code.
        """
        with stop_on_signals() as flag:
            self._app.prepare()
            while not flag.signum:
                self._wait_for_sockets()
            self._server.accepting = False
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            while self._is_answering() and time.monotonic() < deadline:
                self._wait_for_sockets()
            self._app.close()

    def _wait_for_sockets(self) -> None:
        # Not the server's own `run`: after Ctrl-C it would not send what its threads still compute.
        wasyncore.loop(timeout=_POLL_SECONDS, map=self._sockets, count=1)

    def _is_answering(self) -> bool:
        channels = self._server.active_channels.values()
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def make_server(url: str, host: str, port: int, access: Access) -> DashboardServer:
    """Listen on an address. Raises as ``make_app``, and ``UserError`` if the address is not available."""
    if access.token is None and not is_local(host):
        raise UserError(
            f"without a login the dashboard may only listen on this machine, but others can reach {host}: "
            "remove --no-login, or use --host 127.0.0.1"
        )
    proxy = _proxy_options(access.trusted_proxy)
    app = make_app(url, access)
    listening = _listen(host, port)
    sockets: dict[int, Any] = {}
    server = create_server(
        app,
        map=sockets,
        sockets=[listening],
        threads=_THREADS,
        ident=None,
        max_request_body_size=_LARGEST_UPLOAD if access.writable else _LARGEST_BODY,
        max_request_header_size=32 * 1024,
        **proxy,
    )
    shown = f"[{host}]" if ":" in host else host
    return DashboardServer(f"http://{shown}:{listening.getsockname()[1]}/dashboard/", server, sockets, app)


def _proxy_options(proxy: str | None) -> dict[str, Any]:
    if proxy is None:
        return {}
    try:
        address = str(ipaddress.ip_address(proxy))
    except ValueError:
        raise UserError(
            f"--trusted-proxy must be the IP address of a proxy, such as 127.0.0.1, not {proxy}"
        ) from None
    return {
        "trusted_proxy": address,
        "trusted_proxy_count": 1,
        "trusted_proxy_headers": _FORWARDED,
        "clear_untrusted_proxy_headers": True,
    }


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        raise UserError(_listen_error(host, port, error)) from None


def _listen_error(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} is in use: choose another one with --port, or let --port 0 find one"
    if number == errno.EACCES:
        return f"port {port} needs special privileges: choose one above 1023 with --port"
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return f"this machine has no address {host}: use --host 127.0.0.1, or 0.0.0.0 for every network"
    return f"cannot listen on {host}:{port}: {error}"
