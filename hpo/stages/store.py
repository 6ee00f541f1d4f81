"""The stages of a study in the database: what each draws from, and what its slots train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection, insert, select

from hpo.config.parsing.stages import share_of
from hpo.config.study import MAIN, TEST, ConfirmationSettings, StageSpec, StudySpec
from hpo.data.split import Fold
from hpo.rng import Key
from hpo.storage.column_types import utc_now
from hpo.storage.tables import SlotRow, StageRow, StudyRow

Kind = Literal["search", "confirm", "test"]


@dataclass(frozen=True)
class Stage:
    """A stage that has begun.

    ``spec`` is the study as this stage has it: its own seed, from the study's and its name, so that its draws
    are its own; its space, what it fixes and its pruner.
    """

    name: str
    kind: Kind
    spec: StudySpec
    confirmation: ConfirmationSettings | None = None
    candidates: int = 0

    def key(self, slot: int) -> Key:
        """The key of all that is random in the training of a slot."""
        key = Key(self.spec.seed)
        if self.confirmation is None:
            return key / "trial" / slot
        # The same for all candidates: they are compared in pairs.
        turn = slot // self.candidates
        return key / "run" / turn

    def fold(self, slot: int) -> Fold:
        """Return which images a slot trains on and which it is validated on."""
        if self.kind == "test":
            return Fold(include_validation=True)
        if self.confirmation is None or not self.confirmation.folds:
            return Fold()
        folds = self.confirmation.folds
        return Fold(folds, slot // self.candidates % folds)


def main_stage(spec: StudySpec) -> Stage:
    """The one stage of a study without stages."""
    return Stage(MAIN, "search", spec)


def find_stage(connection: Connection, study_id: int, spec: StudySpec, name: str) -> Stage:
    """A stage that has begun."""
    return read_stages(connection, study_id, spec).get(name) or main_stage(spec)


def read_stages(connection: Connection, study_id: int, spec: StudySpec) -> dict[str, Stage]:
    """Every stage that has a row, in their order, by name."""
    rows = connection.execute(
        select(StageRow.__table__).where(StageRow.study_id == study_id).order_by(StageRow.position)
    )
    return {row.stage: _stage(spec, row) for row in rows}


def _stage(spec: StudySpec, row: Any) -> Stage:
    document = spec.model_dump(mode="json", by_alias=True)
    own = {
        "seed": stage_seed(spec, row.stage),
        "fixed": {**spec.fixed, **row.fixed},
        "space": row.space,
        "trials": max(1, row.trials),
        "stages": [],
        "first": [],
    }
    said = next((each for each in spec.stages if each.name == row.stage), None)
    confirmation = said.confirm if said else None
    if row.kind != "search":
        own["pruner"] = "none"  # what is confirmed or tested is trained to its end
    elif said and said.pruner:
        own["pruner"] = said.pruner.model_dump(mode="json")
    candidates = row.trials // confirmation.runs_each if confirmation else 0
    stage_spec = StudySpec.model_validate(document | own)
    return Stage(row.stage, cast(Kind, row.kind), stage_spec, confirmation, candidates)


def stage_seed(spec: StudySpec, stage: str) -> int:
    """The seed of a stage's draws and trainings."""
    return (Key(spec.seed) / "stage" / stage).integer()


def add_stage(
    connection: Connection,
    study_id: int,
    name: str,
    kind: Kind,
    *,
    spec: StudySpec,
    space: Mapping[str, Any],
    fixed: Mapping[str, Any],
    images: int,
    given: Sequence[Mapping[str, Any] | None],
) -> None:
    """Write a stage and its slots, one for each of ``given``: a configuration, or None for a draw.

    ``images`` is how many training images the data set has. Its primary key lets a stage begin once only.
    """
    after = select(StageRow.position).where(StageRow.study_id == study_id)
    position = 1 + max(connection.scalars(after).all(), default=0 if spec.stages else 1)
    connection.execute(
        insert(StageRow).values(
            study_id=study_id,
            stage=name,
            position=position,
            kind=kind,
            trials=len(given),
            space={key: each.model_dump(mode="json", by_alias=True) for key, each in space.items()},
            fixed=dict(fixed),
            epochs=None if "epochs" in space else spec.configuration(dict(fixed)).epochs,
            train_images=None if "train_images" in space else _train_images(spec, fixed, images, kind),
            made_at=utc_now(),
        )
    )
    slots = [
        {"study_id": study_id, "stage": name, "slot": slot, "given": None if each is None else dict(each)}
        for slot, each in enumerate(given)
    ]
    if slots:
        connection.execute(insert(SlotRow), slots)


def stage_fixed(spec: StudySpec, stage: StageSpec, images: int) -> dict[str, Any]:
    """What a stage fixes: its epochs, and how many images its share is."""
    fixed: dict[str, Any] = {} if stage.epochs is None else {"epochs": stage.epochs}
    if stage.data < 1:
        fixed["train_images"] = share_of(_train_images(spec, {}, images), stage.data)
    return fixed


def _train_images(spec: StudySpec, fixed: Mapping[str, Any], images: int, kind: Kind = "search") -> int:
    """How many images a trial trains on: as many as are fixed, else all that are not held out."""
    searched = spec.space.get("val_fraction")
    share = max(searched.extremes()) if searched else spec.configuration({}).val_fraction
    held_out = round(images * share)
    number: int | None = {**spec.fixed, **fixed}.get("train_images")
    without = images - held_out if number is None else number
    return without + held_out if kind == "test" else without


def slots_to_come(connection: Connection, study_id: int) -> int:
    """Slots of the stages that have not begun; none if the study ended before them."""
    document = connection.scalar(select(StudyRow.spec).where(StudyRow.study_id == study_id))
    if not document or not document.get("stages"):
        return 0
    begun = select(StageRow.stage, StageRow.trials).where(StageRow.study_id == study_id)
    trials = {row.stage: row.trials for row in connection.execute(begun)}
    if 0 in trials.values():
        return 0
    stages = StudySpec.model_validate(document).stages
    test = any(stage.confirm for stage in stages) and TEST not in trials
    return sum(stage.planned for stage in stages if stage.name not in trials) + test
