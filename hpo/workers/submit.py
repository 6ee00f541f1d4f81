"""Submit a study: settle its images, and write it and its slots into the database, or find it there again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from hpo.data.datasets import Dataset, load_dataset, resolve_auto
from hpo.queue.leases import release_dead_local
from hpo.queue.refusals import refuse_impossible
from hpo.queue.registered import find_registered
from hpo.queue.slots import Progress, progress, register_study
from hpo.queue.stopping import refuse_stopped
from hpo.results.store import ResultsStore
from hpo.results.tables import StudyRow
from hpo.settings import settings
from hpo.spec.configuration import Configuration
from hpo.spec.study import StudySpec


@dataclass(frozen=True)
class Submitted:
    """A study that is in the database, and what it is trained on."""

    study_id: int
    dataset: str
    origin: str
    reclaimed: int
    """Slots taken back from workers of this host that died."""
    at_start: Progress
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
        study_id, dataset.name, origin, len(reclaimed), progress(store, study_id), _priority(store, study_id)
    )


def _priority(store: ResultsStore, study_id: int) -> int:
    known = select(StudyRow.priority).where(StudyRow.study_id == study_id)
    return store.read(lambda connection: connection.execute(known).scalar_one())


def load_study_images(spec: StudySpec, name: str) -> Dataset:
    """The data set ``name`` (cifar10, folder or synthetic), from the study's folder where it gives one."""
    root = _setting(spec, "data_root")
    return load_dataset(name, root=Path(root) if root else None, settings=settings())


def _setting(spec: StudySpec, field: str) -> Any:
    """A study's one value of a field that cannot be searched."""
    return spec.fixed.get(field, Configuration.model_fields[field].default)
