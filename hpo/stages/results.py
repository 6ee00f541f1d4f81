"""What is known of a study's stages: those that have begun, their finished trials and their candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select

from hpo.config.objective import WORST_SCORE
from hpo.config.study import StudySpec
from hpo.diagnosis.trials import FinishedTrial, FinishedTrials, read_finished, results_of
from hpo.stages.confirm import Values, run_of
from hpo.stages.refine import Refined, StageTrial, refine
from hpo.stages.store import Stage, TrainingImages, read_stages
from hpo.storage import rungs
from hpo.storage.studies import KNOWN
from hpo.storage.tables import CandidateRow, SlotRow


@dataclass(frozen=True)
class FoundConfiguration:
    """A configuration that the search found, and the best trial that had it."""

    trial: FinishedTrial
    value: float
    given: dict[str, Any]
    """What reproduces the configuration under the settings of another stage."""


@dataclass(frozen=True)
class CandidateRecord:
    """A configuration that a confirmation trains again, as it is stored."""

    candidate: int
    number: int
    """The number of the trial that found it."""
    search_value: float
    given: dict[str, Any]


@dataclass(frozen=True)
class StageResults:
    """A study, its stages that have begun in their order, and the results of their finished trials."""

    spec: StudySpec
    finished: FinishedTrials
    stages: Mapping[str, Stage]
    slots: Mapping[str, int]
    """Number of slots of each stage that has any."""
    stopped: Mapping[int, tuple[int, float]]
    """By trial id: the epoch at which the pruner stopped the trial, and its best score until then."""
    candidates: Sequence[CandidateRecord]

    @property
    def study_id(self) -> int:
        """The study's id."""
        return self.finished.study_id

    @property
    def images(self) -> TrainingImages | None:
        """The training images in the data set; None for the user's own training."""
        count, held_out = self.finished.train_images, self.finished.val_class_counts
        return None if count is None else TrainingImages(count, sum(held_out) if held_out else None)

    @property
    def last(self) -> Stage:
        """The stage that began last."""
        return list(self.stages.values())[-1]

    def trials(self, stage: str) -> list[FinishedTrial]:
        """Return the finished trials of a stage by number."""
        return [each for each in self.finished.trials if each.stage == stage]

    def refined(self, stage: Stage, keep: float) -> Refined:
        """Return what the results of a stage leave of its space."""
        return refine(stage.spec, self._stage_trials(stage), keep)

    def _stage_trials(self, stage: Stage) -> list[StageTrial]:
        """By slot: a trial's number depends on which worker was faster."""
        results = results_of(self.finished, stage.spec, stage.name)
        by_number = {each.number: each for each in self.finished.trials}
        trials = []
        for each in results.trials:
            trial = by_number[each.number]
            epoch, score = self.stopped.get(trial.trial_id, (None, None))
            if each.state == "complete" and each.value is not None:
                score = results.goal.score(each.value)
            trials.append(StageTrial(trial.slot, score, results.failed(each), each.values, epoch))
        return sorted(trials, key=lambda each: each.slot)

    def best(self, top: int) -> list[FoundConfiguration]:
        """Return the best configurations of all stages, each once.

        Of equal values, the one of the earlier stage and lower slot ranks first.
        """
        found: dict[str, FoundConfiguration] = {}
        positions = {name: position for position, name in enumerate(self.stages)}
        by_number = {each.number: each for each in self.finished.trials}
        ranked = [
            by_number[each.number]
            for stage in self.stages.values()
            for each in results_of(self.finished, stage.spec, stage.name).ranked
        ]
        for trial in sorted(ranked, key=lambda each: (-self.score(each), positions[each.stage], each.slot)):
            given = self.given(trial)
            found.setdefault(
                repr(sorted(given.items())), FoundConfiguration(trial, trial.value or 0.0, given)
            )
        return list(found.values())[:top]

    def given(self, trial: FinishedTrial) -> dict[str, Any]:
        """Return what reproduces a trial's configuration under the settings of another stage."""
        names = [*self.spec.space, *(name for name in trial.given if name not in self.spec.space)]
        applies = self.spec.hyperparameters.applies
        return {name: trial.configuration[name] for name in names if applies(name, trial.configuration)}

    def best_of_search(self) -> FinishedTrial:
        """Return the trial with the best value among those of search stages."""
        searches = {name for name, stage in self.stages.items() if stage.kind == "search"}
        trials = (each for each in self.finished.trials if each.stage in searches and each.value is not None)
        return max(trials, key=self.score)

    def score(self, trial: FinishedTrial) -> float:
        """Return the score of a trial's value."""
        return WORST_SCORE if trial.value is None else self.spec.goal.score(trial.value)

    def confirmed_values(self, stage: Stage) -> list[Values]:
        """Return the values of each candidate's runs by seed and fold."""
        assert stage.confirmation is not None
        values: list[dict[tuple[int, int | None], float | None]] = [{} for _ in self.candidates]
        for trial in self.trials(stage.name):
            run = run_of(stage.confirmation, len(values), trial.slot)
            value = trial.value if trial.outcome == "complete" else None
            values[run.candidate][run.seed, run.fold] = value
        return list(values)


def read_results(connection: Connection, name: str) -> StageResults:
    """Read all that the next stage follows from. Raises ``UnknownStudyError``."""
    finished = read_finished(connection, name)
    spec = StudySpec.model_validate(finished.spec)
    slots = (
        select(SlotRow.stage, func.count().label("slots"))
        .where(SlotRow.study_id == finished.study_id)
        .group_by(SlotRow.stage)
    )
    return StageResults(
        spec,
        finished,
        read_stages(connection, finished.study_id, spec),
        {row.stage: row.slots for row in connection.execute(slots)},
        rungs.stopped(connection, finished.study_id),
        _candidates(connection, finished.study_id),
    )


def _candidates(connection: Connection, study_id: int) -> list[CandidateRecord]:
    first_run = and_(
        SlotRow.study_id == CandidateRow.study_id,
        SlotRow.stage == CandidateRow.stage,
        SlotRow.slot == CandidateRow.candidate,
    )
    rows = (
        select(CandidateRow.candidate, KNOWN.c.number, CandidateRow.search_value, SlotRow.given)
        .join(KNOWN, KNOWN.c.trial_id == CandidateRow.trial_id)
        .outerjoin(SlotRow, first_run)
        .where(CandidateRow.study_id == study_id)
        .order_by(CandidateRow.candidate)
    )
    return [
        CandidateRecord(row.candidate, row.number, row.search_value, dict(row.given or {}))
        for row in connection.execute(rows)
    ]
