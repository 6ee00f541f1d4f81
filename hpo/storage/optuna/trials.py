"""A trial in Optuna's tables: its start, its intermediate values and its end, inside our transactions.

Written as Optuna's ``RDBStorage`` does, but in one statement each, where that reads before each write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, String, bindparam, cast, func, insert, select, update

from hpo.errors import LeaseLostError
from hpo.records import Outcome
from hpo.redact import redact
from hpo.storage.fence import Lease
from hpo.storage.tables import TRIALS
from hpo.storage.upsert import upsert

_STUDIES: Any = models.StudyModel.__table__
_TRIALS: Any = models.TrialModel.__table__
_PARAMETERS: Any = models.TrialParamModel.__table__
_VALUES: Any = models.TrialValueModel.__table__
_STEPS: Any = models.TrialIntermediateValueModel.__table__
_USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
_SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def create_in_optuna(
    connection: Connection,
    lease: Lease,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    attributes: Mapping[str, Any],
) -> tuple[int, int]:
    """Create the trial of a slot in state RUNNING; return its id and its number. Locks the study.

    Raises ``LeaseLostError`` if the study was deleted by Optuna's tools.
    """
    of_study = {"of_study": lease.study_id}
    if connection.scalar(_LOCK_STUDY, of_study) is None:
        raise LeaseLostError(f"slot {lease.slot} is gone: its study was deleted")
    number = connection.execute(_COUNT, of_study).scalar_one()
    trial_id = connection.execute(
        _CREATE,
        {
            "study_id": lease.study_id,
            "number": number,
            "state": TrialState.RUNNING,
            "datetime_start": _now(),
        },
    ).scalar_one()
    internal = {
        name: (distributions[name].to_internal_repr(value), distributions[name])
        for name, value in params.items()
    }
    _add_parameters(connection, trial_id, internal)
    _set_attributes(connection, _USER_ATTRIBUTES, trial_id, {"stage": lease.stage, "slot": lease.slot})
    _set_attributes(connection, _SYSTEM_ATTRIBUTES, trial_id, attributes)
    return trial_id, number


def suggest_to_optuna(
    connection: Connection,
    trial_id: int,
    parameters: Mapping[str, tuple[float, BaseDistribution]],
    attributes: Mapping[str, Any],
) -> None:
    """Add parameters, by their internal values, and set user attributes, if Optuna still accepts them."""
    if _is_running(connection, trial_id):
        _add_parameters(connection, trial_id, parameters)
        _set_attributes(connection, _USER_ATTRIBUTES, trial_id, attributes)


def report_to_optuna(connection: Connection, trial_id: int, epoch: int, value: float) -> None:
    """Store the objective in an epoch as an intermediate value, if Optuna still accepts one."""
    if _is_running(connection, trial_id):
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        key = {"trial_id": trial_id, "step": epoch}
        row = {**key, "intermediate_value": stored, "intermediate_value_type": kind}
        upsert(connection, _STEPS, tuple(key), [row])


def finish_in_optuna(connection: Connection, trial_id: int, outcome: Outcome) -> None:
    """End the trial in Optuna, unless it has ended there already."""
    if not _is_running(connection, trial_id):
        return
    # Only short ones, which the dashboard shows.
    attributes = {
        "verdict": outcome.verdict,
        "cause": outcome.cause,
        "remedy": outcome.remedy,
        "best_epoch": outcome.best_epoch,
    }
    shown = {name: redact(each) if isinstance(each, str) else each for name, each in attributes.items()}
    set_ones = {name: each for name, each in shown.items() if each is not None}
    _set_attributes(connection, _USER_ATTRIBUTES, trial_id, set_ones)
    if outcome.state != "failed" and outcome.value is not None and math.isfinite(outcome.value):
        stored, kind = models.TrialValueModel.value_to_stored_repr(outcome.value)
        key = {"trial_id": trial_id, "objective": 0}
        upsert(connection, _VALUES, tuple(key), [{**key, "value": stored, "value_type": kind}])
    end = {"of_trial": trial_id, "state": _STATES[outcome.state], "datetime_complete": _now()}
    connection.execute(_CHANGE, end)


def _add_parameters(
    connection: Connection, trial_id: int, parameters: Mapping[str, tuple[float, BaseDistribution]]
) -> None:
    # Not checked for other distributions of the same name, as Optuna does: a study's stay the same.
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": value,
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in parameters.items()
    ]
    if rows:
        connection.execute(_ADD_PARAMETERS, rows)


def _set_attributes(connection: Connection, table: Any, trial_id: int, attributes: Mapping[str, Any]) -> None:
    rows = [
        {"trial_id": trial_id, "key": name, "value_json": json.dumps(value)}
        for name, value in attributes.items()
    ]
    if rows:
        upsert(connection, table, ("trial_id", "key"), rows)


def _is_running(connection: Connection, trial_id: int) -> bool:
    """Return whether Optuna still accepts writes: a person may have ended the trial with Optuna's tools."""
    return connection.scalar(_STATE, {"of_trial": trial_id}) == TrialState.RUNNING.name


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


# Built once, which takes longer than running them.
_LOCK_STUDY = (
    select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == bindparam("of_study")).with_for_update()
)
_COUNT = select(func.count()).select_from(_TRIALS).where(_TRIALS.c.study_id == bindparam("of_study"))
_CREATE = insert(_TRIALS).returning(_TRIALS.c.trial_id)
_ADD_PARAMETERS = insert(_PARAMETERS)
_CHANGE = update(_TRIALS).where(_TRIALS.c.trial_id == bindparam("of_trial"))
_STATE = (
    select(cast(TRIALS.c.state, String)).where(TRIALS.c.trial_id == bindparam("of_trial")).with_for_update()
)
