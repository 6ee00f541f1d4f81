"""A study's stages as stored: their decisions, confirmations and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, Engine, Select, Table, and_, func, select

from hpo.config.study import TEST
from hpo.storage.engine import reading
from hpo.storage.objective_sql import score
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import CandidateRow, StudyRow, TrialRow
from hpo.storage.views import VIEW_TABLES


@dataclass(frozen=True)
class StageStatus:
    """A stage that has begun; ``images`` counts those trained on so far, over all epochs and trials."""

    stage: str
    kind: str
    trials: int
    done: int
    best_value: float | None
    epochs: int | None
    train_images: int | None
    images: int


@dataclass(frozen=True)
class StageDecision:
    """A decision that shaped a stage."""

    stage: str
    subject: str
    action: str
    message: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class ConfirmationResult:
    """A confirmed configuration; ``rank`` and the fields below are None until all runs are over."""

    number: int
    search_value: float
    runs: int
    rank: int | None
    completed: int | None
    mean: float | None
    low: float | None
    high: float | None
    gap: float | None
    difference: float | None
    p_value: float | None


@dataclass(frozen=True)
class HeldOutEvaluation:
    """A trial whose network was evaluated on the test images."""

    number: int
    test_value: float


@dataclass(frozen=True)
class StagesStatus:
    """Everything about the stages of a study; without stages and decisions if it has none."""

    stages: tuple[StageStatus, ...]
    decisions: tuple[StageDecision, ...]
    confirmations: tuple[ConfirmationResult, ...]
    looks: tuple[HeldOutEvaluation, ...]
    """Every evaluation on the test images, in order: only the first is unbiased."""

    @property
    def winner(self) -> ConfirmationResult | None:
        """The configuration that a confirmation has chosen; None before, or if no run is complete."""
        return next((each for each in self.confirmations if each.rank == 1 and each.mean is not None), None)


def stages_status(engine: Engine, name: str) -> StagesStatus:
    """Return the stages of a study and their results; raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        staged = bool(study.spec.get("stages"))
        looks = connection.execute(_looks(name)).all()
        found = StagesStatus(
            stages=tuple(_rows(connection, "stages", name, StageStatus, "position")) if staged else (),
            decisions=tuple(_decisions(connection, name)),
            confirmations=tuple(
                _rows(connection, "confirmations", name, ConfirmationResult, "rank", "number")
            ),
            looks=tuple(HeldOutEvaluation(row.number, row.test_value) for row in looks),
        )
        return found if study.dataset else _without_test(found)


def confirmed_runs(engine: Engine, name: str) -> tuple[int, ...]:
    """Return the complete trainings that confirmed the chosen configuration, the best first.

    Raises ``UnknownStudyError``.
    """
    same = and_(CandidateRow.study_id == TrialRow.study_id, CandidateRow.stage == TrialRow.stage)
    count = select(func.count()).select_from(CandidateRow).where(same).correlate(TrialRow).scalar_subquery()
    with reading(engine) as connection:
        study_id = find_study(connection, name).study_id
        winner = (
            select(CandidateRow).where(CandidateRow.study_id == study_id, CandidateRow.rank == 1).subquery()
        )
        runs = (
            select(KNOWN.c.number)
            .join(TrialRow, TrialRow.trial_id == KNOWN.c.trial_id)
            .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
            .join(winner, and_(winner.c.study_id == TrialRow.study_id, winner.c.stage == TrialRow.stage))
            .where(TrialRow.slot % count == winner.c.candidate, TrialRow.outcome == "complete")
            .order_by(score().desc(), KNOWN.c.number)
        )
        return tuple(connection.scalars(runs))


def has_images(stages: Sequence[StageStatus]) -> bool:
    """Whether images are counted; they are not in the user's own training."""
    return any(each.images or each.train_images is not None for each in stages)


def _without_test(found: StagesStatus) -> StagesStatus:
    """Give the result of a confirmation to its stage where no test images follow."""
    stages = tuple(each for each in found.stages if each.kind != "test")
    decisions = tuple(
        replace(each, stage=stages[-1].stage) if each.stage == TEST else each for each in found.decisions
    )
    return replace(found, stages=stages, decisions=decisions)


def _rows(connection: Connection, view: str, name: str, kind: type[Any], *order: str) -> list[Any]:
    table = VIEW_TABLES[view]
    columns = [table.c[each.name] for each in fields(kind)]
    chosen = select(*columns).where(table.c.study == name).order_by(*(table.c[each] for each in order))
    return [kind(*row) for row in connection.execute(chosen)]


def _decisions(connection: Connection, name: str) -> list[StageDecision]:
    decisions, stages = VIEW_TABLES["decisions"], VIEW_TABLES["stages"]
    wanted = [decisions.c[each.name] for each in fields(StageDecision)]
    chosen = (
        select(*wanted)
        .join(stages, (stages.c.study == decisions.c.study) & (stages.c.stage == decisions.c.stage))
        .where(decisions.c.study == name)
        .order_by(stages.c.position, decisions.c.position)
    )
    return [StageDecision(*row) for row in connection.execute(chosen)]


def _looks(name: str) -> Select[Any]:
    results: Table = VIEW_TABLES["results"]
    return (
        select(results.c.number, results.c.test_value)
        .where(results.c.study == name, results.c.test_value.is_not(None))
        .order_by(results.c.finished, results.c.number)
    )
