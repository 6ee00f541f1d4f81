"""A submitted study as a worker finds it in the database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from hpo.results.engine import reading
from hpo.results.tables import STUDIES, StudyRow
from hpo.spec.study import StudySpec


@dataclass(frozen=True)
class RegisteredStudy:
    """What a study asks for, and the images it is pinned to."""

    study_id: int
    uid: str
    """Its own in all databases."""
    spec: StudySpec
    dataset: str
    fingerprint: str


def find_registered(engine: Engine, name: str) -> RegisteredStudy | None:
    """The study of that name that hpo made and that Optuna still has; None if there is none."""
    mine = (
        select(StudyRow.study_id, StudyRow.uid, StudyRow.spec, StudyRow.dataset, StudyRow.dataset_fingerprint)
        .join(STUDIES, (STUDIES.c.study_id == StudyRow.study_id) & (STUDIES.c.study_name == StudyRow.name))
        .where(StudyRow.name == name)
    )
    with reading(engine) as connection:
        row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    return RegisteredStudy(
        row.study_id, row.uid, StudySpec.model_validate(row.spec), row.dataset, row.dataset_fingerprint
    )
