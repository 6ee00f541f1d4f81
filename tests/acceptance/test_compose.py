"""The compose file's services as processes: a study, two workers, a crash of the database, SIGTERM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.helpers.compose_services import Compose
from tests.helpers.hpo_command import STUDY
from tests.helpers.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
PASSWORD, TOKEN = "not @ll letters/", "0123456789abcdef0123"
SECRETS = {
    "database_password": PASSWORD, "dashboard_token": TOKEN, "viewer_password": "read $ only",
    "worker_password": "w'rk\"er", "submitter_password": "s%bmitter",
}  # fmt: skip


@pytest.fixture
def database() -> Iterator[Server]:
    """A PostgreSQL as its image sets it up: a superuser with a database and a password."""
    server = Server()
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE hpo SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("CREATE DATABASE hpo OWNER hpo")
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (server.folder / "pg_hba.conf").write_text(rules)
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.remove()


@pytest.fixture
def compose(tmp_path: Path, database: Server) -> Iterator[Compose]:
    (tmp_path / "secrets").mkdir()
    for name, secret in SECRETS.items():
        (tmp_path / "secrets" / name).write_text(f"{secret}\n")
    services = Compose(tmp_path, database)
    yield services
    services.kill_all()


def _wait_for_epoch(compose: Compose, name: str) -> None:
    compose.wait_until(lambda: "epoch_done" in compose.output(name), f"an epoch of {name}", name)


def test_compose_study_survives_database_crash_and_lost_worker(
    compose: Compose, database: Server, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY.format(trials=4, epochs=20, images=1000))
    compose.up("dashboard")
    for number in (1, 2):
        compose.up("worker", number)
    compose.wait_until_healthy("worker")
    compose.wait_until_healthy("dashboard")
    compose.run("hpo", "submit", "tiny.yaml")
    _wait_for_epoch(compose, "worker")
    _wait_for_epoch(compose, "worker-2")

    database.kill()
    assert not compose.healthy("db")
    database.start()
    compose.wait_until_healthy("db")
    assert compose.stop("worker-2") == 143
    compose.wait_until_healthy("dashboard")
    compose.wait_until(
        lambda: json.loads(compose.run("hpo", "studies", "--json"))[0]["done"] == 4,
        "the end of the study", "worker", every=0.5,
    )  # fmt: skip

    assert compose.stop("worker") == 143
    compose.stop("dashboard")
    sql = "SELECT number, state, epochs FROM results ORDER BY number"
    trials = json.loads(compose.run("dashboard", "query", "--format", "json", sql))
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    assert {trial["state"] for trial in trials} <= {"complete", "pruned", "failed"}
    for name in compose.processes:
        printed = compose.output(name)
        assert [secret for secret in SECRETS.values() if secret in printed] == []
        assert "Traceback" not in printed, printed
    refused = (
        compose.refused("dashboard", "submit", "tiny.yaml"),
        compose.refused("worker", "delete", "tiny", "--yes"),
    )
    assert ["its user may not do this" in message for message in refused] == [True, True]
