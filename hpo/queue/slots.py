"""Slots: a study's planned trials, written when it is submitted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection
from sqlalchemy import Connection, delete, func, insert, select, update

from hpo import provenance
from hpo.config.image_format import ImageFormat
from hpo.config.study import MAIN, StudySpec
from hpo.diagnosis.refresh import replace_findings
from hpo.errors import StudyChangedError
from hpo.records import StudyFinding, stored
from hpo.stages.divided import divided_images
from hpo.stages.store import StagePlan, TrainingImages, add_stage, slots_to_come, stage_fixed
from hpo.storage import orphans
from hpo.storage.column_types import utc_now
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.storage import optuna_within, quiet_optuna
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDIES, SlotRow, StudyRow, TrialRow

if TYPE_CHECKING:
    from hpo.data.datasets import Dataset


@dataclass(frozen=True)
class _StudyData:
    """The data set that a study is bound to; empty for the user's own training, which brings its data."""

    name: str = ""
    fingerprint: str = ""
    origin: str = ""
    classes: int | None = None
    train_images: int | None = None
    class_counts: tuple[int, ...] | None = None
    format: ImageFormat | None = None
    validation: str | None = None
    val_class_counts: tuple[int, ...] | None = None
    findings: tuple[StudyFinding, ...] = ()

    @property
    def images(self) -> TrainingImages | None:
        """How many images are trained on; None for the user's own training."""
        if self.train_images is None:
            return None
        held_out = self.val_class_counts
        return TrainingImages(self.train_images, None if held_out is None else sum(held_out))

    @property
    def format_columns(self) -> dict[str, Any]:
        """The columns of the study's row that hold the format."""
        if self.format is None:
            return {}
        return {
            "image_height": self.format.height,
            "image_width": self.format.width,
            "image_channels": self.format.channels,
            "image_resize": self.format.resize,
        }

    @classmethod
    def of(cls, dataset: Dataset | None, spec: StudySpec, findings: Sequence[StudyFinding]) -> _StudyData:
        if dataset is None:
            return cls()
        divided = divided_images(spec, dataset)
        return cls(
            dataset.name,
            dataset.fingerprint,
            "; ".join([dataset.origin, *([divided.note] if divided else [])]),
            len(dataset.classes),
            len(dataset.train_labels),
            tuple(dataset.class_counts),
            dataset.format,
            dataset.division.kind,
            divided.class_counts if divided else None,
            tuple(findings),
        )


@dataclass(frozen=True)
class StudyProgress:
    """Number of slots of a study in each state."""

    waiting: int = 0
    running: int = 0
    paused: int = 0
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    to_come: int = 0
    """Slots of stages that have not started; some of them may never be needed."""

    @property
    def open(self) -> int:
        """Slots whose trial has not ended, in the stages that have started."""
        return self.waiting + self.running + self.paused

    @property
    def done(self) -> int:
        """Slots whose trial has ended."""
        return self.complete + self.pruned + self.failed

    @property
    def total(self) -> int:
        """All slots, including those to come."""
        return self.open + self.done + self.to_come


def register_study(
    store: ResultsStore,
    spec: StudySpec,
    dataset: Dataset | None,
    priority: int | None = None,
    findings: Sequence[StudyFinding] = (),
) -> int:
    """Create the study and its slots, or update an existing one; return its id.

    ``dataset`` is None for the user's own training; ``findings`` are those on its images.
    ``priority`` None keeps the priority, 0 for a new study. More ``trials`` than before add slots, fewer
    remove slots that have not started. Raises ``StudyChangedError`` if the spec would lead to other trials,
    or if the data set is not the one that the study was created with.
    """

    data = _StudyData.of(dataset, spec, findings)

    def work(connection: Connection) -> int:
        nonlocal spec
        orphans.delete_orphans(connection)
        notify_idle_workers(connection)
        study_id = connection.scalar(select(STUDIES.c.study_id).where(STUDIES.c.study_name == spec.study))
        is_new = study_id is None
        if study_id is None:
            study_id = _create(connection, spec, data)
        else:
            spec = _with_its_space(connection, study_id, spec)
            _refuse_changes(connection, study_id, spec, data)
            connection.execute(
                update(StudyRow).where(StudyRow.study_id == study_id).values(spec=_document(spec))
            )
        if priority is not None:
            ranked = update(StudyRow).where(StudyRow.study_id == study_id)
            connection.execute(ranked.values(priority=priority))
        if not spec.stages:
            _fit_slots(connection, study_id, spec)
        elif is_new:
            _start_first_stage(connection, study_id, spec, data.images)
        return study_id

    return store.write(work)


def study_progress(store: ResultsStore, study_id: int) -> StudyProgress:
    """Count the study's slots by state."""
    counts = (
        select(SlotRow.state, TrialRow.outcome, func.count())
        .outerjoin(TrialRow, TrialRow.trial_id == SlotRow.trial_id)
        .where(SlotRow.study_id == study_id)
        .group_by(SlotRow.state, TrialRow.outcome)
    )
    by_name: dict[str, int] = {}
    for state, outcome, count in store.read(lambda connection: connection.execute(counts).all()):
        name = outcome or "failed" if state == "done" else state
        by_name[name] = by_name.get(name, 0) + count
    to_come = store.read(lambda connection: slots_to_come(connection, study_id))
    return StudyProgress(**by_name, to_come=to_come)


NOT_STARTED = (SlotRow.state == "waiting") & SlotRow.trial_id.is_(None)
"""Slots that wait for their first worker."""


def _start_first_stage(
    connection: Connection, study_id: int, spec: StudySpec, images: TrainingImages | None
) -> None:
    first = spec.stages[0]
    given = [_first(spec, slot) for slot in range(first.trials or 0)]
    plan = StagePlan(first.name, "search", spec.space, stage_fixed(spec, first, images), given)
    add_stage(connection, study_id, spec, images, plan)


def _create(connection: Connection, spec: StudySpec, data: _StudyData) -> int:
    uid, second = uuid.uuid4().hex, spec.tradeoffs.goal
    with optuna_within(connection) as optuna, quiet_optuna():
        study_id = optuna.create_new_study([StudyDirection[spec.goal.direction.upper()]], spec.study)
        optuna.set_study_user_attr(study_id, orphans.UID_ATTRIBUTE, uid)
        # As `study.set_metric_names` does: the dashboard then labels axes val_accuracy, not "Objective 0".
        optuna.set_study_system_attr(study_id, "study:metric_names", [spec.objective])
    connection.execute(
        insert(StudyRow).values(
            study_id=study_id,
            name=spec.study,
            uid=uid,
            spec=_document(spec),
            seed=spec.seed,
            code_version=provenance.code_version(),
            package_versions=provenance.package_versions(),
            dataset=data.name,
            dataset_fingerprint=data.fingerprint,
            dataset_origin=data.origin,
            classes=data.classes,
            train_images=data.train_images,
            class_counts=None if data.class_counts is None else list(data.class_counts),
            **data.format_columns,
            validation=data.validation,
            val_class_counts=None if data.val_class_counts is None else list(data.val_class_counts),
            image_findings=[stored(each) for each in data.findings] or None,
            objective=spec.goal.metric,
            direction=spec.goal.direction,
            tradeoff=second.quantity if second else None,
            tradeoff_direction=second.direction if second else None,
            created_at=utc_now(),
        )
    )
    if data.findings:
        replace_findings(connection, study_id, data.findings, 0)
    return study_id


def _with_its_space(connection: Connection, study_id: int, spec: StudySpec) -> StudySpec:
    """Return a study whose training draws its parameters with the space that they have made so far."""
    stored = connection.scalar(select(StudyRow.spec).where(StudyRow.study_id == study_id))
    if spec.interface == "hpo" or stored is None:
        return spec
    return spec.model_copy(update={"space": StudySpec.model_validate(stored).space})


def _refuse_changes(connection: Connection, study_id: int, spec: StudySpec, data: _StudyData) -> None:
    row = connection.execute(select(StudyRow.__table__).where(StudyRow.study_id == study_id)).one_or_none()
    if row is None:
        raise StudyChangedError(
            f"this database has a study {spec.study} that was not created by hpo: choose another name"
        )
    changes = _changes(_document(StudySpec.model_validate(row.spec)), _document(spec))
    if changes:
        listed = "\n".join(f"  {change}" for change in changes)
        raise StudyChangedError(
            f"study {spec.study} was created with different settings:\n{listed}\n"
            "Give the changed study another name, or restore the old settings to resume it."
        )
    if row.dataset_fingerprint != data.fingerprint:
        raise StudyChangedError(
            f"study {spec.study} was created with a different data set: {row.dataset} "
            f"({row.dataset_origin}), fingerprint {row.dataset_fingerprint[:12]}; now {data.name} "
            f"({data.origin}), fingerprint {data.fingerprint[:12]}. "
            "Restore the old data, or give the study another name."
        )


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = _flat(old), _flat(new)
    changed = [key for key in {**before, **after} if before.get(key, _ABSENT) != after.get(key, _ABSENT)]
    return [f"{key}: {before.get(key, _ABSENT)} -> {after.get(key, _ABSENT)}" for key in changed]


_ABSENT = "(not set)"
_MAY_CHANGE = ("trials", "max_consecutive_failures", "max_deaths", "keep_best", "needs", "limits")
"""Settings that do not change any trial."""


def _flat(document: Mapping[str, Any]) -> dict[str, str]:
    """Return each setting as JSON by its key in the study file, such as ``fixed.lr``; without empty parts."""
    flat = {}
    for key, value in document.items():
        if key in _MAY_CHANGE:
            continue
        inner = {f"{key}.{name}": each for name, each in value.items()} if isinstance(value, dict) else None
        entries = {key: value} if inner is None else inner
        flat.update({name: json.dumps(_filled(each), sort_keys=True) for name, each in entries.items()})
    return flat


def _filled(value: Any) -> Any:
    """Leave out what a study file need not have, such as ``when: {}``."""
    if isinstance(value, list):
        return [_filled(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _filled(each) for name, each in value.items() if each not in ({}, None)}


def _document(spec: StudySpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True)


def _first(spec: StudySpec, slot: int) -> dict[str, Any] | None:
    return spec.first[slot] if slot < len(spec.first) else None


def _fit_slots(connection: Connection, study_id: int, spec: StudySpec) -> None:
    of_study = (SlotRow.study_id == study_id) & (SlotRow.stage == MAIN)
    # Enqueued configurations are kept; only slots that would be drawn are removed.
    drawn = NOT_STARTED & SlotRow.given.is_(None)
    connection.execute(delete(SlotRow).where(of_study, SlotRow.slot >= spec.trials, drawn))
    last = connection.scalar(select(func.max(SlotRow.slot)).where(of_study))
    first_new = 0 if last is None else last + 1
    new = [
        {"study_id": study_id, "stage": MAIN, "slot": slot, "given": _first(spec, slot)}
        for slot in range(first_new, spec.trials)
    ]
    if new:
        connection.execute(insert(SlotRow), new)
