"""A trial in Optuna's tables: its start, its intermediate values and its end, inside our transactions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, String, cast, select

from hpo.records import Outcome
from hpo.redact import redact
from hpo.storage.fence import Lease
from hpo.storage.optuna.storage import optuna_within
from hpo.storage.tables import TRIALS

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def running_trial(
    lease: Lease,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    attributes: Mapping[str, Any],
) -> FrozenTrial:
    """Return the trial of a slot as Optuna creates it, in state RUNNING."""
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={"stage": lease.stage, "slot": lease.slot},
        system_attrs=dict(attributes),
        intermediate_values={},
    )


def suggest_to_optuna(
    connection: Connection,
    trial_id: int,
    parameters: Mapping[str, tuple[float, BaseDistribution]],
    attributes: Mapping[str, Any],
) -> None:
    """Add parameters, by their internal values, and set user attributes, if Optuna still accepts them."""
    with optuna_within(connection) as optuna:
        if _is_running(connection, trial_id):
            for name, (value, distribution) in parameters.items():
                optuna.set_trial_param(trial_id, name, value, distribution)
            for name, attribute in attributes.items():
                optuna.set_trial_user_attr(trial_id, name, attribute)


def report_to_optuna(connection: Connection, trial_id: int, epoch: int, value: float) -> None:
    """Store the objective in an epoch as an intermediate value, if Optuna still accepts one."""
    with optuna_within(connection) as optuna:
        if _is_running(connection, trial_id):
            optuna.set_trial_intermediate_value(trial_id, epoch, value)


def finish_in_optuna(connection: Connection, trial_id: int, outcome: Outcome) -> None:
    """End the trial in Optuna, unless it has ended there already."""
    if not _is_running(connection, trial_id):
        return
    # Only short ones, which the dashboard shows; before the state, since Optuna freezes a finished trial.
    attributes = {
        "verdict": outcome.verdict,
        "cause": outcome.cause,
        "remedy": outcome.remedy,
        "best_epoch": outcome.best_epoch,
    }
    has_value = outcome.state != "failed" and outcome.value is not None and math.isfinite(outcome.value)
    with optuna_within(connection) as optuna:
        for name, value in attributes.items():
            if value is not None:
                shown = redact(value) if isinstance(value, str) else value
                optuna.set_trial_user_attr(trial_id, name, shown)
        values = [outcome.value] if has_value and outcome.value is not None else None
        optuna.set_trial_state_values(trial_id, _STATES[outcome.state], values)


def _is_running(connection: Connection, trial_id: int) -> bool:
    """Return whether Optuna still accepts writes: a person may have ended the trial with Optuna's tools."""
    state = select(cast(TRIALS.c.state, String)).where(TRIALS.c.trial_id == trial_id).with_for_update()
    return connection.scalar(state) == TrialState.RUNNING.name
