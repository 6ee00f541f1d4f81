"""The roles of `hpo db roles` on a real PostgreSQL: each may do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import make_url

from hpo.cli.app import run_command
from hpo.results.roles import ROLES, SUBMITTER, VIEWER, WORKER, apply
from hpo.results.store import ResultsStore
from hpo.spec.study import StudySpec
from hpo.workers.base import WorkOrder
from hpo.workers.inline import serve
from hpo.workers.submit import submit

pytestmark = pytest.mark.postgres
OWNER = "hpo_test_owner"
FIXED: dict[str, Any] = {
    "dataset": "synthetic", "train_images": 100, "width": 4, "depth": 2, "epochs": 2, "batch_size": 25,
    "precision": "fp32",
}  # fmt: skip
STAGED = {
    "study": "staged",
    "trials": 7,
    "pruner": {"asha": {"reduction": 2, "min_epochs": 1}},
    "fixed": FIXED,
    "space": {"lr": {"log": [1e-3, 0.1]}, "preprocessing": {"choice": ["standardize", "zca"]}},
    "stages": [
        {"name": "coarse", "trials": 4},
        {"name": "sure", "confirm": {"top": 2, "seeds": 1}},
    ],
}
READS = [
    ("status",), ("status", "staged"), ("studies",), ("workers",), ("show", "staged", "0"),
    ("logs", "staged", "0"), ("query", "SELECT number, value FROM results"), ("query", "--list"),
    ("query", "best"), ("importance", "staged"), ("report", "staged", "-o", "report.html"),
    ("export-study", "staged", "-o", "staged.zip"), ("export", "staged", "-o", "net"),
    ("refine", "staged"), ("repeat", "staged", "0"), ("db", "check"), ("db", "upgrade"), ("db", "prune"),
]  # fmt: skip
WRITES = [
    ("run", "other.yaml", "--workers", "1"), ("submit", "other.yaml"), ("worker", "--slots", "1", "--until-idle"),
    ("enqueue", "staged", "lr=0.05"), ("stop", "staged"), ("resume", "staged"), ("delete", "staged", "--yes"),
    ("db", "check", "--repair"), ("db", "roles", "--apply"),
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


def _train(url: str, document: dict[str, Any], submitter_url: str) -> None:
    with ResultsStore(submitter_url) as store:
        submit(store, StudySpec.model_validate(document))
    order = WorkOrder(url, (document["study"],), "cpu", 1, service=True)
    serve(order, lambda event: None, lambda: None, lambda ready: None)


def test_studies_are_trained_by_workers_and_read_by_viewers(
    as_user: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _train(as_user(WORKER), STAGED, as_user(SUBMITTER))
    with psycopg.connect(as_user(VIEWER)) as connection:
        for row in connection.execute(
            "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables ORDER BY 1"
        ):
            print(row)
        for row in connection.execute("SELECT number, stage, state, verdict FROM results"):
            print(row)
    for command in READS:
        code = run_command([*command, "--storage", as_user(VIEWER)])
        said = capsys.readouterr()
        print(command, code, said.err[-300:])
    for command in WRITES:
        code = run_command([*command, "--storage", as_user(VIEWER)])
        said = capsys.readouterr()
        print(command, code, said.err[-300:])
    assert 0
