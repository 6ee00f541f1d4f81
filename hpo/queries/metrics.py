"""A few numbers per study for monitoring: what workers have done and are doing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Select, func, select

from hpo.storage.column_types import epoch_now
from hpo.storage.engine import reading
from hpo.storage.tables import EPOCHS, AttemptRow, SlotRow, TrialRow


def epochs_by_study(engine: Engine) -> dict[int, int]:
    """Return the recorded epochs by study id, including those of running trials."""
    return _numbers(engine, select(SlotRow.study_id, func.sum(SlotRow.epoch)).group_by(SlotRow.study_id))


def held_slots_by_study(engine: Engine) -> dict[int, int]:
    """Return the number of slots whose lease has not expired, by study id."""
    held = (SlotRow.state != "done", SlotRow.state == "running", SlotRow.lease_until > epoch_now())
    return _numbers(engine, select(SlotRow.study_id, func.count()).where(*held).group_by(SlotRow.study_id))


def speed_by_study(engine: Engine) -> dict[int, float]:
    """Return the images per second of the running trials in their last epochs, summed by study id."""
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
    """Return the number of attempts by study id and outcome; open ones are ``running``."""
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
