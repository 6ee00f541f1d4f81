"""Open the results database for a command, and find a study in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from hpo.storage.engine import reading
from hpo.storage.schema import inspect_schema
from hpo.storage.studies import RegisteredStudy, find_registered, find_study, results_engine


@contextmanager
def results(url: str) -> Iterator[Engine]:
    """Open the database for reading; raises ``StorageError`` if hpo has not used it yet."""
    engine = results_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def study_in_database(url: str, name: str) -> int:
    """Return the study's id, before a command that writes could create a database by mistake.

    Raises ``StorageError`` or ``UnknownStudyError``.
    """
    with results(url) as engine, reading(engine) as connection:
        return int(find_study(connection, name).study_id)


def find_in_database(url: str, name: str) -> RegisteredStudy | None:
    """Return the study of that name, or None if there is no database or no such study."""
    if not inspect_schema(url).revision:
        return None
    with results(url) as engine:
        return find_registered(engine, name)
