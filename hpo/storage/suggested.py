"""Parameters that a training draws itself, as Optuna's objectives do: stored while the trial runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import json_to_distribution
from pydantic import TypeAdapter
from sqlalchemy import Connection, column, select, table, update

from hpo.config.space import Distribution
from hpo.storage.fence import Lease, pass_fence
from hpo.storage.optuna.distributions import from_optuna, widened
from hpo.storage.optuna.trials import suggest_to_optuna
from hpo.storage.store import ResultsStore
from hpo.storage.tables import StudyRow, TrialRow

_PARAMETERS = table(
    "trial_params",
    column("trial_id"),
    column("param_name"),
    column("param_value"),
    column("distribution_json"),
)
"""Optuna's table."""
_SPACE: TypeAdapter[dict[str, Distribution]] = TypeAdapter(dict[str, Distribution])


@dataclass(frozen=True)
class StoredParameter:
    """A parameter as Optuna stores it: the value in its internal form, and the distribution as JSON."""

    value: float
    distribution: str


def record_suggested(
    store: ResultsStore,
    lease: Lease,
    trial_id: int,
    parameters: Mapping[str, StoredParameter],
    attributes: Mapping[str, Any],
) -> None:
    """Add parameters to the trial, and to the space of its study; set user attributes of Optuna's trial."""

    def work(connection: Connection) -> None:
        pass_fence(connection, lease)
        known = set(connection.scalars(select(_PARAMETERS.c.param_name).where(_of(trial_id))))
        distributions = {name: json_to_distribution(each.distribution) for name, each in parameters.items()}
        new = {
            name: (each.value, distributions[name]) for name, each in parameters.items() if name not in known
        }
        suggest_to_optuna(connection, trial_id, new, attributes)
        values = {name: distributions[name].to_external_repr(each.value) for name, each in parameters.items()}
        trial = TrialRow.trial_id == trial_id
        document = connection.scalars(select(TrialRow.configuration).where(trial)).one()
        connection.execute(update(TrialRow).where(trial).values(configuration={**document, **values}))
        _widen_space(connection, lease.study_id, distributions)

    store.write(work)


def parameters_of(store: ResultsStore, trial_ids: list[int]) -> dict[int, dict[str, StoredParameter]]:
    """Return the parameters of trials by their names."""
    found: dict[int, dict[str, StoredParameter]] = {trial_id: {} for trial_id in trial_ids}

    def work(connection: Connection) -> None:
        for start in range(0, len(trial_ids), 500):  # SQLite limits the number of values
            chosen = _PARAMETERS.c.trial_id.in_(trial_ids[start : start + 500])
            for row in connection.execute(select(_PARAMETERS).where(chosen)):
                found[row.trial_id][row.param_name] = StoredParameter(row.param_value, row.distribution_json)

    store.read(work)
    return found


def _of(trial_id: int) -> Any:
    return _PARAMETERS.c.trial_id == trial_id


def _widen_space(connection: Connection, study_id: int, distributions: Mapping[str, Any]) -> None:
    study = StudyRow.study_id == study_id
    spec = connection.scalars(select(StudyRow.spec).where(study).with_for_update()).one()
    space = _SPACE.validate_python(spec["space"])
    before = dict(space)
    for name, distribution in distributions.items():
        ours = from_optuna(distribution)
        if ours is not None:
            space[name] = widened(space[name], ours) if name in space else ours
    if space != before:
        written = _SPACE.dump_python(space, mode="json", by_alias=True)
        connection.execute(update(StudyRow).where(study).values(spec={**spec, "space": written}))
