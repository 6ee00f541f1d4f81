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

from hpo.config.suggestions import did_you_mean
from hpo.errors import UnknownStudyError
from hpo.storage.engine import open_reader, reading

_HERE = Path(__file__).parent


@dataclass
class OptunaTrial:
    """A trial; ``values`` are its finite values by objective, ``curve`` what it reported, by step."""

    number: int
    state: str
    started: datetime | None
    ended: datetime | None
    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class OptunaHistory:
    """A study: the direction of each objective, what each parameter was drawn from last, the trials."""

    name: str
    directions: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    trials: tuple[OptunaTrial, ...]


def optuna_history(url: str, name: str) -> OptunaHistory:
    """Every trial of one of Optuna's studies; raises ``UnknownStudyError``, or ``StorageError``."""
    engine = open_reader(url)
    try:
        with reading(engine) as connection:
            _require(connection, name)
            return _read(connection, name)
    finally:
        engine.dispose()


def _require(connection: Connection, name: str) -> None:
    names: list[str] = []
    if inspect(connection).has_table("studies"):
        names = list(connection.scalars(text("SELECT study_name FROM studies ORDER BY study_id")))
    if name in names:
        return
    if not names:
        raise UnknownStudyError(f"there is no study {name}: this database has none yet")
    hint = did_you_mean(name, names)
    raise UnknownStudyError(
        f"there is no study {name} in this database: {hint}{' ' if hint else ''}It has {', '.join(names)}"
    )


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
