"""The roles of `hpo db roles` on a real PostgreSQL: each may do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import make_url

from hpo.cli.app import run_command
from hpo.config.study import StudySpec
from hpo.diagnosis.refresh import replace_findings
from hpo.errors import StorageError
from hpo.events import EpochDone, Event
from hpo.maintenance.check import check_database
from hpo.queue import control
from hpo.records import StudyFinding
from hpo.reporting.dashboard.app import Access, Dashboard, make_app
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage import schema
from hpo.storage.roles import ROLES, SUBMITTER, VIEWER, WORKER, apply
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study
from tests.helpers.one_of_everything import Images, make_ours

pytestmark = pytest.mark.postgres
OWNER = "hpo_test_owner"
FIXED: dict[str, Any] = {
    "dataset": "synthetic", "train_images": 100, "width": 4, "depth": 2, "epochs": 2, "batch_size": 25,
    "precision": "fp32",
}  # fmt: skip
LEARNING = {
    **FIXED,
    "train_images": 400,
    "width": 8,
    "batch_size": 5,
    "optimizer": "adam",
    "augmentation": "none",
}
"""Well enough that there is something to confirm."""
NARROW = {"lr": {"log": [2e-3, 1e-2]}}
STAGED = {
    "study": "staged", "trials": 8, "checks": "off", "fixed": LEARNING, "space": NARROW,
    "stages": [{"name": "coarse", "trials": 3}, {"name": "sure", "confirm": {"top": 2, "seeds": 2}}],
}  # fmt: skip
PRUNED = {
    "study": "pruned", "trials": 3, "sampler": {"cmaes": {"startup": 1}},
    "pruner": {"asha": {"reduction": 2, "min_epochs": 1}},
    "fixed": {**FIXED, "preprocessing": "zca"}, "space": {**NARROW, "momentum": {"uniform": [0.5, 0.9]}},
}  # fmt: skip
OTHER = "study: other\ntrials: 1\nfixed: {dataset: synthetic, epochs: 1}\nspace: {lr: {log: [0.001, 1]}}\n"
READS = [
    ("status",), ("status", "staged"), ("studies",), ("workers",), ("show", "pruned", "0"),
    ("logs", "pruned", "0"), ("query", "SELECT number, value FROM results"),
    ("query", "best", "--param", "study=staged"),
    ("importance", "staged"), ("report", "staged", "-o", "report.html"), ("refine", "staged"),
    ("export-study", "staged", "-o", "staged.zip"), ("repeat", "staged", "0"),
    ("db", "check"), ("db", "upgrade"), ("db", "prune"),
]  # fmt: skip
WRITES = [
    ("run", "other.yaml", "--workers", "1"), ("submit", "other.yaml"), ("enqueue", "pruned", "lr=0.005"),
    ("worker", "--slots", "1", "--until-idle"), ("stop", "staged"), ("resume", "staged"),
    ("delete", "staged", "--yes"), ("db", "roles", "--apply"),
]  # fmt: skip


@pytest.fixture
def as_user(new_database: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """The URL of an upgraded database as one of its users sees it: OWNER, or a role that OWNER made."""
    url = make_url(new_database("postgresql"))

    def as_user(name: str) -> str:
        return url.set(username=name).render_as_string(hide_password=False)

    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
        connection.execute(f"ALTER DATABASE {url.database} OWNER TO {OWNER}")
        for name in _relations(connection, "r", "v"):
            connection.execute(f"ALTER TABLE {name} OWNER TO {OWNER}")
        apply(as_user(OWNER), dict.fromkeys(ROLES, "not a secret"))
        yield as_user
        connection.execute(f"ALTER DATABASE {url.database} OWNER TO CURRENT_USER")
        for role in (*ROLES, OWNER):
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def _relations(connection: psycopg.Connection[Any], *kinds: str) -> list[str]:
    sql = "SELECT relname FROM pg_class WHERE relkind = ANY(%s) AND relnamespace = 'public'::regnamespace"
    return [name for (name,) in connection.execute(sql, [list(kinds)])]


def _refuses(connection: psycopg.Connection[Any], *statements: str) -> None:
    for statement in statements:
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement.encode())


def test_a_viewer_reads_everything_and_changes_nothing(as_user: Callable[[str], str]) -> None:
    with psycopg.connect(as_user(VIEWER), autocommit=True) as connection:
        tables, views = _relations(connection, "r"), _relations(connection, "v")
        assert len(tables) >= 29 and len(views) >= 12
        for name in (*tables, *views):
            connection.execute(f"SELECT * FROM {name}")
            _refuses(connection, f"DROP {'TABLE' if name in tables else 'VIEW'} {name}")
        for name in tables:
            column = connection.execute(f"SELECT * FROM {name}").description[0].name  # type: ignore[index]
            _refuses(
                connection,
                f"INSERT INTO {name} DEFAULT VALUES",
                f"UPDATE {name} SET {column} = {column}",
                f"DELETE FROM {name}",
                f"TRUNCATE {name}",
                f"ALTER TABLE {name} ADD COLUMN more integer",
            )
        for name in _relations(connection, "S"):
            _refuses(connection, f"SELECT nextval('{name}')")
        _refuses(connection, "CREATE TABLE mine (a integer)", "CREATE ROLE another")


def test_a_worker_cannot_change_what_is_trained_or_how_it_is_stored(as_user: Callable[[str], str]) -> None:
    with psycopg.connect(as_user(WORKER), autocommit=True) as connection:
        _refuses(
            connection,
            "INSERT INTO hpo_study DEFAULT VALUES", "UPDATE hpo_study SET spec = '{}'",
            "UPDATE hpo_study SET priority = 9", "DELETE FROM hpo_study", "DELETE FROM hpo_slot",
            "INSERT INTO studies DEFAULT VALUES", "UPDATE studies SET study_name = ''", "DELETE FROM studies",
            "DELETE FROM trials", "DELETE FROM trial_params", "UPDATE version_info SET schema_version = 1",
            "UPDATE hpo_alembic_version SET version_num = ''", "UPDATE alembic_version SET version_num = ''",
            "DELETE FROM hpo_schema", "CREATE TABLE mine (a integer)", "DROP VIEW results", "TRUNCATE trials",
        )  # fmt: skip


def _train(worker_url: str, *, interrupted: bool = False) -> None:
    """Until there is nothing more to do; or until the first epoch, when a signal comes."""
    epochs: list[Event] = []

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone):
            epochs.append(event)

    def check_stop() -> None:
        if interrupted and epochs:
            raise StopRequestedError

    order = WorkOrder(worker_url, (), "cpu", 1, service=True)
    with suppress(StopRequestedError):
        serve(order, hear, check_stop, lambda ready: None)


def _inserted(connection: psycopg.Connection[Any]) -> set[str]:
    connection.execute("SELECT pg_stat_force_next_flush()")
    sql = "SELECT relname FROM pg_stat_user_tables WHERE n_tup_ins > 0"
    return {name for (name,) in connection.execute(sql)}


def _may_insert(connection: psycopg.Connection[Any], role: str) -> set[str]:
    sql = "SELECT has_table_privilege(%s, %s, 'INSERT')"
    return {
        name
        for name in _relations(connection, "r")
        if connection.execute(sql, [role, name]).fetchone()[0]  # type: ignore[index]
    }


@pytest.mark.slow
def test_studies_are_trained_by_workers_and_read_by_viewers(
    as_user: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ResultsStore(as_user(SUBMITTER)) as store:
        ids = [submit_study(store, StudySpec.model_validate(each)).study_id for each in (STAGED, PRUNED)]
    _train(as_user(WORKER), interrupted=True)
    _train(as_user(WORKER))
    with ResultsStore(as_user(WORKER)) as store:
        noticed = StudyFinding("cost", "note", "little came of it", {}, "", {})
        store.write(lambda connection: replace_findings(connection, ids[0], [noticed], 3))
        assert control.stop(store, ids[0]) and control.resume(store, ids[0])
    with psycopg.connect(as_user(VIEWER), autocommit=True) as connection:
        ended = connection.execute("SELECT study, count(*) FROM results WHERE state <> 'running' GROUP BY 1")
        assert dict(ended.fetchall()) == {"staged": 8, "pruned": 3}
        assert connection.execute("SELECT count(*) FROM attempts WHERE outcome = 'released'").fetchone() == (
            1,
        )
        # No right that is not used.
        assert _may_insert(connection, WORKER) - _inserted(connection) == set()

    monkeypatch.chdir(tmp_path)
    Path("other.yaml").write_text(OTHER)
    monkeypatch.setenv("HPO_STORAGE", as_user(VIEWER))
    settings.cache_clear()
    for command in READS:
        assert run_command(command) == 0, (command, capsys.readouterr().err)
    capsys.readouterr()
    for command in WRITES:
        assert run_command(command) == 1, command
        said = capsys.readouterr().err
        assert "its user may not do this: see `hpo db roles`" in said and "Traceback" not in said, (
            command,
            said,
        )


def _status(app: Dashboard, path: str) -> str:
    statuses: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    b"".join(app(environ, lambda status, *_: statuses.append(status)))
    return statuses[-1]


def test_the_dashboard_shows_a_viewer_everything(
    as_user: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Images, "train_labels", range(50_000))
    with ResultsStore(as_user(SUBMITTER)) as store:
        make_ours(store, "shown")
    app = make_app(as_user(VIEWER), Access())
    for path in ("/api/studies", "/api/studies/1", "/api/meta", "/metrics", "/csv/1"):
        assert _status(app, path) == "200 OK", path
    app.close()


def test_an_upgrade_and_a_repair_leave_the_roles_their_rights(as_user: Callable[[str], str]) -> None:
    with psycopg.connect(as_user(OWNER), autocommit=True) as connection:
        connection.execute("UPDATE hpo_schema SET value = 'of another hpo' WHERE name = 'views'")
        schema.upgrade(as_user(OWNER))
        with psycopg.connect(as_user(VIEWER)) as viewer:
            viewer.execute("SELECT * FROM results")
        connection.execute("DROP VIEW attempts")
        assert [each.check for each in check_database(as_user(OWNER), repair=True)] == ["views"]
        with psycopg.connect(as_user(VIEWER)) as viewer:
            viewer.execute("SELECT * FROM attempts")
        connection.execute("UPDATE hpo_schema SET value = 'of another hpo' WHERE name = 'views'")
    with pytest.raises(
        StorageError, match="only the owner of hpo's tables may do this: let it run `hpo db up"
    ):
        schema.upgrade(as_user(WORKER))


def test_a_database_without_roles_grants_nothing_at_an_upgrade(new_database: Callable[[str], str]) -> None:
    url = new_database("postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {VIEWER}")  # of another database
        try:
            connection.execute("UPDATE hpo_schema SET value = 'of another hpo' WHERE name = 'views'")
            schema.upgrade(url)
            asked = connection.execute(f"SELECT has_table_privilege('{VIEWER}', 'results', 'SELECT')")
            assert asked.fetchone() == (False,)
        finally:
            connection.execute(f"DROP ROLE {VIEWER}")


def test_the_script_does_the_same_and_takes_back_what_is_too_much(
    as_user: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["db", "roles"]) == 0
    script = capsys.readouterr().out
    with psycopg.connect(as_user(OWNER), autocommit=True) as connection:
        connection.execute(f"GRANT DELETE ON trials TO {WORKER}")
        connection.execute(f"REVOKE SELECT ON results FROM {VIEWER}")
        connection.execute(script.encode())
    with psycopg.connect(as_user(WORKER), autocommit=True) as connection:
        _refuses(connection, "DELETE FROM trials")
    with psycopg.connect(as_user(VIEWER), autocommit=True) as connection:
        connection.execute("SELECT * FROM results")
