"""The stages of a study in the database: their spaces, slots, decisions and candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection, func, insert, select, update

from hpo.config.parsing.stages import share_of
from hpo.config.space import Distribution
from hpo.config.study import MAIN, TEST, ConfirmationSettings, StageSpec, StudySpec
from hpo.data.split import Fold
from hpo.rng import Key
from hpo.stages.confirm import Confirmed
from hpo.stages.refine import SpaceDecision
from hpo.storage.column_types import utc_now
from hpo.storage.tables import CandidateRow, DecisionRow, SlotRow, StageRow, StudyRow

Kind = Literal["search", "confirm", "test"]


@dataclass(frozen=True)
class Stage:
    """A stage that has begun.

    ``spec`` is the study with this stage's space, fixed values and pruner, and with a seed of the stage,
    derived from the study's seed and the stage's name, so that no two stages draw the same values.
    """

    name: str
    kind: Kind
    spec: StudySpec
    confirmation: ConfirmationSettings | None = None
    candidates: int = 0
    data: float = 1.0
    """Share of the training data that its trials use."""

    def key(self, slot: int) -> Key:
        """Return the key of all random numbers in the training of a slot."""
        key = Key(self.spec.seed)
        if self.confirmation is None:
            return key / "trial" / slot
        # The same for all candidates, so that they compare in pairs.
        return key / "run" / (slot // self.candidates)

    def fold(self, slot: int) -> Fold:
        """Return which images a slot trains on and which it is validated on."""
        if self.kind == "test":
            return Fold(include_validation=True)
        if self.confirmation is None or not self.confirmation.folds:
            return Fold()
        folds = self.confirmation.folds
        return Fold(folds, slot // self.candidates % folds)


def main_stage(spec: StudySpec) -> Stage:
    """Return the only stage of a study without stages."""
    return Stage(MAIN, "search", spec)


def find_stage(connection: Connection, study_id: int, spec: StudySpec, name: str) -> Stage:
    """Return a stage that has begun."""
    return read_stages(connection, study_id, spec).get(name) or main_stage(spec)


def read_stages(connection: Connection, study_id: int, spec: StudySpec) -> dict[str, Stage]:
    """Return every stage that has begun by name, in order."""
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
    stage = next((each for each in spec.stages if each.name == row.stage), None)
    confirmation = stage.confirm if stage else None
    if row.kind != "search":
        own["pruner"] = "none"  # confirming and testing trials run to the end
    elif stage and stage.pruner:
        own["pruner"] = stage.pruner.model_dump(mode="json")
    candidates = row.trials // confirmation.runs_each if confirmation else 0
    stage_spec = StudySpec.model_validate(document | own)
    data = stage.data if stage else 1.0
    return Stage(row.stage, cast(Kind, row.kind), stage_spec, confirmation, candidates, data)


def stage_seed(spec: StudySpec, stage: str) -> int:
    """Return the seed of a stage's draws and trainings."""
    return (Key(spec.seed) / "stage" / stage).integer()


@dataclass(frozen=True)
class TrainingImages:
    """How many training images a data set has, and how many validate if ``val_fraction`` does not say it."""

    count: int
    held_out: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A configuration that a confirmation trains again: the trial that found it, its value, its runs."""

    trial_id: int
    search_value: float
    runs: int


@dataclass(frozen=True)
class StagePlan:
    """A stage that is to begin."""

    name: str
    kind: Kind
    space: Mapping[str, Distribution]
    fixed: Mapping[str, Any]
    given: Sequence[Mapping[str, Any] | None]
    """One entry per slot: its configuration, or None if it is drawn."""
    decisions: Sequence[SpaceDecision] = ()
    candidates: Sequence[Candidate] = ()
    ranking: Sequence[Confirmed] = ()
    """The candidates of the confirmation before, by rank."""


def add_stage(
    connection: Connection, study_id: int, spec: StudySpec, images: TrainingImages | None, plan: StagePlan
) -> None:
    """Write a stage, its slots, decisions and candidates; its primary key lets it begin only once.

    ``images`` are the training images in the data set, None for the user's own training.
    """
    positions = select(StageRow.position).where(StageRow.study_id == study_id)
    position = 1 + max(connection.scalars(positions).all(), default=0 if spec.stages else 1)
    trained = None
    if images is not None and "train_images" not in plan.space:
        trained = _train_images(spec, plan.fixed, images, plan.kind)
    connection.execute(
        insert(StageRow).values(
            study_id=study_id,
            stage=plan.name,
            position=position,
            kind=plan.kind,
            trials=len(plan.given),
            space={key: each.model_dump(mode="json", by_alias=True) for key, each in plan.space.items()},
            fixed=dict(plan.fixed),
            epochs=None if "epochs" in plan.space else spec.configuration(dict(plan.fixed)).epochs,
            train_images=trained,
            made_at=utc_now(),
        )
    )
    _add_slots(connection, study_id, plan.name, 0, plan.given)
    add_decisions(connection, study_id, plan.name, plan.decisions)
    candidates = [
        {"study_id": study_id, "stage": plan.name, "candidate": candidate, **asdict(each)}
        for candidate, each in enumerate(plan.candidates)
    ]
    if candidates:
        connection.execute(insert(CandidateRow), candidates)


def _add_slots(
    connection: Connection,
    study_id: int,
    stage: str,
    first: int,
    given: Sequence[Mapping[str, Any] | None],
) -> None:
    slots = [
        {"study_id": study_id, "stage": stage, "slot": slot, "given": None if each is None else dict(each)}
        for slot, each in enumerate(given, start=first)
    ]
    if slots:
        connection.execute(insert(SlotRow), slots)


def add_test_slot(connection: Connection, study_id: int, slot: int, given: Mapping[str, Any]) -> None:
    """Add slot ``slot`` to stage ``test``, which has begun."""
    _add_slots(connection, study_id, TEST, slot, [given])
    stage = StageRow.study_id == study_id, StageRow.stage == TEST
    connection.execute(update(StageRow).where(*stage).values(trials=slot + 1))


def add_decisions(
    connection: Connection, study_id: int, stage: str, decisions: Sequence[SpaceDecision]
) -> None:
    """Write decisions on a stage after those that it has."""
    positions = select(func.max(DecisionRow.position)).where(
        DecisionRow.study_id == study_id, DecisionRow.stage == stage
    )
    first = 1 + (connection.scalar(positions) or 0)
    rows = [
        {"study_id": study_id, "stage": stage, "position": position, **asdict(decision)}
        for position, decision in enumerate(decisions, start=first)
    ]
    if rows:
        connection.execute(insert(DecisionRow), rows)


def write_ranking(connection: Connection, study_id: int, stage: str, ranking: Sequence[Confirmed]) -> None:
    """Write the results of a confirmation to its candidates."""
    for each in ranking:
        values = asdict(each)
        candidate = CandidateRow.candidate == values.pop("candidate")
        of_stage = CandidateRow.study_id == study_id, CandidateRow.stage == stage
        connection.execute(update(CandidateRow).where(*of_stage, candidate).values(values))


def stage_fixed(spec: StudySpec, stage: StageSpec, images: TrainingImages | None) -> dict[str, Any]:
    """Return the hyperparameters that a stage fixes: its epochs and its number of training images.

    ``images`` is None for the user's own training, which takes its share of the data by itself.
    """
    fixed: dict[str, Any] = {} if stage.epochs is None else {"epochs": stage.epochs}
    if stage.data < 1 and images is not None:
        fixed["train_images"] = share_of(_train_images(spec, {}, images), stage.data)
    return fixed


def _train_images(
    spec: StudySpec, fixed: Mapping[str, Any], images: TrainingImages, kind: Kind = "search"
) -> int:
    """Number of images that a trial trains on: the fixed number, else all that are not held out."""
    searched = spec.space.get("val_fraction")
    share = max(searched.extremes()) if searched else spec.image_configuration({}).val_fraction
    held_out = round(images.count * share) if images.held_out is None else images.held_out
    number: int | None = {**spec.fixed, **fixed}.get("train_images")
    without = images.count - held_out if number is None else number
    return without + held_out if kind == "test" else without


def slots_to_come(connection: Connection, study_id: int) -> int:
    """Return the number of slots of stages that have not begun; 0 if the study ended before them."""
    found = _not_begun(connection, study_id)
    if found is None:
        return 0
    spec, begun = found
    test = spec.has_test and TEST not in begun
    return sum(stage.planned for stage in spec.stages if stage.name not in begun) + test


def is_to_advance(connection: Connection, study_id: int) -> bool:
    """Return whether more follows when all slots are done: a stage, or the ranking of a confirmation."""
    found = _not_begun(connection, study_id)
    if found is None:
        return False
    spec, begun = found
    wanted = {stage.name for stage in spec.stages}
    if any(stage.confirm for stage in spec.stages):
        wanted.add(TEST)
    return not wanted <= begun


def _not_begun(connection: Connection, study_id: int) -> tuple[StudySpec, set[str]] | None:
    """Return a study with stages that goes on, and the stages that have begun; None for other studies."""
    document = connection.scalar(select(StudyRow.spec).where(StudyRow.study_id == study_id))
    if not document or not document.get("stages"):
        return None
    begun = select(StageRow.stage, StageRow.trials).where(StageRow.study_id == study_id)
    trials = {row.stage: row.trials for row in connection.execute(begun)}
    return None if 0 in trials.values() else (StudySpec.model_validate(document), set(trials))
