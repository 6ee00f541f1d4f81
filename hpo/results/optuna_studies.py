"""Studies that hpo did not make: what Optuna's own tables say of them. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect, text

from hpo.results.engine import open_reader, reading

_SQL = Path(__file__).with_name("optuna_studies.sql")


@dataclass(frozen=True)
class OptunaStudy:
    """A study, its trials by state, and the best value of its one objective; None if it has several."""

    name: str
    waiting: int
    running: int
    complete: int
    pruned: int
    failed: int
    best_value: float | None


def list_optuna_studies(url: str, ours: Collection[str] = ()) -> list[OptunaStudy]:
    """Every Optuna study in the database but ``ours``; raises ``StorageError`` if it is unusable."""
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            if not inspect(connection).has_table("studies"):
                return []
            rows = connection.execute(text(_SQL.read_text(encoding="utf-8"))).all()
    finally:
        engine.dispose()
    return [OptunaStudy(**row._mapping) for row in rows if row.name not in ours]
