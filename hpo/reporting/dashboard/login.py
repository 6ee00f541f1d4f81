"""The login: a token, given once by a link, then a cookie."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import IPv6Network
from threading import Lock
from urllib.parse import parse_qsl, quote, urlencode

from hpo.errors import UserError
from hpo.reporting.dashboard.wsgi import Environ, Headers, StartResponse, WsgiApp, answer
from hpo.text import counted

SHORTEST_TOKEN = 16
"""In characters: 64 bits if they are random hexadecimal digits, with one guess every six seconds."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>hpo dashboard</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}}
input{{font:inherit;width:100%;box-sizing:border-box}}</style>
<h1>hpo dashboard</h1>
<p>{reason}</p>
<form action="/dashboard/"><label>Token <input name="token" type="password" autofocus></label></form>
</html>
"""
_LOGIN_NEEDED = "Open the link that <code>hpo dashboard</code> printed, or enter its token here."
_WRONG_TOKEN = "This is not the token of this dashboard."
_TOO_MANY = "Too many wrong tokens from your address. Wait {wait} seconds, then try again."


def new_token() -> str:
    """Return a random token of 256 bits."""
    return secrets.token_urlsafe(32)


def checked_token(token: str) -> str:
    """Return the token; raise ``UserError`` if it is short or cannot be part of a link."""
    if len(token) < SHORTEST_TOKEN:
        raise UserError(
            f"the dashboard's token has {counted(len(token), 'character')}: use at least {SHORTEST_TOKEN}, "
            "or let `hpo dashboard` generate one"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UserError("the dashboard's token may only contain ASCII letters, digits and punctuation")
    return token


class Throttle:
    """Limits the guesses of an address: ``guesses`` at once, then one more every ``seconds``.

    A user-chosen token may be weak. A /64 network of IPv6, which one attacker may own, counts as one address.
    """

    def __init__(
        self, guesses: int = 10, seconds: float = 6.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._guesses, self._seconds, self._clock = guesses, seconds, clock
        self._free_at: dict[str, float] = {}
        """When an address will have all its guesses again."""
        self._lock = Lock()

    def wait(self, address: str) -> float:
        """Return the seconds until the address may guess again; 0 if it may now."""
        with self._lock:
            ahead = self._free_at.get(_network(address), 0.0) - self._clock()
        return max(0.0, ahead - (self._guesses - 1) * self._seconds)

    def count_wrong(self, address: str) -> None:
        """Count a wrong guess, and forget the addresses that have all their guesses again."""
        network = _network(address)
        with self._lock:
            now = self._clock()
            self._free_at = {each: free_at for each, free_at in self._free_at.items() if free_at > now}
            self._free_at[network] = self._free_at.get(network, now) + self._seconds


def _network(address: str) -> str:
    try:
        return str(IPv6Network((address, 64), strict=False))
    except ValueError:  # an IPv4 address, or a proxy's own notation
        return address


class Login:
    """Lets requests pass that have the session's cookie, or the token as ``Authorization: Bearer``.

    ``?token=...`` sets the cookie and redirects to the same page without it, so that no history, log or
    ``Referer`` keeps the token. Sessions end with the server.
    """

    def __init__(self, app: WsgiApp, token: str, throttle: Throttle) -> None:
        self._app = app
        self._token = hashlib.sha256(token.encode()).digest()
        self._throttle = throttle
        # Not derived from the token, and too long to guess: a wrong cookie, such as that of an earlier server
        # in an open window, does not count as a guess.
        self._session = secrets.token_urlsafe(32)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        logged_in = self._has_cookie(environ)
        by_link = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)).get("token")
        by_header = _bearer(environ)
        if logged_in and by_link is None:
            return self._app(environ, start_response)
        given = by_link if by_link is not None else by_header
        if given is None:
            return _refuse(environ, start_response, HTTPStatus.UNAUTHORIZED, _LOGIN_NEEDED)
        if not logged_in:
            wait = self._throttle.wait(environ.get("REMOTE_ADDR", ""))
            if wait > 0:
                return _refuse_for_now(environ, start_response, int(wait) + 1)
            if not self._is_token(given):
                self._throttle.count_wrong(environ.get("REMOTE_ADDR", ""))
                return _refuse(environ, start_response, HTTPStatus.UNAUTHORIZED, _WRONG_TOKEN)
        if by_link is None:
            return self._app(environ, start_response)
        return self._redirect(environ, start_response)

    def _is_token(self, given: str) -> bool:
        # Digests have equal lengths: the time does not reveal the token's length either.
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._token)

    def _has_cookie(self, environ: Environ) -> bool:
        # Not http.cookies, which stops at the first cookie that it cannot parse, such as another program's.
        wanted = f"{_cookie_name(environ)}={self._session}".encode()
        sent = environ.get("HTTP_COOKIE", "").encode("latin-1").split(b";")
        return any(hmac.compare_digest(cookie.strip(), wanted) for cookie in sent)

    def _redirect(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = [pair for pair in parse_qsl(environ["QUERY_STRING"]) if pair[0] != "token"]
        # One slash: two would lead to another host.
        path = "/" + quote(environ.get("PATH_INFO", "").encode("latin-1")).lstrip("/")
        # Lax, not Strict: with Strict, a link in a mail or chat would open the page without the cookie.
        cookie = f"{_cookie_name(environ)}={self._session}; Path=/; HttpOnly; SameSite=Lax"
        if environ.get("wsgi.url_scheme") == "https":
            cookie += "; Secure"
        headers = [("Location", path + (f"?{urlencode(query)}" if query else "")), ("Set-Cookie", cookie)]
        return answer(start_response, HTTPStatus.SEE_OTHER, "text/plain", "", headers)


def _cookie_name(environ: Environ) -> str:
    # Browsers share cookies among all ports of a host: two dashboards must not use each other's.
    return f"hpo-dashboard-{environ.get('SERVER_PORT', '')}"


def _bearer(environ: Environ) -> str | None:
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _refuse_for_now(environ: Environ, start_response: StartResponse, wait: int) -> Iterable[bytes]:
    reason, headers = _TOO_MANY.format(wait=wait), [("Retry-After", str(wait))]
    return _refuse(environ, start_response, HTTPStatus.TOO_MANY_REQUESTS, reason, headers)


def _refuse(
    environ: Environ, start_response: StartResponse, status: HTTPStatus, reason: str, headers: Headers = ()
) -> Iterable[bytes]:
    if environ.get("REQUEST_METHOD") == "GET" and "text/html" in environ.get("HTTP_ACCEPT", ""):
        page = _PAGE.format(reason=reason)
        return answer(start_response, status, "text/html; charset=utf-8", page, headers)
    plain = reason.replace("<code>", "`").replace("</code>", "`")
    return answer(start_response, status, "text/plain; charset=utf-8", plain + "\n", headers)
