from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from wsgiref.util import setup_testing_defaults

import optuna
import pytest

from hpo.errors import StorageError, UserError
from hpo.reporting.dashboard import is_local, make_app, make_server


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with a plain Optuna study whose trial still runs."""
    url = f"sqlite:///{tmp_path}/d.db"
    trial = optuna.create_study(storage=url, study_name="demo", direction="maximize").ask()
    trial.report(0.25, step=1)
    return url


def answer(url: str, path: str) -> Any:
    """The JSON that the application answers to a GET."""
    status: list[str] = []
    environment: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environment)
    body = b"".join(make_app(url)(environment, lambda line, *_: status.append(line)))
    assert status == ["200 OK"]
    return json.loads(body)


def test_shows_studies_and_the_curve_of_a_running_trial(url: str) -> None:
    studies = answer(url, "/api/studies")["study_summaries"]
    assert [study["study_name"] for study in studies] == ["demo"]
    (trial,) = answer(url, "/api/studies/1")["trials"]
    assert (trial["state"], trial["intermediate_values"]) == ("Running", [{"step": 1, "value": 0.25}])


def test_serves_on_a_free_port_until_ctrl_c(url: str) -> None:
    command = [sys.executable, "-m", "hpo", "dashboard", "--storage", url, "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell ignores Ctrl-C
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        with urlopen(address, timeout=30) as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)


def test_a_port_in_use_is_named(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is in use: name another one with --port"):
            make_server(url, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 300])
def test_an_address_of_another_machine_is_refused(url: str, host: str) -> None:
    with pytest.raises(UserError, match=f"this machine has no address {host}"):
        make_server(url, host, 0)


def test_a_database_without_studies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="holds no studies"):
        make_app(f"sqlite:///{tmp_path}/empty.db")


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
def test_only_loopback_addresses_are_local(host: str, local: bool) -> None:
    assert is_local(host) is local
