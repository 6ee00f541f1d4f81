"""How much all workers of a database have done and are doing, by study, in a few numbers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Select, func, select

from hpo.storage.column_types import epoch_now
from hpo.storage.engine import reading
from hpo.storage.tables import EPOCHS, AttemptRow, SlotRow, TrialRow


def epochs_by_study(engine: Engine) -> dict[int, int]:
    """Recorded epochs, of trials under way too, by the study's id."""
    return _numbers(engine, select(SlotRow.study_id, func.sum(SlotRow.epoch)).group_by(SlotRow.study_id))


def held_by_study(engine: Engine) -> dict[int, int]:
    """Slots whose lease has not run out, by the study's id."""
    held = (SlotRow.state != "done", SlotRow.state == "running", SlotRow.lease_until > epoch_now())
    return _numbers(engine, select(SlotRow.study_id, func.count()).where(*held).group_by(SlotRow.study_id))


def speed_by_study(engine: Engine) -> dict[int, float]:
    """Images per second of the trials under way, each in its last epoch, added up; by the study's id."""
    last = (EPOCHS.c.trial_id == SlotRow.trial_id) & (EPOCHS.c.epoch == SlotRow.epoch)
    running = (SlotRow.state != "done", SlotRow.state == "running")
    return _numbers(
        engine,
        select(SlotRow.study_id, func.sum(EPOCHS.c.images_per_second))
        .join(EPOCHS, last)
        .where(*running)
        .group_by(SlotRow.study_id),
    )


def attempts_by_study(engine: Engine) -> dict[tuple[int, str], int]:
    """How many attempts came to which outcome, by the study's id; those under way are ``running``."""
    counted = (
        select(TrialRow.study_id, func.coalesce(AttemptRow.outcome, "running").label("came_to"), func.count())
        .join(TrialRow, TrialRow.trial_id == AttemptRow.trial_id)
        .group_by(TrialRow.study_id, "came_to")
    )
    with reading(engine) as connection:
        return {(study_id, outcome): count for study_id, outcome, count in connection.execute(counted)}


def _numbers(engine: Engine, by_study: Select[int, Any]) -> dict[int, Any]:
    with reading(engine) as connection:
        return {study_id: number for study_id, number in connection.execute(by_study) if number is not None}
