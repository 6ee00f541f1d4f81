"""`hpo db check`: each kind of damage is made, found, and put right where that is possible."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna_dashboard import wsgi
from sqlalchemy import NullPool, create_engine, text

from hpo.cli.app import run_command
from hpo.errors import StorageError
from hpo.maintenance.check import CHECKS, Damage, check_database
from hpo.storage.optuna.storage import open_optuna_storage
from hpo.storage.store import ResultsStore
from hpo.storage.url import parse_url
from tests.conftest import Fill
from tests.database.conftest import write_everything
from tests.helpers.local_worker import local_worker, namesake

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def contents() -> Fill:
    return write_everything


@pytest.fixture
def url(storage_url: str) -> str:
    """A database with one of everything, in which all is well."""
    return storage_url


def damage(url: str, *statements: str) -> None:
    """Change rows without hpo, and on SQLite without foreign keys, as Optuna's own connections do."""
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.format(**_TRIALS)))
    engine.dispose()


def found(url: str, repair: bool = False) -> list[Damage]:
    return check_database(url, repair=repair)


_NUMBERED = """(
    SELECT t.trial_id FROM trials AS t JOIN studies AS s ON s.study_id = t.study_id
    WHERE t.number = {} AND s.study_name = 'everything'
)"""
_OF = {"first": 0, "pruned": 2, "running": 4, "interrupted": 5}
_TRIALS = {name: _NUMBERED.format(number) for name, number in _OF.items()}

# check -> what breaks it, the trial's number, a part of the message
Cases = dict[str, tuple[tuple[str, ...], int | None, str]]
REPAIRABLE: Cases = {
    "leases": (
        ("UPDATE hpo_slot SET lease_until = 5.0 WHERE state = 'running'",),
        4, "slot 4 is held by host:1:0.00",
    ),
    "disagreements": (
        ("UPDATE trials SET state = 'FAIL' WHERE trial_id = {first}",),
        0, "its state is fail in Optuna and complete in hpo",
    ),
    "slots": (
        ("UPDATE hpo_slot SET state = 'waiting' WHERE trial_id = {first}",),
        0, "slot 0 is waiting, its trial complete",
    ),
    "unplanned": (("DELETE FROM hpo_slot WHERE trial_id = {first}",), 0, "it has no slot 0"),
    "open_attempts": (
        ("UPDATE hpo_attempt SET outcome = NULL WHERE trial_id = {interrupted}",),
        5, "attempt 1 of host:1:0.00",
    ),
    "untold": (
        ("UPDATE trials SET state = 'RUNNING' WHERE trial_id = {pruned}",), 2, "it ended as pruned",
    ),
    "sums": (
        ("UPDATE hpo_trial SET epochs = 7 WHERE trial_id = {first}",),
        0, "number of epochs is 7, but its curve has 3",
    ),
    "views": (("DROP VIEW leaderboard",), None, "the view leaderboard is missing"),
}  # fmt: skip
BEYOND_REPAIR: Cases = {
    "curve_holes": (
        (
            "DELETE FROM hpo_epoch WHERE epoch = 2 AND trial_id = {first}",
            "UPDATE hpo_trial SET epochs = 2, images = 6000 WHERE trial_id = {first}",
        ),
        0, "epochs missing in its curve: 1",
    ),
    "numbers": (
        ("UPDATE trials SET number = 5 WHERE trial_id = {running}",), 5, "trials with this number: 2",
    ),
    "told_twice": (
        (
            "INSERT INTO hpo_attempt "
            "(trial_id, attempt, worker, host, pid, device, started_at, from_epoch, outcome) "
            "SELECT trial_id, 2, worker, host, pid, device, started_at, 0, 'pruned' FROM hpo_attempt "
            "WHERE trial_id = {first}",
        ),
        0, "attempts that ended it: 2",
    ),
    "statistics": (
        ("UPDATE hpo_trial SET statistics_hash = NULL WHERE trial_id = {first}",),
        0, "statistics are not stored",
    ),
    "altered_statistics": (
        ("INSERT INTO hpo_statistics SELECT study_id, 'a' || substr(hash, 2, 9), state FROM hpo_statistics",),
        None, "have changed since they were stored",
    ),
}  # fmt: skip


def test_where_all_is_well_nothing_is_found(url: str) -> None:
    assert found(url) == []
    assert found(url, repair=True) == []


@pytest.mark.parametrize("check", REPAIRABLE)
def test_damage_is_found_and_repaired(url: str, check: str) -> None:
    statements, number, message = REPAIRABLE[check]
    damage(url, *statements)
    (problem,) = [each for each in found(url) if each.check == check]
    assert message in problem.message
    assert problem.number == number
    assert problem.study == (None if number is None else "everything")
    (repaired,) = [each for each in found(url, repair=True) if each.check == check]
    assert repaired.repaired
    assert found(url) == []


@pytest.mark.parametrize("check", BEYOND_REPAIR)
def test_damage_that_cannot_be_repaired_remains(url: str, check: str, capsys: Capture) -> None:
    statements, number, message = BEYOND_REPAIR[check]
    damage(url, *statements)
    for repair in (False, True):
        problems = [each for each in found(url, repair) if each.check == check]
        assert problems and all(message in each.message and not each.repaired for each in problems)
        assert problems[0].number == number
    assert run_command(["db", "check", "--repair", "--storage", url]) == 1
    assert check in capsys.readouterr().out


def test_every_check_is_tested() -> None:
    elsewhere = {"integrity", "orphaned_studies", "orphaned_trials", "dangling_rows", "foreign_trials"}
    assert REPAIRABLE.keys() | BEYOND_REPAIR.keys() | elsewhere == CHECKS.keys()


def test_what_a_repair_does_is_what_it_says(url: str) -> None:
    """The lease is given back, Optuna is told, hpo follows Optuna."""
    damage(url, *(each for check in ("leases", "disagreements", "untold") for each in REPAIRABLE[check][0]))
    found(url, repair=True)
    with ResultsStore(url) as store, store.engine.connect() as connection:
        sql = "SELECT number, state FROM results WHERE study = 'everything' ORDER BY number"
        states = {row.number: row.state for row in connection.execute(text(sql))}
        slot = connection.execute(text("SELECT state, worker FROM hpo_slot WHERE slot = 4")).one()
        attempts = f"SELECT outcome FROM hpo_attempt WHERE trial_id = {_TRIALS['running']} ORDER BY attempt"
        assert connection.scalars(text(attempts)).all() == ["lost", "lost"]
        outcome = f"SELECT outcome, value FROM hpo_trial WHERE trial_id = {_TRIALS['first']}"
        assert tuple(connection.execute(text(outcome)).one()) == ("failed", 0.7)
    assert (states[0], states[2], states[4]) == ("failed", "pruned", "waiting")
    assert tuple(slot) == ("waiting", None)


def test_check_finds_a_dead_local_lease_before_it_expires(url: str) -> None:
    worker = local_worker(999999999)
    damage(url, f"UPDATE hpo_slot SET worker = '{worker}' WHERE state = 'running'")
    (problem,) = found(url)
    assert problem.message == f"slot 4 is held by {worker}, which is dead"


def test_check_leaves_a_worker_that_it_cannot_see_its_lease(url: str) -> None:
    damage(url, f"UPDATE hpo_slot SET worker = '{namesake(999999999)}' WHERE state = 'running'")
    assert found(url) == []


@pytest.fixture
def optunas_storage(url: str) -> Iterator[RDBStorage]:
    location = parse_url(url).render_as_string(hide_password=False)
    storage = RDBStorage(location, engine_kwargs={"poolclass": NullPool})
    yield storage
    storage.engine.dispose()


def test_a_trial_added_with_optunas_tools_is_only_noted(
    url: str, optunas_storage: RDBStorage, capsys: Capture
) -> None:
    optuna.load_study(study_name="everything", storage=optunas_storage).enqueue_trial({"lr": 0.5})
    (note,) = found(url)
    assert (note.check, note.number, note.only_a_note) == ("foreign_trials", 6, True)
    assert run_command(["db", "check", "--storage", url]) == 0
    assert "note  foreign_trials  everything trial 6" in capsys.readouterr().out


def _rows(url: str) -> dict[str, int]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        tables = (
            "study",
            "study_finding",
            "statistics",
            "trial",
            "slot",
            "attempt",
            "epoch",
            "layer",
            "finding",
        )
        counts = {each: connection.scalar(text(f"SELECT count(*) FROM hpo_{each}")) for each in tables}
    return {table: count or 0 for table, count in counts.items()}


def test_a_study_deleted_with_optunas_tools_leaves_nothing_after_a_repair(
    url: str, optunas_storage: RDBStorage
) -> None:
    assert all(_rows(url).values())
    optuna.delete_study(study_name="everything", storage=optunas_storage)
    before = found(url)
    # PostgreSQL removes everything by its foreign keys at once.
    if url.startswith("sqlite"):
        assert {each.check for each in before} == {"orphaned_studies", "orphaned_trials", "dangling_rows"}
    else:
        assert before == []
    assert all(each.repaired for each in found(url, repair=True))
    assert found(url) == []
    assert _rows(url) == dict.fromkeys(_rows(url), 0)


def test_a_study_deleted_in_the_dashboard_leaves_nothing_at_once(url: str) -> None:
    """The dashboard's connections are ours, and enforce foreign keys on SQLite too."""
    with ResultsStore(url) as store, store.engine.connect() as connection:
        named = text("SELECT study_id FROM studies WHERE study_name = 'everything'")
        study_id = connection.scalar(named)
    storage = open_optuna_storage(url)
    app = wsgi(storage)
    status: list[str] = []
    request = {
        "REQUEST_METHOD": "DELETE",
        "PATH_INFO": f"/api/studies/{study_id}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "2",
        "wsgi.input": io.BytesIO(b"{}"),
        "wsgi.errors": io.StringIO(),
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    list(app(request, lambda said, headers, *_: status.append(said)))
    storage._backend.engine.dispose()  # type: ignore[attr-defined]
    assert status == ["204 No Content"]
    assert _rows(url) == dict.fromkeys(_rows(url), 0)
    assert found(url) == []


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_rows_that_belong_to_nothing_are_removed(url: str) -> None:
    """SQLite lets a program without `PRAGMA foreign_keys` make them."""
    damage(url, "DELETE FROM hpo_trial WHERE trial_id = {first}")
    checks = {each.check for each in found(url)}
    assert "dangling_rows" in checks
    assert all(each.repaired for each in found(url, repair=True) if not each.only_a_note)
    (note,) = found(url)
    assert note.check == "foreign_trials"
    with ResultsStore(url) as store, store.engine.connect() as connection:
        slot = connection.execute(text("SELECT state, trial_id, epoch FROM hpo_slot WHERE slot = 0")).one()
    assert tuple(slot) == ("waiting", None, 0)


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_damaged_file_is_found(url: str) -> None:
    path = parse_url(url).database
    damage(url, "PRAGMA wal_checkpoint(TRUNCATE)")
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        root = connection.scalar(
            text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_hpo_finding_check'")
        )
    engine.dispose()
    with Path(str(path)).open("r+b") as file:
        file.seek((root - 1) * 4096 + 4000)
        file.write(b"\xff" * 90)
    try:
        assert "integrity" in {each.check for each in found(url)}
    except StorageError as error:
        assert "is damaged: restore it from a backup" in str(error)


def test_the_answer_for_programs(url: str, capsys: Capture) -> None:
    damage(url, *REPAIRABLE["untold"][0])
    assert run_command(["db", "check", "--json", "--storage", url]) == 1
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["checks"] == list(CHECKS)
    (problem,) = said["problems"]
    assert (problem["check"], problem["study"], problem["repaired"]) == ("untold", "everything", False)
