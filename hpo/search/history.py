"""The trials of a stage as a sampler that learns sees them; what has ended is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, column, exists, or_, select, table

from hpo.storage.store import ResultsStore
from hpo.storage.tables import EPOCHS, FINDINGS, TRIALS, TrialRow

_ATTRIBUTES = table("trial_system_attributes", column("trial_id"), column("key"), column("value_json"))
"""Optuna's; `ResultsStore.begin_trial` writes them."""
GENERATION = "cma:generation"
"""The attribute in which Optuna's CMA-ES keeps the generation of a trial."""


@dataclass(frozen=True)
class PastTrial:
    """A trial that was begun; ``order`` counts endings, None while it runs."""

    trial_id: int
    number: int
    configuration: Mapping[str, Any]
    """Every hyperparameter, None where it has no effect."""
    outcome: str | None
    value: float | None
    reached: float | None
    """The validation accuracy of its last epoch."""
    epochs: int | None
    hopeless: bool
    """A check ended it."""
    generation: int | None
    ended: Any
    """What endings are put in order by."""

    @property
    def infeasible(self) -> bool:
        """Whether nothing came of it, through no fault of its rivals: it failed or was hopeless."""
        return self.outcome == "failed" or (self.outcome == "pruned" and self.hopeless)


class History:
    """The trials of a stage of a study, read anew at each look but for those that have ended.

    Other stages train for other times or on other images: their values do not compare.
    """

    def __init__(self, store: ResultsStore, study_id: int, stage: str) -> None:
        self._store = store
        self._of_stage = (TrialRow.study_id == study_id, TrialRow.stage == stage)
        self._known: dict[int, PastTrial] = {}

    def look(self) -> list[PastTrial]:
        """Every trial begun so far, by number."""

        def work(connection: Connection) -> list[PastTrial]:
            return [_past(row) for row in connection.execute(self._unknown())]

        self._known.update((trial.trial_id, trial) for trial in self._store.read(work))
        return sorted(self._known.values(), key=lambda trial: trial.number)

    def _unknown(self) -> Select[Any]:
        """Trials that are new since the last look, or that ran then.

        Optuna locks a study while it gives a trial its id, so that no lower id appears later.
        """
        running = [trial.trial_id for trial in self._known.values() if trial.outcome is None]
        fresh = or_(TrialRow.trial_id > max(self._known, default=-1), TrialRow.trial_id.in_(running))
        return _trials().where(*self._of_stage, fresh)


def _trials() -> Select[Any]:
    hopeless = exists().where(FINDINGS.c.trial_id == TrialRow.trial_id, FINDINGS.c.severity == "fatal")
    return (
        select(
            TrialRow.trial_id,
            TRIALS.c.number,
            TrialRow.configuration,
            TrialRow.outcome,
            TrialRow.value,
            TrialRow.epochs,
            TrialRow.ended_at.label("ended"),
            EPOCHS.c.val_accuracy.label("reached"),
            hopeless.label("hopeless"),
            _ATTRIBUTES.c.value_json.label("generation"),
        )
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .outerjoin(EPOCHS, and_(EPOCHS.c.trial_id == TrialRow.trial_id, EPOCHS.c.epoch == TrialRow.epochs))
        .outerjoin(
            _ATTRIBUTES, and_(_ATTRIBUTES.c.trial_id == TrialRow.trial_id, _ATTRIBUTES.c.key == GENERATION)
        )
    )


def _past(row: Row[Any]) -> PastTrial:
    values = dict(row._mapping)
    generation = values.pop("generation")
    return PastTrial(**values, generation=None if generation is None else int(generation))
