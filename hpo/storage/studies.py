"""A submitted study as a worker finds it in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Integer, Row, String, and_, column, select, table

from hpo.config.study import StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import UnknownStudyError, UserError
from hpo.storage.engine import open_reader, reading
from hpo.storage.revision import require
from hpo.storage.tables import STUDIES, StudyRow


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
    """Return the study of that name that hpo created and Optuna still has, or None.

    Raises ``UserError`` if it was submitted by a version of hpo with settings that this one does not know.
    """
    mine = (
        select(StudyRow.study_id, StudyRow.uid, StudyRow.spec, StudyRow.dataset, StudyRow.dataset_fingerprint)
        .join(STUDIES, (STUDIES.c.study_id == StudyRow.study_id) & (STUDIES.c.study_name == StudyRow.name))
        .where(StudyRow.name == name)
    )
    with reading(engine) as connection:
        row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    try:
        spec = StudySpec.model_validate(row.spec)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UserError(
            f"study {name} was submitted by a different version of hpo and uses settings that this version "
            f"does not know: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        ) from error
    return RegisteredStudy(row.study_id, row.uid, spec, row.dataset, row.dataset_fingerprint)


KNOWN = table(
    "hpo_known_trial",
    column("trial_id", Integer),
    column("study", String),
    column("number", Integer),
    column("state", String),
)
"""The view that every other view joins."""


def results_engine(url: str) -> Engine:
    """An engine that only reads; raises ``StorageError`` if hpo has not used this database yet."""
    engine = open_reader(url)
    try:
        require(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def find_study(connection: Connection, name: str) -> Row[Any]:
    """A study's id, uid, name and spec; raises ``UnknownStudyError``."""
    row = connection.execute(
        select(StudyRow.study_id, StudyRow.uid, StudyRow.name, StudyRow.spec)
        .join(STUDIES, is_known_study())
        .where(StudyRow.name == name)
    ).one_or_none()
    if row is None:
        raise UnknownStudyError(_unknown(connection, name))
    return row


def searched_names(study: Row[Any]) -> tuple[str, ...]:
    """The hyperparameters that a study searches."""
    return tuple(study.spec.get("space", {}))


def _unknown(connection: Connection, name: str) -> str:
    names = list(
        connection.scalars(select(StudyRow.name).join(STUDIES, is_known_study()).order_by(StudyRow.name))
    )
    if not names:
        return f"there is no study {name}: this database has none yet"
    hint = did_you_mean(name, names)
    return f"there is no study {name} in this database: {hint}{' ' if hint else ''}It has {', '.join(names)}"


def is_known_study() -> Any:
    """Whether Optuna still has the study; see `views/hpo_known_trial.sql`."""
    return and_(STUDIES.c.study_id == StudyRow.study_id, STUDIES.c.study_name == StudyRow.name)
