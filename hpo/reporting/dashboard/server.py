"""The dashboard, served by waitress."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from waitress.server import create_server

from hpo.errors import UserError
from hpo.reporting.dashboard.app import Access, make_app
from hpo.reporting.dashboard.headers import is_local

# Enough for a page's parallel requests; the storage behind them has four connections.
_THREADS = 4
# waitress takes a request's body in before the login is looked at. Reading needs none.
_LARGEST_BODY = 64 * 1024
_LARGEST_UPLOAD = 32 * 1024 * 1024
_LONGEST_ANSWER = 60.0
"""In seconds."""
_FORWARDED = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}


@dataclass(frozen=True)
class DashboardServer:
    """A dashboard that listens already; ``serve`` answers until Ctrl-C."""

    address: str
    """Without a token."""
    _server: Any

    def serve(self) -> None:
        """Answer requests; returns after KeyboardInterrupt, when those begun have been answered."""
        self._server.run()
        # It waits for 5 s by itself. A thread that draws, in C++, when Python ends would abort the process.
        self._server.task_dispatcher.shutdown(timeout=_LONGEST_ANSWER)

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def make_server(url: str, host: str, port: int, access: Access) -> DashboardServer:
    """Listen on an address. Raises as ``make_app``, and ``UserError`` if the address cannot be had."""
    if access.token is None and not is_local(host):
        raise UserError(
            f"without a login the dashboard may only listen on this machine, and others can reach {host}: "
            "leave out --no-login, or use --host 127.0.0.1"
        )
    proxy = _proxy_options(access.trusted_proxy)
    app = make_app(url, access)
    listening = _listen(host, port)
    server = create_server(
        app,
        sockets=[listening],
        threads=_THREADS,
        ident=None,
        max_request_body_size=_LARGEST_UPLOAD if access.writable else _LARGEST_BODY,
        max_request_header_size=32 * 1024,
        **proxy,
    )
    shown = f"[{host}]" if ":" in host else host
    return DashboardServer(f"http://{shown}:{listening.getsockname()[1]}/dashboard/", server)


def _proxy_options(proxy: str | None) -> dict[str, Any]:
    if proxy is None:
        return {}
    try:
        address = str(ipaddress.ip_address(proxy))
    except ValueError:
        raise UserError(
            f"--trusted-proxy takes the address of a proxy, such as 127.0.0.1, not {proxy}"
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
