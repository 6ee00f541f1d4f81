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
from hpo.results import schema
from hpo.results.roles import ROLES, SUBMITTER, VIEWER, WORKER, apply
from hpo.spec.study import StudySpec
from hpo.results.store import ResultsStore
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
    "pruner": {"asha": {"reduction": 2, "min_epochs": 1}},
    "fixed": FIXED,
    "space": {"lr": {"log": [1e-3, 0.1]}, "preprocessing": {"choice": ["standardize", "zca"]}},
    "stages": [
        {"name": "coarse", "trials": 4},
        {"name": "sure", "confirm": 2, "seeds": 2},
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
    ("db", "check", "--repair"), ("dashboard", "--writable", "--port", "0"), ("db", "roles", "--apply"),
]  # fmt: skip


@pytest.fixture
def as_user(postgres_server: str, new_database: Callable[[str], str], tmp_path: Path) -> Iterator[Any]:
    """The URL of a database as one of its users sees it; its owner has upgraded it and made the roles."""
    url = make_url(new_database("postgresql"))
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
        connection.execute(f"ALTER DATABASE {url.database} OWNER TO {OWNER}")
        for (name,) in connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v') "
            "AND relnamespace = 'public'::regnamespace"
        ).fetchall():
            connection.execute(f"ALTER TABLE {name} OWNER TO {OWNER}")

    def as_user(name: str) -> str:
        return url.set(username=name).render_as_string(hide_password=False)

    apply(as_user(OWNER), dict.fromkeys(ROLES, "not a secret"))
    yield as_user
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for role in (*ROLES, OWNER):
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
