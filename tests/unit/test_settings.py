from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.settings import DEFAULT_STORAGE, expanded, settings
from hpo.storage.url import parse_url


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


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, in an environment without ``HOME``."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HPO_CACHE", "HPO_DATA", "HPO_ARTIFACTS"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("homeless")
def test_settings_without_a_home_name_the_variables_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"set \$HOME, or \$HPO_CACHE, \$HPO_DATA, \$HPO_ARTIFACTS to folders"
    ):
        settings()
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    with pytest.raises(UserError, match=r"set \$HOME, or \$HPO_ARTIFACTS to folders"):
        settings()


@pytest.mark.usefixtures("homeless")
def test_settings_need_no_home_if_each_folder_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "DATA", "ARTIFACTS"):
        monkeypatch.setenv(f"HPO_{name}", f"/srv/{name.lower()}")
    found = settings()
    assert (found.cache, found.artifacts) == (Path("/srv/cache"), Path("/srv/artifacts"))
    assert found.checkpoints == Path("/srv/cache/checkpoints")
    assert Path.home() == Path("/srv/cache")  # for Matplotlib and Ray


def test_tilde_is_the_home_and_a_missing_one_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("HPO_CACHE", "~/cache")
    assert settings().cache == Path("/home/ada/cache")
    assert parse_url("sqlite:///~/hpo.db").database == "/home/ada/hpo.db"
    with pytest.raises(UserError, match="~no-such-user/x: there is no home folder of user no-such-user"):
        expanded(Path("~no-such-user/x"))
