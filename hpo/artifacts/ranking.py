"""The ranking of a study's trials by value. Of equal trials the earlier one ranks higher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from hpo.config.study import TEST
from hpo.storage.objective_sql import score
from hpo.storage.tables import TRIALS, SlotRow, StudyRow, TrialRow


@dataclass(frozen=True)
class TrialsToKeep:
    """The trials of a study, by number, whose weights must stay."""

    unfinished: frozenset[int]
    best: Mapping[int, int]
    """By number the token of the last attempt: of the best trials, and of those measured on test images."""


def trials_to_keep(connection: Connection, study_id: int, count: int) -> TrialsToKeep:
    """Return the unfinished trials, the best ``count``, and those measured on the test images."""
    mine = TrialRow.study_id == study_id
    trials = select(TRIALS.c.number).join(TrialRow, TrialRow.trial_id == TRIALS.c.trial_id).where(mine)
    unfinished = connection.scalars(trials.where(TrialRow.outcome.is_(None)))
    complete = (
        select(TRIALS.c.number, SlotRow.token)
        .join(TrialRow, TrialRow.trial_id == TRIALS.c.trial_id)
        .join(SlotRow, SlotRow.trial_id == TRIALS.c.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(mine, TrialRow.outcome == "complete")
    )
    ranked = complete.where(TrialRow.stage != TEST).order_by(score().desc(), TRIALS.c.number)
    rows = [*connection.execute(ranked.limit(count))]
    if count:
        rows += connection.execute(complete.where(TrialRow.stage == TEST))
    return TrialsToKeep(frozenset(unfinished), {row.number: row.token for row in rows})


def count_better(connection: Connection, study_id: int, reached: float, number: int) -> int:
    """Return the number of complete trials that rank above one with this score and number."""
    before = or_(score() > reached, and_(score() == reached, TRIALS.c.number < number))
    counted = (
        select(func.count())
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.outcome == "complete", TrialRow.stage != TEST, before)
    )
    return connection.scalar(counted.select_from(TrialRow)) or 0
