"""The `hpo` command for tests, with a database and settings of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hpo_command import Hpo


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images are drawn and decoded once for all tests."""
    return tmp_path_factory.mktemp("cache")


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
