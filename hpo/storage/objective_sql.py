"""A study's objective in SQL: its value in an epoch, and the score that trials are ranked by."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Double, case, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from hpo.config.tradeoff import QUANTITIES
from hpo.records import LATER_MEASURES, MEASURES
from hpo.storage.tables import EPOCHS, StudyRow, TrialRow

_METRIC = {
    # Quoted, since a metric's name may have a dot or a slash.
    "sqlite": "CAST(json_extract({metrics}, '$.\"' || {name} || '\"') AS DOUBLE PRECISION)",
    "postgresql": "CAST({metrics} ->> {name} AS DOUBLE PRECISION)",
}


class reported_metric(GenericFunction[float]):  # noqa: N801 (a SQL function, named as one)
    """The number of a name in the column ``metrics`` of an epoch."""

    type = Double()
    inherit_cache = True


@compiles(reported_metric, "sqlite")
@compiles(reported_metric, "postgresql")
def _reported_metric(element: Any, compiler: Any, **options: Any) -> str:
    metrics, name = (compiler.process(each, **options) for each in element.clauses)
    return _METRIC[compiler.dialect.name].format(metrics=metrics, name=name)


def objective_of_epoch() -> ColumnElement[float | None]:
    """Return the objective's value in an epoch of ``EPOCHS``; its ``StudyRow`` must be joined."""
    other = reported_metric(EPOCHS.c.metrics, StudyRow.objective)
    known: dict[str, ColumnElement[Any]] = {
        name: func.coalesce(EPOCHS.c[name], other) if name in LATER_MEASURES else EPOCHS.c[name]
        for name in MEASURES
    }
    return case(known, value=StudyRow.objective, else_=other)


def score(value: ColumnElement[Any] | Any = TrialRow.value) -> ColumnElement[Any]:
    """Return a value's score, of which higher is better; its ``StudyRow`` must be joined."""
    return case((StudyRow.direction == "minimize", -value), else_=value)


def tradeoff_text(dialect: str, trial: str, epoch: str, study: str) -> str:
    """Return what a trial has of its study's second objective, with these aliases of the tables.

    The user's own training reports it; ``epoch`` is the trial's best one.
    """
    reported = _METRIC[dialect].format(metrics=f"{epoch}.metrics", name=f"{study}.tradeoff")
    own = " ".join(f"WHEN '{name}' THEN {epoch}.{name}" for name in MEASURES)
    measured = " ".join(f"WHEN '{name}' THEN {trial}.{name}" for name in QUANTITIES)
    own = f"CASE {study}.tradeoff {own} ELSE {reported} END"
    return f"CASE WHEN {study}.dataset = '' THEN {own} ELSE CASE {study}.tradeoff {measured} END END"


def objective_text(dialect: str, epoch: str, study: str) -> str:
    """Return ``objective_of_epoch`` as text, with these aliases of ``hpo_epoch`` and ``hpo_study``."""
    other = _METRIC[dialect].format(metrics=f"{epoch}.metrics", name=f"{study}.objective")
    columns = {name: f"{epoch}.{name}" for name in MEASURES}
    columns |= {name: f"coalesce({columns[name]}, {other})" for name in LATER_MEASURES}
    known = " ".join(f"WHEN '{name}' THEN {column}" for name, column in columns.items())
    return f"CASE {study}.objective {known} ELSE {other} END"


def score_text(value: str, study: str) -> str:
    """Return ``score`` as text."""
    return f"CASE {study}.direction WHEN 'minimize' THEN -{value} ELSE {value} END"
