"""What the system refused, in words."""

from __future__ import annotations

import errno

import pytest

from hpo.reporting.system_errors import explain_system_error
from hpo.settings import settings


def test_explain_names_the_variable_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_ARTIFACTS", "/srv/kept")
    settings.cache_clear()
    refused = PermissionError(errno.EACCES, "Permission denied", "/srv/kept/a/b")
    assert explain_system_error(refused) == (
        "/srv/kept/a/b: Permission denied; set $HPO_ARTIFACTS to use another folder than /srv/kept"
    )


def test_explain_names_tmpdir() -> None:
    missing = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert explain_system_error(missing).endswith("set $TMPDIR to a writable folder")


def test_explain_leaves_errors_without_a_path_to_others() -> None:
    assert explain_system_error(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) == ""
    assert explain_system_error(OSError("odd")) == ""
