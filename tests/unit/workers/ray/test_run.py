"""What is refused before a study runs on a cluster, and what its workers get."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import UserError
from hpo.storage.url import parse_url
from hpo.workers.ray import run
from hpo.workers.ray.resources import Node


class _Cluster:
    address = "head:6379"

    def __init__(self, is_this_machine: bool) -> None:
        self._is_this_machine = is_this_machine

    def is_this_machine(self) -> bool:
        return self._is_this_machine


def test_sqlite_is_refused_on_a_cluster_of_several_machines() -> None:
    nodes = [Node("a", "lab-1", 4, 0), Node("b", "lab-2", 4, 0)]
    many: Any = _Cluster(False)
    with pytest.raises(UserError) as refusal:
        run._refuse_sqlite(parse_url("sqlite:///hpo.db"), many, nodes)
    assert str(refusal.value) == (
        "SQLite is a file on one machine, and the Ray cluster at head:6379 has 2 nodes (lab-1, lab-2): use "
        "PostgreSQL, which all of them can reach: --storage postgresql://USER@HOST/DATABASE"
    )
    run._refuse_sqlite(parse_url("postgresql://ada@db/results"), many, nodes)
    here: Any = _Cluster(True)
    run._refuse_sqlite(parse_url("sqlite:///hpo.db"), here, nodes[:1])


def test_environment_has_the_variables_of_the_run_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HPO_STORAGE", "HPO_STORAGE_PASSWORD_FILE", "HPO_DASHBOARD_TOKEN", "HPO_LEASE_SECONDS"):
        monkeypatch.setenv(name, "5")
    environment = run._environment()
    assert environment["HPO_LEASE_SECONDS"] == "5"
    assert not {"HPO_STORAGE", "HPO_STORAGE_PASSWORD_FILE", "HPO_DASHBOARD_TOKEN"} & set(environment)


def test_url_gets_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "sesame")
    assert run._with_password(parse_url("postgresql://ada@db/results")).password == "sesame"
    assert run._with_password(parse_url("postgresql://ada:own@db/results")).password == "own"
    assert run._with_password(parse_url("sqlite:///hpo.db")).password is None
