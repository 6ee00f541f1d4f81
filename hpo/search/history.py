"""The trials of a stage as a learning sampler sees them; finished trials are read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, column, exists, func, or_, select, table

from hpo.checks.causes import BEYOND_LIMIT
from hpo.storage.objective_sql import objective_of_epoch, score
from hpo.storage.store import ResultsStore
from hpo.storage.tables import EPOCHS, FINDINGS, TRIALS, StudyRow, TrialRow

_ATTRIBUTES = table("trial_system_attributes", column("trial_id"), column("key"), column("value_json"))
"""Optuna's table; `ResultsStore.begin_trial` writes to it."""
GENERATION = "cma:generation"
"""The attribute in which Optuna's CMA-ES stores the generation of a trial."""


@dataclass(frozen=True)
class PastTrial:
    """A trial that was started; its outcome is None while it runs."""

    trial_id: int
    number: int
    configuration: Mapping[str, Any]
    """Every hyperparameter, None where it has no effect."""
    outcome: str | None
    score: float | None
    """That of its value: higher is better, whatever the direction of the study."""
    reached: float | None
    """The score of its last epoch."""
    epochs: int | None
    hopeless: bool
    """Whether a check stopped it, or it is beyond the study's limit."""
    generation: int | None
    ended: Any
    """Sort key of finished trials."""

    @property
    def infeasible(self) -> bool:
        """Whether it failed, was stopped by a check or is beyond a limit, and was not just behind others."""
        return self.outcome == "failed" or (self.outcome == "pruned" and self.hopeless)


class TrialHistory:
    """The trials of one stage of a study; each read fetches only new and running ones.

    Other stages have other epochs or images, so their values do not compare.
    """

    def __init__(self, store: ResultsStore, study_id: int, stage: str) -> None:
        self._store = store
        self._of_stage = (TrialRow.study_id == study_id, TrialRow.stage == stage)
        self._known: dict[int, PastTrial] = {}

    def read(self) -> list[PastTrial]:
        """Return every trial started so far by number."""

        def work(connection: Connection) -> list[PastTrial]:
            return [_past(row) for row in connection.execute(self._unknown())]

        self._known.update((trial.trial_id, trial) for trial in self._store.read(work))
        return sorted(self._known.values(), key=lambda trial: trial.number)

    def _unknown(self) -> Select[Any]:
        """Select the trials that are new since the last read or were running then.

        Optuna locks a study while it assigns a trial id, so no lower id appears later.
        """
        running = [trial.trial_id for trial in self._known.values() if trial.outcome is None]
        fresh = or_(TrialRow.trial_id > max(self._known, default=-1), TrialRow.trial_id.in_(running))
        return _trials().where(*self._of_stage, fresh)


@cache
def _trials() -> Select[Any]:
    hopeless = exists().where(FINDINGS.c.trial_id == TrialRow.trial_id, FINDINGS.c.severity == "fatal")
    return (
        select(
            TrialRow.trial_id,
            TRIALS.c.number,
            TrialRow.configuration,
            TrialRow.outcome,
            score().label("score"),
            TrialRow.epochs,
            TrialRow.ended_at.label("ended"),
            score(objective_of_epoch()).label("reached"),
            or_(hopeless, func.coalesce(TrialRow.cause, "") == BEYOND_LIMIT).label("hopeless"),
            _ATTRIBUTES.c.value_json.label("generation"),
        )
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .outerjoin(EPOCHS, and_(EPOCHS.c.trial_id == TrialRow.trial_id, EPOCHS.c.epoch == TrialRow.epochs))
        .outerjoin(
            _ATTRIBUTES, and_(_ATTRIBUTES.c.trial_id == TrialRow.trial_id, _ATTRIBUTES.c.key == GENERATION)
        )
    )


def _past(row: Row[Any]) -> PastTrial:
    values = dict(row._mapping)
    generation = values.pop("generation")
    return PastTrial(**values, generation=None if generation is None else int(generation))
