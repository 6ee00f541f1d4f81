"""The ranking of a study's trials by value. Of equal trials the earlier one ranks higher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from hpo.config.study import TEST
from hpo.storage.fence import Lease
from hpo.storage.objective_sql import score
from hpo.storage.tables import TRIALS, CandidateRow, SlotRow, StudyRow, TrialRow


@dataclass(frozen=True)
class TrialsToKeep:
    """The trials of a study, by number, whose weights must stay."""

    unfinished: frozenset[int]
    best: Mapping[int, int]
    """By number the token of the last attempt: of the best trials, of those that found or confirmed a
    configuration, and of those measured on test images."""


def trials_to_keep(connection: Connection, study_id: int, count: int) -> TrialsToKeep:
    """Return the unfinished trials, the best ``count``, and those measured on the test images.

    With a confirmation also, of each of its configurations, the trial that found it and its best training:
    whichever is chosen, its weights are there. Lucky trials of others cannot displace them.
    """
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
        found = select(CandidateRow.trial_id).where(CandidateRow.study_id == study_id)
        rows += connection.execute(complete.where(or_(TrialRow.stage == TEST, TrialRow.trial_id.in_(found))))
        rows += connection.execute(complete.where(TrialRow.trial_id.in_(_best_of_each_candidate(study_id))))
    return TrialsToKeep(frozenset(unfinished), {row.number: row.token for row in rows})


def is_to_keep(connection: Connection, lease: Lease, number: int, reached: float, count: int) -> bool:
    """Whether a trial that completes with this score is one of those to keep; see ``trials_to_keep``."""
    if count == 0:
        return False
    if lease.stage == TEST or count_better(connection, lease.study_id, reached, number) < count:
        return True
    candidates = connection.scalar(_candidates(lease.study_id, lease.stage)) or 0
    if candidates == 0:
        return False
    same = TrialRow.stage == lease.stage, TrialRow.slot % candidates == lease.slot % candidates
    return count_better(connection, lease.study_id, reached, number, *same) == 0


def count_better(
    connection: Connection, study_id: int, reached: float, number: int, *among: ColumnElement[bool]
) -> int:
    """Return the number of complete trials, of those ``among``, that rank above one with this score."""
    before = or_(score() > reached, and_(score() == reached, TRIALS.c.number < number))
    counted = (
        select(func.count())
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.outcome == "complete", TrialRow.stage != TEST, before)
        .where(*among)
    )
    return connection.scalar(counted.select_from(TrialRow)) or 0


def _candidates(study_id: int, stage: Any) -> Select[int]:
    """Count the configurations that a stage confirms."""
    mine = CandidateRow.study_id == study_id, CandidateRow.stage == stage
    return select(func.count()).select_from(CandidateRow).where(*mine)


def _best_of_each_candidate(study_id: int) -> Select[int]:
    """Select the best complete training of each configuration that a stage confirms."""
    of_stage = _candidates(study_id, TrialRow.stage).correlate(TrialRow).scalar_subquery()
    runs = (
        select(TrialRow.trial_id, TrialRow.stage, TrialRow.slot, score().label("score"), TRIALS.c.number)
        .add_columns(of_stage.label("candidates"))
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .where(TrialRow.study_id == study_id, TrialRow.outcome == "complete")
        .subquery()
    )
    place = func.row_number().over(
        partition_by=(runs.c.stage, runs.c.slot % runs.c.candidates),
        order_by=(runs.c.score.desc(), runs.c.number),
    )
    ranked = select(runs.c.trial_id, place.label("place")).where(runs.c.candidates > 0).subquery()
    return select(ranked.c.trial_id).where(ranked.c.place == 1)
