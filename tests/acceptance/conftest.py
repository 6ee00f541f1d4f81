"""The `hpo` command for tests, and its workers, with databases and settings of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo.settings import settings
from hpo.storage import schema
from tests.helpers.hpo_command import Hpo
from tests.helpers.killable_workers import LONG, KillableWorkers, everything, hashes, submit
from tests.helpers.servers import Network, Server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a whole command does is tried on SQLite always, on PostgreSQL with the long tests."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def hpo(tmp_path: Path, shared_cache: Path, storage_url: str) -> Hpo:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
    environment = kept | {
        "HPO_STORAGE": storage_url,
        "HPO_CACHE": str(shared_cache),
        "HPO_DATA": str(tmp_path / "data"),
        "HPO_ARTIFACTS": str(tmp_path / "artifacts"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    return Hpo(tmp_path, environment)


POISON = """
import os, signal
from torch import nn


class Net(nn.Module):
    def __init__(self, poisonous):
        super().__init__()
        self.poisonous = poisonous
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        if self.training and self.poisonous and len(images) > 8:  # not when it is tried in small before
            os.kill(os.getpid(), signal.SIGKILL)
        return self.dense(images.flatten(1))


def build(options, *, in_shape, classes):
    return Net(options.width == 4)
"""


@pytest.fixture(scope="session")
def killable(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> KillableWorkers:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "poison.py").write_text(POISON)
    return KillableWorkers(folder, shared_cache)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL of these tests alone, which they may kill."""
    made = Server()
    made.start()
    schema.upgrade(made.url)
    yield made
    made.remove()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """A database with nothing in it; the server has only one."""
    yield server.url
    server.empty()


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    made = Network(server.port)
    yield made
    made.close()


@pytest.fixture
def same_settings(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(shared_cache))
    monkeypatch.setenv("HPO_DATA", str(shared_cache))
    monkeypatch.setenv("HPO_ARTIFACTS", str(shared_cache / "artifacts"))
    settings.cache_clear()


@pytest.fixture(scope="session")
def calm(
    killable: KillableWorkers, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], list[str]]:
    """Weights' hashes of a study of so many trials that nobody disturbs."""
    known: dict[int, list[str]] = {}

    def of_study(trials: int) -> list[str]:
        if trials not in known:
            url = f"sqlite:///{tmp_path_factory.mktemp('calm')}/hpo.db"
            submit(url, "s", trials)
            assert killable.run(url, "s") == "exit 0"
            known[trials] = hashes(url)
        return known[trials]

    return of_study


@pytest.fixture(scope="session")
def undisturbed(
    killable: KillableWorkers, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], dict[str, list[Any]]]:
    """All that a study of so many long trials leaves which nobody disturbs."""
    known: dict[int, dict[str, list[Any]]] = {}

    def of_study(trials: int) -> dict[str, list[Any]]:
        if trials not in known:
            url = f"sqlite:///{tmp_path_factory.mktemp('undisturbed')}/hpo.db"
            submit(url, "s", trials, **LONG)
            assert killable.run(url, "s") == "exit 0"
            known[trials] = everything(url)
        return known[trials]

    return of_study
