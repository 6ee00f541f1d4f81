"""A database that is taken away while it is in use: it is noticed, and nothing is written any more."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, make_url, select, text

from hpo.errors import DatabaseTakenError, LeaseLostError, StorageError
from hpo.maintenance.backup import back_up
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.worker_registry import WorkerRegistration, require_registered
from hpo.storage.engine import open_reader, reading
from hpo.storage.presence import log_of, stray_logs
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow, StudyRow, WorkerRow
from tests.conftest import NewDatabase
from tests.database.conftest import Bench

Take = Callable[[Path, Path], object]
CASES: dict[str, tuple[Take, str]] = {
    "deleted": (lambda path, _: path.unlink(), "hpo.db was deleted while it was in use. Restore it"),
    "moved": (
        lambda path, _: path.rename(path.with_name("old.db")),
        "hpo.db was moved to .*old.db while it was in use. Move it back. hpo.db-wal and hpo.db-shm belong",
    ),
    "copied_over": (
        lambda path, backup: shutil.copyfile(backup, path),
        "hpo.db was overwritten while it was in use. Remove hpo.db-wal and hpo.db-shm",
    ),
    "renamed_over": (
        lambda path, backup: backup.rename(path),
        "hpo.db was replaced by another file while it was in use",
    ),
    "log_removed": (
        lambda path, _: [path.with_name(f"hpo.db-{each}").unlink() for each in ("wal", "shm")],
        "hpo.db-wal and hpo.db-shm were removed while .*hpo.db was in use: they belong to it",
    ),
    "all_removed": (
        lambda path, _: [each.unlink() for each in path.parent.glob("hpo.db*")],
        "hpo.db was deleted while it was in use",
    ),
}
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)


def _count(store: ResultsStore) -> int:
    return store.read(lambda connection: len(connection.execute(select(StudyRow.name)).all()))


def _clear(table: Any, connection: Connection) -> None:
    connection.execute(delete(table))


def _path(bench: Bench) -> Path:
    return Path(bench.store.url.removeprefix("sqlite:///"))


@SQLITE
@pytest.mark.parametrize("case", CASES)
def test_database_taken_away_is_noticed_at_the_next_transaction(
    case: str, bench: Bench, tmp_path: Path
) -> None:
    take, told = CASES[case]
    bench.register()
    path = _path(bench)
    back_up(bench.store.url, tmp_path / "backup.db", lambda done, total: None)
    assert _count(bench.store) == 1
    files = {each.name for each in tmp_path.iterdir()}
    take(path, tmp_path / "backup.db")
    left = {each.name for each in tmp_path.iterdir()}
    for use in (_count, lambda store: store.write(lambda connection: connection.execute(text("SELECT 1")))):
        with pytest.raises(DatabaseTakenError, match=told) as taken:
            use(bench.store)
        assert "Checkpoints are kept" in str(taken.value) and "hpo db backup -o" in str(taken.value)
    bench.store.close()
    assert {each.name for each in tmp_path.iterdir()} == left <= files | {"old.db"}


@SQLITE
def test_backup_copied_over_a_database_in_use_is_not_mixed_with_its_log(bench: Bench, tmp_path: Path) -> None:
    path, backup = _path(bench), tmp_path / "backup.db"
    back_up(bench.store.url, backup, lambda done, total: None)
    bench.register()
    shutil.copyfile(backup, path)
    bench.store.close()
    assert path.read_bytes() == backup.read_bytes()
    with pytest.raises(StorageError, match="belongs to an earlier database, over which this one was copied"):
        ResultsStore(bench.store.url)
    for each in ("wal", "shm"):
        path.with_name(f"hpo.db-{each}").unlink()
    reader = open_reader(bench.store.url)
    with reading(reader) as connection:
        assert connection.execute(select(StudyRow.name)).all() == []
    reader.dispose()


@SQLITE
def test_log_of_another_database_is_not_taken_for_this_ones(
    bench: Bench, new_database: NewDatabase, tmp_path: Path
) -> None:
    bench.register()
    other = Path(new_database("sqlite").removeprefix("sqlite:///"))
    with ResultsStore(f"sqlite:///{other}") as store:
        Bench(store).register("other")
    assert not log_of(other).exists()
    _path(bench).unlink()
    assert log_of(_path(bench)).exists() and stray_logs(other) == []
    with pytest.raises(DatabaseTakenError):
        _count(bench.store)


@SQLITE
def test_log_that_was_left_behind_is_found(bench: Bench, tmp_path: Path) -> None:
    bench.register()
    assert stray_logs(_path(bench)) == []
    moved = _path(bench).rename(tmp_path / "old.db")
    assert stray_logs(moved) == [tmp_path / "hpo.db-wal"]
    with pytest.raises(DatabaseTakenError):
        _count(bench.store)
    bench.store.close()
    (tmp_path / "hpo.db-wal").rename(tmp_path / "old.db-wal")
    with ResultsStore(f"sqlite:///{moved}") as whole:
        assert _count(whole) == 1


@SQLITE
def test_locks_of_a_database_stay_while_its_header_is_read(bench: Bench) -> None:
    """Closing any descriptor of a file would drop them: another process would then remove the log."""
    bench.register()
    for _ in range(3):
        _count(bench.store)
        with closing(sqlite3.connect(_path(bench))) as other:  # would be the last one to close
            other.execute("SELECT count(*) FROM hpo_study").fetchone()
    read = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM hpo_study')"
    subprocess.run([sys.executable, "-c", read, str(_path(bench))], check=True)
    assert _path(bench).with_name("hpo.db-wal").exists()
    assert _count(bench.store) == 1


def test_reader_opens_the_database_that_is_there_now(bench: Bench, tmp_path: Path) -> None:
    if not bench.store.url.startswith("sqlite"):
        pytest.skip("of files")
    back_up(bench.store.url, tmp_path / "backup.db", lambda done, total: None)
    bench.register()
    bench.store.close()
    reader = open_reader(bench.store.url)
    names = select(StudyRow.name)
    with reading(reader) as connection:
        assert len(connection.execute(names).all()) == 1
    (tmp_path / "backup.db").rename(_path(bench))
    with reading(reader) as connection:
        assert connection.execute(names).all() == []
    _path(bench).unlink()
    with pytest.raises(StorageError, match="there is no database"), reading(reader):
        pass
    reader.dispose()


def test_worker_notices_a_database_restored_to_an_earlier_state(bench: Bench) -> None:
    worker = "host:1:0.00"
    registration = WorkerRegistration(bench.store, worker, device="cpu")
    lease = bench.claim(bench.register(), worker)
    require_registered(bench.store, worker)
    keeper = LeaseKeeper(bench.store, lease, 600.0)
    keeper.tick()
    for table in (SlotRow, WorkerRow):
        bench.store.write(partial(_clear, table))
    with pytest.raises(LeaseLostError):
        keeper.tick()
    with pytest.raises(DatabaseTakenError, match="restored to an earlier state"):
        require_registered(bench.store, worker)
    registration._last_heartbeat -= 3600.0
    with pytest.raises(DatabaseTakenError, match="restored to an earlier state"):
        registration.heartbeat()


def test_database_without_its_tables_is_taken_away(bench: Bench) -> None:
    bench.store.write(lambda connection: connection.execute(text("ALTER TABLE hpo_slot RENAME TO lost")))
    with pytest.raises(DatabaseTakenError, match="was deleted, restored to an earlier state or replaced"):
        bench.store.read(lambda connection: connection.execute(select(SlotRow.slot)).all())


@pytest.mark.postgres
def test_dropped_database_is_not_waited_for(new_database: NewDatabase) -> None:
    url = new_database("postgresql")
    with ResultsStore(url) as store:
        assert _count(store) == 0
        server = make_url(url).set(drivername="postgresql+psycopg", database="postgres")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))
            with pytest.raises(StorageError, match="if it was dropped, restore it from a backup"):
                _count(store)
            connection.execute(text(f"CREATE DATABASE {make_url(url).database}"))  # which the fixture drops
        engine.dispose()


def test_worker_creates_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseTakenError, match="was deleted"):
        ResultsStore(f"sqlite:///{tmp_path / 'hpo.db'}", create=False)
    assert list(tmp_path.iterdir()) == []
