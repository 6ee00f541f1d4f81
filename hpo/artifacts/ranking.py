"""Which trials of a study are its best: on the leaderboard, an earlier trial comes before its equals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from hpo.config.study import TEST
from hpo.storage.tables import TRIALS, SlotRow, TrialRow


@dataclass(frozen=True)
class TrialsToKeep:
    """Trials of a study by number: those under way, and of those that are over the ones to keep."""

    unfinished: frozenset[int]
    best: Mapping[int, int]
    """The token of the attempt that ended it, by number; with those measured on the test images."""


def trials_to_keep(connection: Connection, study_id: int, count: int) -> TrialsToKeep:
    """The trials that are not over, the best ``count``, and those measured on the test images."""
    mine = TrialRow.study_id == study_id
    trials = select(TRIALS.c.number).join(TrialRow, TrialRow.trial_id == TRIALS.c.trial_id).where(mine)
    unfinished = connection.scalars(trials.where(TrialRow.outcome.is_(None)))
    complete = (
        select(TRIALS.c.number, SlotRow.token)
        .join(TrialRow, TrialRow.trial_id == TRIALS.c.trial_id)
        .join(SlotRow, SlotRow.trial_id == TRIALS.c.trial_id)
        .where(mine, TrialRow.outcome == "complete")
    )
    ranked = complete.where(TrialRow.stage != TEST).order_by(TrialRow.value.desc(), TRIALS.c.number)
    rows = [*connection.execute(ranked.limit(count))]
    if count:
        rows += connection.execute(complete.where(TrialRow.stage == TEST))
    return TrialsToKeep(frozenset(unfinished), {row.number: row.token for row in rows})


def how_many_better(connection: Connection, study_id: int, value: float, number: int) -> int:
    """How many complete trials stand before one of that value and number."""
    before = or_(TrialRow.value > value, and_(TrialRow.value == value, TRIALS.c.number < number))
    counted = (
        select(func.count())
        .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, TrialRow.outcome == "complete", TrialRow.stage != TEST, before)
    )
    return connection.scalar(counted.select_from(TrialRow)) or 0
