"""Finding a study by its name, and the errors for studies and trials that do not exist."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Integer, Row, String, and_, column, select, table

from hpo.config.image_format import ImageFormat
from hpo.config.study import NAME_PATTERN, StudySpec
from hpo.config.suggestions import did_you_mean
from hpo.errors import UnknownStudyError, UserError
from hpo.storage.engine import open_reader, reading
from hpo.storage.revision import require
from hpo.storage.tables import STUDIES, StudyRow

KNOWN = table(
    "hpo_known_trial",
    column("trial_id", Integer),
    column("study", String),
    column("number", Integer),
    column("state", String),
)
"""The view that every other view joins."""


@dataclass(frozen=True)
class RegisteredStudy:
    """A study's specification and the data set it is bound to.

    A study of the user's own training has none: an empty name, and no classes.
    """

    study_id: int
    uid: str
    """Unique across databases."""
    spec: StudySpec
    dataset: str
    fingerprint: str
    classes: int | None
    class_counts: tuple[int, ...]
    """How many training images each class has; empty for studies of earlier versions."""
    format: ImageFormat
    """What its images are made to; the default for the user's own training."""

    given_validation: bool = False
    """Whether the validation split that its images come with validates."""
    val_class_counts: tuple[int, ...] = ()
    """How many validation images each class has; empty if they are drawn, for ``val_fraction`` says it."""

    @property
    def images(self) -> dict[str, str]:
        """The fields of a configuration that the study is bound to; none for the user's own training."""
        return {"dataset": self.dataset, **self.format.fields} if self.dataset else {}


def find_registered(engine: Engine, name: str) -> RegisteredStudy | None:
    """Return the study of that name that hpo created and Optuna still has, or None.

    Raises ``UserError`` if it was submitted by a version of hpo with settings that this one does not know.
    """
    study = (
        select(
            *(StudyRow.study_id, StudyRow.uid, StudyRow.spec, StudyRow.dataset),
            *(StudyRow.dataset_fingerprint, StudyRow.classes, StudyRow.class_counts),
            *(StudyRow.image_height, StudyRow.image_width, StudyRow.image_channels, StudyRow.image_resize),
            *(StudyRow.validation, StudyRow.val_class_counts),
        )
        .join(STUDIES, is_known_study())
        .where(StudyRow.name == name)
    )
    if not NAME_PATTERN.fullmatch(name):
        return None  # no study has it, and a database may not take its characters
    with reading(engine) as connection:
        row = connection.execute(study).one_or_none()
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
    counts = tuple(row.class_counts or ())
    form = ImageFormat()
    if row.dataset:
        form = ImageFormat(row.image_height, row.image_width, row.image_channels, row.image_resize)
    return RegisteredStudy(
        row.study_id,
        row.uid,
        spec,
        row.dataset,
        row.dataset_fingerprint,
        row.classes,
        counts,
        form,
        row.validation == "given",
        tuple(row.val_class_counts or ()),
    )


def results_engine(url: str) -> Engine:
    """Return an engine that only reads; raises ``StorageError`` if hpo has not used this database yet."""
    engine = open_reader(url)
    try:
        require(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def find_study(connection: Connection, name: str) -> Row[Any]:
    """Return a study's id, uid, name, spec and data set; raises ``UnknownStudyError``."""
    study = (
        select(StudyRow.study_id, StudyRow.uid, StudyRow.name, StudyRow.spec, StudyRow.dataset)
        .join(STUDIES, is_known_study())
        .where(StudyRow.name == name)
    )
    row = connection.execute(study).one_or_none() if NAME_PATTERN.fullmatch(name) else None
    if row is None:
        raise unknown_study(name, _known_names(connection))
    return row


def searched_names(study: Row[Any]) -> tuple[str, ...]:
    """Return the names of the hyperparameters that a study searches."""
    return tuple(study.spec.get("space", {}))


def unknown_study(name: str, known: Collection[str]) -> UnknownStudyError:
    """Return the error for a study that is not among those that the database has."""
    if not known:
        return UnknownStudyError(f"there is no study {name} in this database: it has none yet")
    meant = did_you_mean(name, known)
    has = f"has {', '.join(known)}"
    hint = f"{meant} It {has}" if meant else f"it {has}"
    return UnknownStudyError(f"there is no study {name} in this database: {hint}")


def unknown_trial(study: str, number: object, last: int | None) -> UserError:
    """Return the error for a trial that a study does not have; ``last`` is its highest number."""
    numbers = "none has started yet" if last is None else f"its trials are 0 to {last}"
    return UserError(f"study {study} has no trial {number}: {numbers}")


def _known_names(connection: Connection) -> list[str]:
    names = select(StudyRow.name).join(STUDIES, is_known_study()).order_by(StudyRow.name)
    return list(connection.scalars(names))


def is_known_study() -> Any:
    """Return the condition that Optuna still has the study; see `views/hpo_known_trial.sql`."""
    return and_(STUDIES.c.study_id == StudyRow.study_id, STUDIES.c.study_name == StudyRow.name)
