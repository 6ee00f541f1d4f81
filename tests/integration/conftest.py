"""Integration tests run on SQLite; those that run on PostgreSQL too do so with the long tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a PostgreSQL case as slow where a SQLite case of the same test exists."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    on_sqlite = {item.nodeid for item in here}
    for item in here:
        twin = item.nodeid.replace("postgresql", "sqlite")
        if item.get_closest_marker("postgres") and twin != item.nodeid and twin in on_sqlite:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_checkpoints(shared_cache: Path) -> None:
    """A test that kills or interrupts a trial leaves its checkpoints; the next test starts without them."""
    shutil.rmtree(shared_cache / "checkpoints", ignore_errors=True)
