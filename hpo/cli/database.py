"""Open the results database for a command, and find a study in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from hpo.storage.engine import reading
from hpo.storage.presence import lost_log_hint
from hpo.storage.schema import inspect_schema
from hpo.storage.studies import RegisteredStudy, find_registered, find_study, results_engine
from hpo.storage.url import parse_url


@contextmanager
def results(url: str) -> Iterator[Engine]:
    """Open the database for reading; raises ``StorageError`` if hpo has not used it yet."""
    engine = results_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def hint_of_lost_log(text: str) -> str:
    """Return what to add where an SQLite database has no studies, though its log may have some; else ""."""
    url = parse_url(text)
    hint = lost_log_hint(Path(str(url.database))) if url.drivername == "sqlite" else ""
    return hint and f"\n{hint}"


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
