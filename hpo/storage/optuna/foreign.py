"""Studies that hpo did not create, read from Optuna's own tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from sqlalchemy import Connection, DateTime, TextClause, inspect, text

from hpo.storage.engine import open_reader, reading
from hpo.storage.studies import unknown_study

_HERE = Path(__file__).parent


@dataclass
class OptunaTrial:
    """A trial: its finite values by objective, and its reported intermediate values by step."""

    number: int
    state: str
    started: datetime | None
    ended: datetime | None
    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class OptunaHistory:
    """A study: the direction of each objective, the last distribution of each parameter, the trials."""

    name: str
    directions: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    trials: tuple[OptunaTrial, ...]


def optuna_history(url: str, name: str) -> OptunaHistory:
    """Return a study that Optuna created; raises ``UnknownStudyError`` or ``StorageError``."""
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            _require_known(connection, name)
            return _read(connection, name)
    finally:
        engine.dispose()


def _require_known(connection: Connection, name: str) -> None:
    names: list[str] = []
    if inspect(connection).has_table("studies"):
        names = list(connection.scalars(text("SELECT study_name FROM studies ORDER BY study_id")))
    if name not in names:
        raise unknown_study(name, names)


def _read(connection: Connection, name: str) -> OptunaHistory:
    wanted = {"study": name}
    trials: dict[int, OptunaTrial] = {}
    statement = _statement("history").columns(started=DateTime(), ended=DateTime())
    for row in connection.execute(statement, wanted):
        trial = trials.setdefault(row.trial_id, OptunaTrial(row.number, row.state, row.started, row.ended))
        if row.value is not None:
            trial.values[row.objective] = row.value
    parsed: dict[str, BaseDistribution] = {}
    distributions: dict[str, BaseDistribution] = {}
    for trial_id, param, value, json in connection.execute(_statement("params"), wanted):
        distributions[param] = parsed.setdefault(json, json_to_distribution(json))
        trials[trial_id].params[param] = distributions[param].to_external_repr(value)
    curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for trial_id, step, value in connection.execute(_statement("steps"), wanted):
        curves[trial_id].append((step, value))
    for trial_id, curve in curves.items():
        trials[trial_id].curve = curve
    directions = tuple(connection.scalars(_statement("directions"), wanted))
    return OptunaHistory(name, directions, distributions, tuple(trials.values()))


def _statement(name: str) -> TextClause:
    return text((_HERE / f"optuna_{name}.sql").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class OptunaStudy:
    """A study, its trials by state, and its best value; None if it has several objectives."""

    name: str
    waiting: int
    running: int
    complete: int
    pruned: int
    failed: int
    best_value: float | None


def list_optuna_studies(url: str, ours: Collection[str] = ()) -> list[OptunaStudy]:
    """Return the Optuna studies except ``ours``; raises ``StorageError`` if the database is unusable."""
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            if not inspect(connection).has_table("studies"):
                return []
            rows = connection.execute(_statement("studies")).all()
    finally:
        engine.dispose()
    return [OptunaStudy(**row._mapping) for row in rows if row.name not in ours]
