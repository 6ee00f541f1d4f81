"""A configuration that the user gives takes a slot of a study, ahead of its draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from hpo.config.fields import setting
from hpo.config.study import MAIN, StudySpec
from hpo.errors import UserError
from hpo.queue.slots import NOT_STARTED
from hpo.search.samplers.pure import fixed_values, is_finite
from hpo.search.samplers.registry import PURE, sample_slot
from hpo.stages.store import find_stage
from hpo.storage.notify import notify_idle_workers
from hpo.storage.store import ResultsStore
from hpo.storage.tables import SlotRow, StudyRow
from hpo.text import counted


@dataclass(frozen=True)
class Enqueued:
    """Where a configuration waits: its slot, its values, and what became of the study's own draws."""

    slot: int
    given: dict[str, Any]
    place: str


REPLACED = "in place of the next draw"
MOVED = "moved ahead: it is one of the study's own configurations"
WAITING = "it was already waiting there"
ADDED = "an additional trial: every other one has started or is enqueued"


def enqueue(store: ResultsStore, study_id: int, given: Mapping[str, Any]) -> Enqueued:
    """Enqueue a configuration after those that were enqueued before, and before all draws.

    It replaces the next draw; if every slot has started or is enqueued, the study gets one more slot and one
    more of its ``trials``. In a finite space that is not learned from, a configuration that a slot would draw
    anyway changes places with the next draw, so that each is still trained once. Raises ``UserError`` for a
    grid that has no such point left, and for a study with stages that has no free slot.
    """

    def work(connection: Connection) -> Enqueued:
        notify_idle_workers(connection)
        locked = select(StudyRow.spec).where(StudyRow.study_id == study_id).with_for_update()
        spec = StudySpec.model_validate(connection.execute(locked).scalar_one())
        waiting = _waiting(connection, study_id)
        free = next((row for row in waiting if row.given is None), None)
        stage = find_stage(connection, study_id, spec, waiting[0].stage if waiting else MAIN).spec
        if _draws_each_once(stage):
            found = _exchange(connection, study_id, stage, waiting, free, given)
            if found is not None:
                return found
            if stage.sampler.name == "grid":
                raise UserError(_no_point(stage, given))
        if free is None:
            return Enqueued(_append(connection, study_id, spec, given), dict(given), ADDED)
        _give(connection, study_id, free, given)
        return Enqueued(free.slot, dict(given), REPLACED)

    return store.write(work)


def require_point(spec: StudySpec, given: Mapping[str, Any]) -> None:
    """Raise ``UserError`` if the study's sampler is a grid without such a point, before it is submitted."""
    grid = spec.sampler.name == "grid" and not spec.stages
    if grid and _slot_with(spec, ((slot, None) for slot in range(spec.trials)), given) is None:
        raise UserError(_no_point(spec, given))


def _waiting(connection: Connection, study_id: int) -> list[Row[str, int, Any]]:
    rows = select(SlotRow.stage, SlotRow.slot, SlotRow.given).where(SlotRow.study_id == study_id, NOT_STARTED)
    return list(connection.execute(rows.order_by(SlotRow.slot).with_for_update(skip_locked=True)))


def _draws_each_once(spec: StudySpec) -> bool:
    return spec.sampler.name in PURE and is_finite(spec)


def _exchange(
    connection: Connection,
    study_id: int,
    spec: StudySpec,
    waiting: list[Row[str, int, Any]],
    free: Row[str, int, Any] | None,
    given: Mapping[str, Any],
) -> Enqueued | None:
    """Have the slot that would draw such a configuration change places with the next draw."""
    slot = _slot_with(spec, ((row.slot, row.given) for row in waiting), given)
    if slot is None:
        return None
    own = next(row for row in waiting if row.slot == slot)
    point = _values(spec, own.slot, own.given)
    if free is None or own.slot < free.slot:
        return Enqueued(own.slot, point, WAITING)
    if own.slot > free.slot:
        _give(connection, study_id, own, _values(spec, free.slot, None))
    _give(connection, study_id, free, point)
    return Enqueued(free.slot, point, MOVED)


def _slot_with(
    spec: StudySpec, slots: Iterable[tuple[int, Mapping[str, Any] | None]], given: Mapping[str, Any]
) -> int | None:
    """Return the first of the slots, each with its given configuration, that trains the given values."""
    fixed = fixed_values(spec)
    wanted = {name: value for name, value in given.items() if name in spec.space or value != fixed[name]}
    for slot, own in slots:
        values = _values(spec, slot, own)
        if all(name in values and values[name] == value for name, value in wanted.items()):
            return slot
    return None


def _values(spec: StudySpec, slot: int, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return sample_slot(spec, slot) if given is None else dict(given)


def _no_point(spec: StudySpec, given: Mapping[str, Any]) -> str:
    fixed = fixed_values(spec)
    for name, value in given.items():
        distribution = spec.space.get(name)
        if distribution is None and value != fixed[name]:
            return f"the grid does not search {name}: use a study of its own"
        if distribution is not None and not distribution.can_be(value):
            return f"{name} {setting(value)} is not in the grid: use a study of its own"
    return (
        "no point of the grid with these values is waiting: they have started, or are beyond the study's "
        f"{counted(spec.trials, 'trial')} (--trials adds some)"
    )


def _give(connection: Connection, study_id: int, row: Row[str, int, Any], given: Mapping[str, Any]) -> None:
    at = SlotRow.study_id == study_id, SlotRow.stage == row.stage, SlotRow.slot == row.slot
    connection.execute(update(SlotRow).where(*at).values(given=dict(given)))


def _append(connection: Connection, study_id: int, spec: StudySpec, given: Mapping[str, Any]) -> int:
    """Add a slot to a study whose row is locked, and return its number."""
    if spec.stages:
        raise UserError("the study's stage has no free slot left: use a separate study")
    of_stage = SlotRow.study_id == study_id, SlotRow.stage == MAIN
    slot = 1 + (connection.scalar(select(func.max(SlotRow.slot)).where(*of_stage)) or 0)
    connection.execute(insert(SlotRow).values(study_id=study_id, stage=MAIN, slot=slot, given=dict(given)))
    document = connection.scalar(select(StudyRow.spec).where(StudyRow.study_id == study_id)) or {}
    grown = {**document, "trials": max(spec.trials, slot + 1)}
    connection.execute(update(StudyRow).where(StudyRow.study_id == study_id).values(spec=grown))
    return slot
