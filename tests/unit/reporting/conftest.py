"""The watched study, created once per session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hpo.storage.studies import results_engine
from tests.helpers.report_study import watched_study
from tests.helpers.shared_files import created_once


@pytest.fixture(scope="session")
def watched_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database file, for reading only."""
    return created_once(tmp_path_factory, "watched.db", watched_study)


@pytest.fixture(scope="session")
def watched(watched_path: Path) -> Iterator[Engine]:
    """The database, for reading."""
    engine = results_engine(f"sqlite:///{watched_path}")
    yield engine
    engine.dispose()
