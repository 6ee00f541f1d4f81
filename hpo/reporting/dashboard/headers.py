"""Security headers of the dashboard's answers, and the refusal of requests from other sites."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from hpo.reporting.dashboard.frontend import VERSIONED
from hpo.reporting.dashboard.wsgi import Environ, StartResponse, WsgiApp, answer

_PAGE_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",  # the dashboard's style library writes them into the page
        "script-src 'self' 'unsafe-eval'",  # Plotly's parallel coordinates compile their shaders' code
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
# An artifact is an uploaded file: opened by itself, it must not run scripts.
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"
_FOR_ALL = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
]
# Pages and API answers change; static files are revalidated by date; artifacts never change.
_CACHING = {
    VERSIONED: "private, max-age=31536000, immutable",
    "/static/": "private, no-cache",
    "/artifacts/": "private, max-age=86400, immutable",
}
_OURS = frozenset({"content-security-policy", "access-control-allow-origin", "cache-control"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class SafeHeaders:
    """Replaces the policy headers of the answers of ``app``."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        ours = _headers_for(environ.get("PATH_INFO", ""))

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            kept = [(name, value) for name, value in headers if name.lower() not in _OURS]
            return start_response(status, kept + ours, *error)

        return self._app(environ, start)


def _headers_for(path: str) -> list[tuple[str, str]]:
    policy = _FILE_POLICY if path.startswith("/artifacts/") else _PAGE_POLICY
    caching = next((value for start, value in _CACHING.items() if path.startswith(start)), "no-store")
    return [*_FOR_ALL, ("Content-Security-Policy", policy), ("Cache-Control", caching)]


class SameSite:
    """Refuses changes requested by pages of other sites, and with ``only_local`` foreign host names.

    Without a login, a site whose name an attacker points to this machine (DNS rebinding) could otherwise read
    everything through a visitor's browser.
    """

    def __init__(self, app: WsgiApp, only_local: bool) -> None:
        self._app = app
        self._only_local = only_local

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if self._only_local and not is_local(_host_of(host)):
            return _refuse(
                start_response, "without a login the dashboard only answers under names of this machine"
            )
        origin = environ.get("HTTP_ORIGIN")
        if environ["REQUEST_METHOD"] not in _SAFE_METHODS and origin and urlsplit(origin).netloc != host:
            return _refuse(start_response, "this change was requested by a page of another site")
        return self._app(environ, start_response)


def _refuse(start_response: StartResponse, reason: str) -> Iterable[bytes]:
    return answer(start_response, HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", reason + "\n")


def _host_of(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def is_local(host: str) -> bool:
    """Return whether the address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
