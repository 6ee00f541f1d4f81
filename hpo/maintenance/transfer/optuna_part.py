"""Optuna's part of a study, read and written through Optuna's API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, select

from hpo.errors import StudyExportError
from hpo.storage.optuna.storage import quiet_optuna
from hpo.storage.tables import TRIALS

Row = dict[str, Any]


def read_study(storage: RDBStorage, study_id: int) -> Row:
    """Return the study's name, directions and attributes."""
    return {
        "name": storage.get_study_name_from_id(study_id),
        "directions": [direction.name for direction in storage.get_study_directions(study_id)],
        "user_attrs": storage.get_study_user_attrs(study_id),
        "system_attrs": storage.get_study_system_attrs(study_id),
    }


def read_trials(
    connection: Connection, storage: RDBStorage, study_id: int
) -> tuple[list[Row], dict[int, int]]:
    """Return all trials in the order of their numbers, and the numbers by Optuna's ids.

    Raises ``StudyExportError`` if another database could not store them: Optuna numbers trials itself.
    """
    trials = storage.get_all_trials(study_id, deepcopy=False)
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(trials))):
        raise StudyExportError(
            f"the trials are not numbered 0 to {len(trials) - 1}: `hpo db check` lists the wrong ones"
        )
    for trial in trials:
        _refuse_ambiguous(storage, trial)
    times = _times(connection, study_id)
    return [_trial_row(trial) | times[trial._trial_id] for trial in trials], {
        trial._trial_id: trial.number for trial in trials
    }


def create_study(storage: RDBStorage, row: Mapping[str, Any]) -> int:
    """Create the study and return its id."""
    directions = [StudyDirection[name] for name in row["directions"]]
    with quiet_optuna():
        study_id = storage.create_new_study(directions, row["name"])
    for name, value in row["user_attrs"].items():
        storage.set_study_user_attr(study_id, name, value)
    for name, value in row["system_attrs"].items():
        storage.set_study_system_attr(study_id, name, value)
    return study_id


def create_trials(storage: RDBStorage, study_id: int, rows: Iterator[Row]) -> list[int]:
    """Create the trials and return their ids in the order of their numbers."""
    return [storage.create_new_trial(study_id, _template(row)) for row in rows]


def _trial_row(trial: FrozenTrial) -> Row:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial._values,
        "params": {
            name: {
                "value": value,
                "distribution": json.loads(distribution_to_json(trial.distributions[name])),
            }
            for name, value in trial.params.items()
        },
        "user_attrs": trial.user_attrs,
        "system_attrs": trial._system_attrs,
        "intermediate_values": [[step, value] for step, value in sorted(trial.intermediate_values.items())],
    }


def _template(row: Row) -> FrozenTrial:
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState[row["state"]],
        value=None,
        values=row["values"],
        datetime_start=_from_utc(row["started"]),
        datetime_complete=_from_utc(row["ended"]),
        params={name: each["value"] for name, each in row["params"].items()},
        distributions={name: _distribution(each["distribution"]) for name, each in row["params"].items()},
        user_attrs=row["user_attrs"],
        system_attrs=row["system_attrs"],
        intermediate_values={int(step): value for step, value in row["intermediate_values"]},
    )


def _distribution(document: Any) -> BaseDistribution:
    return json_to_distribution(json.dumps(document))


def _refuse_ambiguous(storage: RDBStorage, trial: FrozenTrial) -> None:
    """Raise if Optuna would read back another value: of equal choices (1, True) it finds the first."""
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        if not isinstance(distribution, CategoricalDistribution) or _all_differ(distribution.choices):
            continue
        stored = storage.get_trial_param(trial._trial_id, name)
        if stored != distribution.to_internal_repr(value):
            raise StudyExportError(
                f"trial {trial.number} has {name} = {value!r}, which Optuna cannot tell from an equal choice "
                f"among {list(distribution.choices)}: this study cannot be exported"
            )


def _all_differ(choices: tuple[Any, ...]) -> bool:
    return all(choices.index(choice) == place for place, choice in enumerate(choices))


def _times(connection: Connection, study_id: int) -> dict[int, Row]:
    """Return the stored start and end of trials; the API has local times, which are ambiguous."""
    columns = (TRIALS.c.trial_id, TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
    found = connection.execute(select(*columns).where(TRIALS.c.study_id == study_id))
    return {trial_id: {"started": _iso(began), "ended": _iso(ended)} for trial_id, began, ended in found}


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _from_utc(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone()
