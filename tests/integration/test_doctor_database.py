"""The doctor's checks of the database; no message holds a password."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.reporting.doctor import checks as module
from hpo.reporting.doctor.checks import clock, database
from hpo.storage.ping import DatabaseInfo, ping
from hpo.storage.revision import HEAD


def test_database_file_that_does_not_exist_is_ok_and_not_created(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    found = database(f"sqlite:///{path}")
    assert found.condition == "ok"
    assert str(path) in found.message
    assert not path.exists()


def test_database_file_that_cannot_be_created_is_a_problem(tmp_path: Path) -> None:
    found = database(f"sqlite:///{tmp_path / 'missing' / 'hpo.db'}")
    assert found.condition == "problem"
    assert f"{tmp_path / 'missing'} does not exist" in found.message


def test_database_file_of_another_kind_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "hpo.db").write_text("no database " * 1000)
    found = database(f"sqlite:///{tmp_path / 'hpo.db'}")
    assert found.condition == "problem"
    assert "is not an SQLite database" in found.message


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@127.0.0.1:1/x", "mysql://me:s3cret@host/x", "me:s3cret@host"]
)
def test_database_problem_shows_no_password(url: str) -> None:
    found = database(url)
    assert found.condition == "problem"
    assert "s3cret" not in found.message + found.remedy or "://" not in url


def test_database_in_use_is_described(storage_url: str) -> None:
    found = database(storage_url)
    assert found.condition == "ok"
    assert f"schema {HEAD}, answers in " in found.message
    kind = "SQLite 3." if storage_url.startswith("sqlite") else "PostgreSQL "
    assert kind in found.message


def test_database_without_hpo_tables_is_described(empty_storage_url: str) -> None:
    if empty_storage_url.startswith("sqlite"):
        Path(empty_storage_url.removeprefix("sqlite:///")).touch()
    assert ping(empty_storage_url).schema is None
    assert "no studies yet" in database(empty_storage_url).message


def test_database_slow_or_with_an_old_schema_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = DatabaseInfo("postgresql://host/x", "PostgreSQL 18", True, "0000", 250.0)
    monkeypatch.setattr(module, "ping", lambda url: slow)
    found = database("postgresql://host/x")
    assert found.condition == "warning"
    assert f"schema 0000 (`hpo run` upgrades it to {HEAD}), answers in 250.0 ms" in found.message


def test_database_with_a_newer_schema_is_a_problem(storage_url: str) -> None:
    from hpo.storage.engine import open_engine, writing
    from hpo.storage.revision import VERSION_TABLE

    engine = open_engine(storage_url)
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    engine.dispose()
    found = database(storage_url)
    assert found.condition == "problem"
    assert "a newer hpo created this database" in found.message


def test_clock_is_compared_with_the_database(storage_url: str) -> None:
    found = clock(storage_url)
    assert found.condition == "ok"
    if storage_url.startswith("sqlite"):
        assert found.message == "SQLite uses this machine's clock"
    else:
        assert "of the database's clock, which times the leases" in found.message


@pytest.mark.postgres
@pytest.mark.parametrize(("hours", "where"), [(2, "7,200 s ahead of"), (-1, "3,600 s behind")])
def test_clock_that_is_wrong_warns(
    hours: int, where: str, new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database("postgresql")
    here = time.time
    monkeypatch.setattr("hpo.storage.ping.time.time", lambda: here() + 3600 * hours)
    found = clock(url)
    assert found.condition == "warning"
    assert f"{where} the database's" in found.message
    assert "NTP" in found.remedy
