from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.settings import DEFAULT_STORAGE, settings


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_LEASE_SECONDS", "abc")
    monkeypatch.setenv("HPO_DOWNLOAD_SECONDS", "-1")
    with pytest.raises(UserError, match=r"\$HPO_LEASE_SECONDS = 'abc'[^$]*\$HPO_DOWNLOAD_SECONDS = '-1'"):
        settings()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE", "")
    assert settings().storage == DEFAULT_STORAGE


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://hpo@db/hpo", "postgresql://hpo:a%40%2F%3A%20b@db/hpo"),
        ("postgresql://hpo:own@db/hpo", "postgresql://hpo:own@db/hpo"),
        ("sqlite:///hpo.db", "sqlite:///hpo.db"),
        ("nonsense", "nonsense"),
    ],
)
def test_the_password_of_the_storage_may_be_in_a_file(
    url: str, whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("a@/: b\n")
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.setenv("HPO_STORAGE_PASSWORD_FILE", str(tmp_path / "password"))
    assert settings().storage == whole


def test_a_password_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STORAGE_PASSWORD_FILE", "/nowhere/password")
    with pytest.raises(UserError, match="password cannot be read from /nowhere/password: No such file"):
        settings()
