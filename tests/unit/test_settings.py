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
