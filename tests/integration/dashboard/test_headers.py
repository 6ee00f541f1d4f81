from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo.reporting.dashboard.headers import SafeHeaders, SameSite, is_local

Ask = Callable[..., Any]


def anything(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response(
        "200 OK",
        [("Content-Type", "image/svg+xml"), ("Access-Control-Allow-Origin", "*"), ("Last-Modified", "today")],
    )
    return [b"done"]


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/api/studies", "/artifacts/1/2/abc", "/static/a.js"])
def test_safe_headers_set_the_policies_of_every_answer(ask: Ask, path: str) -> None:
    headers = ask(SafeHeaders(anything), path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors" in headers["Content-Security-Policy"]
    assert "default-src 'self'" in headers["Content-Security-Policy"] or path.startswith("/artifacts/")
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Last-Modified"] == "today"


def test_safe_headers_let_artifacts_run_nothing(ask: Ask) -> None:
    policy = ask(SafeHeaders(anything), "/artifacts/1/2/abc").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and policy.endswith("sandbox")


@pytest.mark.parametrize(
    ("path", "caching"),
    [
        ("/api/studies/1", "no-store"),
        ("/dashboard/", "no-store"),
        ("/static/bundle.js", "private, no-cache"),
        ("/artifacts/1/abc", "private, max-age=86400, immutable"),
    ],
)
def test_safe_headers_set_caching_by_path(ask: Ask, path: str, caching: str) -> None:
    assert ask(SafeHeaders(anything), path).headers["Cache-Control"] == caching


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", "http://127.0.0.1:8080", 200),
        ("POST", "", 200),  # not a browser: curl
        ("POST", "http://127.0.0.1:9999", 403),
        ("DELETE", "https://evil.example", 403),
        ("PUT", "null", 403),
        ("GET", "https://evil.example", 200),  # its answer is not given to that page
    ],
)
def test_same_site_refuses_changes_from_other_sites(ask: Ask, method: str, origin: str, status: int) -> None:
    app = SameSite(anything, only_local=False)
    assert ask(app, "/", method, HTTP_HOST="127.0.0.1:8080", HTTP_ORIGIN=origin).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:80", 200),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("[", 403),
    ],
)
def test_same_site_only_local_refuses_other_hosts(ask: Ask, host: str, status: int) -> None:
    assert ask(SameSite(anything, only_local=True), "/", HTTP_HOST=host).status == status
    assert ask(SameSite(anything, only_local=False), "/", HTTP_HOST=host).status == 200


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("box", False),
    ],
)
def test_is_local_only_for_loopback_addresses(host: str, local: bool) -> None:
    assert is_local(host) is local
