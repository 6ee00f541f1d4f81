"""Whether the dashboard's port is free."""

from __future__ import annotations

import socket

import pytest

from hpo.reporting.doctor.checks import dashboard


def test_a_free_port_and_one_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = dashboard(port)
        assert found.condition == "warning"
        assert f"port {port} is in use" in found.message
        assert "--port 0" in found.remedy
    found = dashboard(port)
    assert (found.condition, found.message) == ("ok", f"port {port} is free for `hpo dashboard`")


def test_a_port_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    found = dashboard(80)
    assert found.condition == "warning"
    assert "Permission denied" in found.message and "--port N" in found.remedy
