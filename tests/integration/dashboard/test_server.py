from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import optuna
import pytest

from hpo.errors import StorageError, UserError
from hpo.reporting.dashboard.app import Access, make_app
from hpo.reporting.dashboard.server import make_server
from tests.helpers import forked

TOKEN = "0123456789abcdef"
ODD_NAMES = ["<script>alert(1)</script>/../../e\u0301🚀", "two\r\nX: lines"]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def odd_url(url: str) -> str:
    """The database with studies with odd names in addition to the plain one."""
    for name in ODD_NAMES:
        optuna.create_study(storage=url, study_name=name).add_trial(optuna.trial.create_trial(value=1.0))
    return url


@pytest.fixture(scope="module")
def port(odd_url: str) -> Iterator[int]:
    """The port of a running `hpo dashboard`, which Ctrl-C stops."""
    command = ["-m", "hpo", "dashboard", "--storage", odd_url, "--port", "0"]
    with forked.ForkedPython(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HPO_DASHBOARD_TOKEN": TOKEN},
    ) as process:
        assert process.stdout is not None
        link, _, rest = process.stdout.readline().partition("  ")
        assert rest == "(read-only; press Ctrl-C to stop)\n"
        assert link.endswith(f"/dashboard/?token={TOKEN}")
        yield urlsplit(link).port or 0
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)


def fetch(port: int, path: str, **headers: str) -> tuple[int, HTTPMessage, bytes]:
    """Status, headers and body."""
    given = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "gzip", **headers}
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_app_shows_studies_and_the_curve_of_a_running_trial(url: str, ask: Ask) -> None:
    app = make_app(url, Access())
    local = {"HTTP_HOST": "127.0.0.1"}
    studies = json.loads(ask(app, "/api/studies", **local).body)["study_summaries"]
    assert studies[0]["study_name"] == "demo"
    (trial,) = json.loads(ask(app, "/api/studies/1", **local).body)["trials"]
    assert (trial["state"], trial["intermediate_values"]) == ("Running", [{"step": 1, "value": 0.25}])


def test_server_requires_the_token(port: int) -> None:
    assert fetch(port, "/api/studies")[0] == 200
    status, headers, _ = fetch(port, "/api/studies", Authorization="")
    assert status == 401
    assert headers["Server"] is None


def test_server_with_odd_study_names_is_safe(port: int) -> None:
    _, _, studies = fetch(port, "/api/studies")
    assert [each["study_name"] for each in json.loads(studies)["study_summaries"]] == ["demo", *ODD_NAMES]
    status, headers, table = fetch(port, "/csv/2")
    assert (status, table.splitlines()[0]) == (200, b"Number,State,Value")
    assert not set("/<>") & set(headers["Content-Disposition"])
    status, headers, _ = fetch(port, "/csv/3")
    assert (status, headers["X"], headers["Content-Disposition"].count("two-X-lines.csv")) == (200, None, 2)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/static//etc/passwd",
        "/artifacts/1/../../../etc/passwd",
        "/artifacts/1/1/..%2f..%2fetc%2fpasswd",
        "/artifacts/1/1/abc-0",
        "/artifacts/99/99/abc-0",
        "/artifacts/99/abc-0",
    ],
)
def test_server_serves_no_other_files(port: int, path: str) -> None:
    status, _, body = fetch(port, path)
    assert status in (400, 403, 404)
    assert b"root:" not in body


def test_server_refuses_a_huge_upload_before_reading_it(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            b"POST /api/artifacts/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_make_server_names_a_port_in_use(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is in use: choose another one with --port"):
            make_server(url, "127.0.0.1", port, Access())


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_make_server_refuses_another_machines_address(url: str, host: str) -> None:
    with pytest.raises(UserError, match=f"this machine has no address {host}"):
        make_server(url, host, 0, Access(TOKEN))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_make_server_without_login_only_listens_locally(url: str, host: str) -> None:
    with pytest.raises(UserError, match="without a login the dashboard may only listen on this machine"):
        make_server(url, host, 0, Access())


def test_make_server_refuses_a_proxy_that_is_not_an_address(url: str) -> None:
    with pytest.raises(UserError, match="--trusted-proxy must be the IP address of a proxy"):
        make_server(url, "127.0.0.1", 0, Access(TOKEN, trusted_proxy="*"))


def test_make_app_refuses_a_database_without_studies(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="has no studies"):
        make_app(f"sqlite:///{tmp_path}/empty.db", Access())
