"""Storage URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import StorageUrlError
from hpo.redact import safe_url
from hpo.storage.url import parse_url, passwords, place


def test_a_files_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert parse_url("sqlite:///hpo.db").database == str(tmp_path / "hpo.db")
    assert parse_url("sqlite:///~/hpo.db").database == str(tmp_path / "home" / "hpo.db")
    assert parse_url("sqlite:////abs/a b{c}.db").database == "/abs/a b{c}.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_postgresql_is_reached_through_psycopg_3(scheme: str) -> None:
    url = parse_url(f"{scheme}://me:secret@db.example:5433/hpo?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.host, url.port, url.database, url.password) == ("db.example", 5433, "hpo", "secret")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hpo.db", "'hpo.db' is not a storage URL: use sqlite:///FILE .* or postgresql://"),
        ("", "is not a storage URL"),
        ("mysql://me:secret@host/db", "mysql is not supported: use sqlite:///FILE"),
        ("postgresql+asyncpg://me:secret@host/db", r"postgresql\+asyncpg is not supported"),
        ("sqlite://", "in memory cannot be shared"),
        ("sqlite:///:memory:", "in memory cannot be shared"),
        ("sqlite://host/hpo.db", "three slashes"),
        ("sqlite:///hpo.db?mode=ro", r"options after \? are not supported"),
        ("postgresql://me:secret@host", "names no database"),
        ("postgresql://me:sec@ret@host/db", "write an @ in the password as %40"),
        ("postgresql://me:sec/ret@host:port/db", "is not a storage URL"),
        ("sqlite:////tmp/caf\udce9/hpo.db", r"UTF-8, not b'/tmp/caf\\xe9/hpo.db': set HPO_STORAGE"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(text: str, message: str) -> None:
    with pytest.raises(StorageUrlError, match=message) as refused:
        parse_url(text)
    assert "sec" not in str(refused.value).replace("second", "")
    assert "ret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s@e:c/r?e#t@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:secret@/db?host=/tmp", "postgresql://:***@/db?host=/tmp"),
        ("postgresql://host/db?user=me&password=secret&a=b", "postgresql://host/db?user=me&password=***&a=b"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert safe_url(text) == shown


def test_a_place_is_a_path_or_a_url_without_a_password() -> None:
    assert place(parse_url("sqlite:////tmp/hpo.db")) == "/tmp/hpo.db"
    assert place(parse_url("postgres://me:secret@host/db")) == "postgresql://me:***@host/db"


def test_every_secret_of_a_url_is_known() -> None:
    url = parse_url("postgresql://me:one@host/db?password=two&sslpassword=three&user=me")
    assert passwords(url) == ["one", "two", "three"]
