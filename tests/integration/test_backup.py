"""Backups of SQLite while workers write; what is refused."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import StorageError, UserError
from hpo.maintenance import backup as module
from hpo.maintenance.backup import back_up
from hpo.maintenance.check import check_database
from tests.conftest import NewDatabase
from tests.database.conftest import write_everything


@pytest.fixture
def path(new_database: NewDatabase) -> Path:
    return Path(new_database("sqlite", write_everything).removeprefix("sqlite:///"))


def _ignore(done: int, total: int) -> None:
    pass


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_backup_is_one_file_with_everything_and_is_replaced_in_one_step(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "nightly.db"
    target.parent.mkdir()
    heard: list[tuple[int, int]] = []
    done = back_up(f"sqlite:///{path}", target, lambda *pages: heard.append(pages))
    assert (done.path, done.bytes) == (target, target.stat().st_size)
    assert heard[-1][0] == heard[-1][1] > 0
    assert _dump(target) == _dump(path)
    back_up(f"sqlite:///{path}", target, _ignore)
    assert [each.name for each in target.parent.iterdir()] == ["nightly.db"]
    assert check_database(f"sqlite:///{target}") == []


def test_workers_write_on_and_the_copy_is_one_instant(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows change together, again and again, while pages are copied; they are equal in the copy."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE pair (id INTEGER PRIMARY KEY, n INTEGER, filler BLOB)")
        connection.executemany("INSERT INTO pair VALUES (?, 0, zeroblob(3000))", [(i,) for i in range(500)])
        connection.commit()
    monkeypatch.setattr(module, "PAGES", 5)
    steps = 0
    writes = 0

    def write_meanwhile(done: int, total: int) -> None:
        nonlocal steps, writes
        steps += 1
        with closing(sqlite3.connect(path, timeout=0)) as writer:
            writer.execute("UPDATE pair SET n = n + 1")
            writer.commit()
            writes += 1

    back_up(f"sqlite:///{path}", tmp_path / "copy.db", write_meanwhile)
    assert writes == steps > 20
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT DISTINCT n FROM pair").fetchall() == [(0,)]


def test_a_copy_that_is_not_sound_is_not_kept(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "old.db"
    back_up(f"sqlite:///{path}", target, _ignore)
    before = target.read_bytes()
    copy = module._copy

    def copy_badly(*arguments: object) -> None:
        copy(*arguments)  # type: ignore[arg-type]
        temporary = arguments[1]
        assert isinstance(temporary, Path)
        whole = temporary.read_bytes()
        temporary.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])

    monkeypatch.setattr(module, "_copy", copy_badly)
    with pytest.raises((StorageError, sqlite3.DatabaseError)):
        back_up(f"sqlite:///{path}", target, _ignore)
    assert target.read_bytes() == before
    assert {each.name for each in tmp_path.glob(".old.db*")} == set()


def test_targets_that_are_not_backups_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    for target, why in [
        (path, "is the database itself"),
        (tmp_path, "is a folder"),
        (tmp_path / "notes.txt", "is not an earlier backup"),
        (tmp_path / "missing" / "x.db", "No such file or directory|there is no folder"),
    ]:
        with pytest.raises((UserError, StorageError), match=why):
            back_up(f"sqlite:///{path}", target, _ignore)
    assert (tmp_path / "notes.txt").read_text() == "dear diary"
    with pytest.raises(StorageError, match="there is no database"):
        back_up(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "x.db", _ignore)


def test_for_postgresql_the_command_is_reported_without_the_password(tmp_path: Path) -> None:
    url = "postgresql://ada:S3cret@db.example.org:5433/results"
    with pytest.raises(UserError) as refused:
        back_up(url, tmp_path / "x.dump", _ignore)
    said = str(refused.value)
    assert (
        f"pg_dump --format=custom --file={tmp_path}/x.dump postgresql://ada@db.example.org:5433/results"
        in said
    )
    assert "S3cret" not in said and "***" not in said


def test_two_backups_at_once_do_not_meet(path: Path, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=back_up, args=(f"sqlite:///{path}", tmp_path / "same.db", _ignore))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _dump(tmp_path / "same.db") == _dump(path)
