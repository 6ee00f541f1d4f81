"""Submit a study: load its data set, then create the study and its slots in the database or update them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from hpo.config.study import StudySpec
from hpo.data.datasets import Dataset
from hpo.queue.control import refuse_stopped
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import StudyProgress, register_study, study_progress
from hpo.records import StudyFinding
from hpo.stages.divided import divided_images, division_warnings
from hpo.stages.leaks import leak_findings
from hpo.stages.validate import refuse_impossible, refuse_preprocessing
from hpo.storage.store import ResultsStore
from hpo.storage.studies import RegisteredStudy, find_registered
from hpo.storage.tables import StudyRow
from hpo.text import counted
from hpo.training.study_images import ChosenImages, as_submitted, choose_images, load_chosen_images


@dataclass(frozen=True)
class SubmittedStudy:
    """A study in the database, and the data set it is trained on; "" for the user's own training."""

    study_id: int
    dataset: str
    origin: str
    """What is trained on, in words: the images, or the user's own training."""
    reclaimed: int
    """Number of slots that dead workers of this machine held; they are free again."""
    progress: StudyProgress
    priority: int
    is_new: bool
    """Whether this submission created it."""
    warnings: tuple[str, ...] = ()
    """What the user should know before training: of the images, and of settings that were lowered."""


def submit_study(store: ResultsStore, spec: StudySpec, priority: int | None = None) -> SubmittedStudy:
    """Create the study, or update it if it exists; ``priority`` None keeps its priority, 0 for a new study.

    ``dataset: auto`` is decided by the first submission, for good. Raises ``DataError`` if the data set
    cannot be loaded, ``StudyChangedError`` if the study or its data set are not those it was created with,
    ``StoppedStudyError`` after `hpo stop`.
    """
    registered = find_registered(store.engine, spec.study)
    if registered:
        refuse_stopped(store, registered.study_id, spec.study)
    data = _own_training(spec) if spec.is_own else _images(spec, registered)
    study_id = register_study(store, spec, data.dataset, priority, data.findings)
    reclaimed = release_dead_local(store, study_id)
    progress = study_progress(store, study_id)
    return SubmittedStudy(
        study_id=study_id,
        dataset=data.dataset.name if data.dataset else "",
        origin=data.origin,
        reclaimed=len(reclaimed),
        progress=progress,
        priority=_priority(store, study_id),
        is_new=registered is None,
        warnings=(*data.warnings, *_lowered(spec, registered.spec if registered else spec, progress)),
    )


@dataclass(frozen=True)
class _TrainedOn:
    dataset: Dataset | None
    origin: str
    warnings: tuple[str, ...] = ()
    findings: tuple[StudyFinding, ...] = ()


def _own_training(spec: StudySpec) -> _TrainedOn:
    written = f" for Optuna: {spec.goal.direction} {spec.objective}" if spec.interface == "optuna" else ""
    return _TrainedOn(None, f"your own training, {spec.trainer_text}{written}")


def _images(spec: StudySpec, registered: RegisteredStudy | None) -> _TrainedOn:
    chosen = ChosenImages(registered.dataset, registered.format) if registered else choose_images(spec)
    dataset = load_chosen_images(as_submitted(spec, registered) if registered else spec, chosen)
    if not registered:  # its settings can no longer change, and some of its trials may fit the images
        refuse_impossible(spec, dataset)
        refuse_preprocessing(spec, dataset.image_shape)
    divided = divided_images(spec, dataset)
    notes = [divided.note] if divided and dataset.division.kind != "given" else []
    origin = "; ".join([dataset.description, *notes, *chosen.reasons])
    findings = [] if registered else leak_findings(spec, dataset, chosen.name)
    told = [each.message for each in findings if each.severity == "warn"]
    warnings = (*dataset.warnings, *division_warnings(spec, dataset), *told)
    return _TrainedOn(dataset, origin, warnings, tuple(findings))


def _lowered(spec: StudySpec, before: StudySpec, now: StudyProgress) -> list[str]:
    """Return what lower settings do not undo, or remove."""
    found = []
    if not spec.stages and now.total > spec.trials:
        kept = counted(now.total, "trial")
        found.append(f"trials is {spec.trials}, but {kept} have begun or were enqueued: all of them are kept")
    if spec.keep_best < before.keep_best:
        found.append(
            f"keep_best is {spec.keep_best}, and was {before.keep_best}: when the next trial ends, the kept "
            "weights of other trials are deleted"
        )
    if spec.max_deaths < before.max_deaths:
        found.append(
            f"max_deaths is {spec.max_deaths}, and was {before.max_deaths}: it counts earlier deaths"
        )
    return found


def _priority(store: ResultsStore, study_id: int) -> int:
    priority = select(StudyRow.priority).where(StudyRow.study_id == study_id)
    return store.read(lambda connection: connection.execute(priority).scalar_one())
