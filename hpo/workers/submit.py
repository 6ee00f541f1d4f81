"""Submit a study: settle its images, and write it and its slots into the database, or find it there again."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from hpo.config.study import StudySpec
from hpo.data.datasets import _setting, load_study_images, resolve_auto
from hpo.queue.control import refuse_stopped
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import StudyProgress, register_study, study_progress
from hpo.settings import settings
from hpo.stages.validate import refuse_impossible
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.storage.tables import StudyRow


@dataclass(frozen=True)
class Submitted:
    """A study that is in the database, and what it is trained on."""

    study_id: int
    dataset: str
    origin: str
    reclaimed: int
    """Slots taken back from workers of this host that died."""
    at_start: StudyProgress
    priority: int


def submit(store: ResultsStore, spec: StudySpec, priority: int | None = None) -> Submitted:
    """Register the study, or take it up again; ``priority`` None leaves its own, 0 at first.

    ``dataset: auto`` is decided once: later runs use what it became. Raises ``DataError`` if the images
    cannot be had, ``StudyChangedError`` if the study or its images are not those it began with,
    ``StoppedStudyError`` after `hpo stop`.
    """
    known = find_registered(store.engine, spec.study)
    if known:
        refuse_stopped(store, known.study_id, spec.study)
    wanted = _setting(spec, "dataset")
    why = ""
    if wanted == "auto":
        wanted, why = (known.dataset, "") if known else resolve_auto(settings())
    dataset = load_study_images(spec, wanted)
    refuse_impossible(spec, dataset)
    study_id = register_study(store, spec, dataset, priority)
    reclaimed = release_dead_local(store, study_id)
    origin = f"{dataset.origin}; {why}" if why else dataset.origin
    return Submitted(
        study_id,
        dataset.name,
        origin,
        len(reclaimed),
        study_progress(store, study_id),
        _priority(store, study_id),
    )


def _priority(store: ResultsStore, study_id: int) -> int:
    known = select(StudyRow.priority).where(StudyRow.study_id == study_id)
    return store.read(lambda connection: connection.execute(known).scalar_one())
