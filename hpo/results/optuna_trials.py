"""All trials of a study from Optuna's tables, without an object per row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

_TRIALS: Any = models.TrialModel.__table__
_distribution = lru_cache(maxsize=10_000)(json_to_distribution)
"""Trials of a study share most of their distributions, which do not change."""


class QuickReader(RDBStorage):
    """Optuna's storage, but all trials of a study are read in a tenth of the time."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        if states is None and trial_id_greater_than < 0:
            self.get_study_name_from_id(study_id)  # KeyError without such a study
            try:
                with self.engine.connect() as connection:
                    return _read(connection, study_id)
            except DBAPIError:
                pass  # Optuna says what is wrong with the database
        found: list[FrozenTrial] = super()._get_trials(
            study_id, states, included_trial_ids, trial_id_greater_than
        )
        return found


@dataclass
class _Parts:
    """What other tables say about a trial."""

    values: dict[int, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)


def _read(connection: Connection, study_id: int) -> list[FrozenTrial]:
    """In the order of their ids."""
    trial = _TRIALS.c
    # First, since nothing more comes to a trial that has ended. Rows of later trials are left out.
    trials = connection.execute(
        select(trial.trial_id, trial.number, trial.state, trial.datetime_start, trial.datetime_complete)
        .where(trial.study_id == study_id)
        .order_by(trial.trial_id)
    ).all()
    parts: defaultdict[int, _Parts] = defaultdict(_Parts)
    _add_values(connection, study_id, parts)
    _add_params(connection, study_id, parts)
    _add_attributes(connection, study_id, parts)
    return [_frozen(row, parts[row.trial_id]) for row in trials]


def _frozen(row: Any, parts: _Parts) -> FrozenTrial:
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[parts.values[objective] for objective in sorted(parts.values)] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params=parts.params,
        distributions=parts.distributions,
        user_attrs=parts.user_attrs,
        system_attrs=parts.system_attrs,
        intermediate_values=parts.steps,
        trial_id=row.trial_id,
    )


def _local(stored: datetime | None) -> datetime | None:
    """Optuna stores UTC, and gives this machine's time; both without a zone."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _rows(connection: Connection, study_id: int, model: Any, *names: str) -> Any:
    """The trial's id and these columns of a table of Optuna's, in the order in which rows were written."""
    table = model.__table__
    (order,) = table.primary_key
    statement = (
        select(table.c.trial_id, *(table.c[name] for name in names))
        .where(table.c.trial_id == _TRIALS.c.trial_id, _TRIALS.c.study_id == study_id)
        .order_by(order)
    )
    return connection.execute(statement)


def _add_values(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    value, step = models.TrialValueModel, models.TrialIntermediateValueModel
    for trial_id, objective, stored, kind in _rows(
        connection, study_id, value, "objective", "value", "value_type"
    ):
        parts[trial_id].values[objective] = value.stored_repr_to_value(stored, kind)
    finite = step.TrialIntermediateValueType.FINITE
    for trial_id, at, stored, kind in _rows(
        connection, study_id, step, "step", "intermediate_value", "intermediate_value_type"
    ):
        known = stored if kind is finite else step.stored_repr_to_intermediate_value(stored, kind)
        parts[trial_id].steps[at] = known


def _add_params(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    columns = ("param_name", "param_value", "distribution_json")
    for trial_id, name, stored, text in _rows(connection, study_id, models.TrialParamModel, *columns):
        distribution = _distribution(text)
        parts[trial_id].params[name] = distribution.to_external_repr(stored)
        parts[trial_id].distributions[name] = distribution


def _add_attributes(connection: Connection, study_id: int, parts: defaultdict[int, _Parts]) -> None:
    columns = ("key", "value_json")
    for trial_id, key, text in _rows(connection, study_id, models.TrialUserAttributeModel, *columns):
        parts[trial_id].user_attrs[key] = json.loads(text)
    for trial_id, key, text in _rows(connection, study_id, models.TrialSystemAttributeModel, *columns):
        parts[trial_id].system_attrs[key] = json.loads(text)
