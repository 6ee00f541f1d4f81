"""``hpo dashboard``: where its token comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.app import run_command
from hpo.reporting.dashboard import server
from hpo.reporting.dashboard.app import Access
from hpo.settings import settings

GIVEN, SET, KEPT = "given-by-an-option", "set-in-environment", "kept-in-a-file-x"


class Served:
    """Stands for the server, and keeps what it was made with."""

    def __init__(self, url: str, host: str, port: int, access: Access) -> None:
        self.address, self.access = f"http://{host}:{port}/dashboard/", access
        Served.last = self

    last: Served

    def serve(self) -> None:
        return


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch, demo: str) -> Iterator[None]:
    monkeypatch.setattr(server, "make_server", Served)
    yield
    settings.cache_clear()


@pytest.fixture
def _token_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_DASHBOARD_TOKEN", SET)
    settings.cache_clear()


def test_dashboard_prints_a_link_with_a_new_token(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run_command(["dashboard"]) == 0
        token = Served.last.access.token
        printed = capsys.readouterr().out
        assert (
            printed == f"http://127.0.0.1:8080/dashboard/?token={token}  (read-only; press Ctrl-C to stop)\n"
        )
    assert run_command(["dashboard"]) == 0
    assert token is not None and Served.last.access.token not in (None, token)


@pytest.mark.usefixtures("_token_set")
@pytest.mark.parametrize(
    ("options", "token"), [([], SET), (["--token", GIVEN], GIVEN), (["--no-login"], None)]
)
def test_dashboard_token_option_beats_the_environment(options: list[str], token: str | None) -> None:
    assert run_command(["dashboard", *options]) == 0
    assert Served.last.access == Access(token)


def test_dashboard_token_from_a_file_is_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(f"{KEPT}\nsecond line\n")
    assert run_command(["dashboard", "--writable", "--token-file", str(tmp_path / "token")]) == 0
    assert Served.last.access == Access(KEPT, writable=True)
    assert capsys.readouterr().out == "http://127.0.0.1:8080/dashboard/  (writable; press Ctrl-C to stop)\n"


def test_dashboard_on_a_public_address_warns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["dashboard", "--host", "0.0.0.0"]) == 0
    assert "are sent unencrypted" in capsys.readouterr().err
    assert run_command(["dashboard", "--host", "0.0.0.0", "--trusted-proxy", "10.0.0.1"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--token", "short"], "5 characters: use at least 16"),
        (["--token", GIVEN, "--no-login"], "are mutually exclusive: use one of them"),
        (["--token-file", "/no/such"], "the token cannot be read from /no/such: No such file or directory"),
    ],
)
def test_dashboard_reports_bad_token_options(capsys: Any, options: list[str], wrong: str) -> None:
    assert run_command(["dashboard", *options]) == 2
    assert wrong in capsys.readouterr().err
