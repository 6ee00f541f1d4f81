"""The data of a report on a study that hpo made, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from hpo.config.study import TEST, StudySpec
from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.bootstrap import bootstrap_interval
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.importance import Answer, importance
from hpo.diagnosis.trials import results_of_all_stages, study_results
from hpo.diagnosis.wilson import wilson_interval
from hpo.queries.stages import ConfirmationResult, StagesStatus, stages_status
from hpo.queries.study import StudyOverview, TrialSummary, checks_by_severity, study_overview
from hpo.queries.tradeoffs import Tradeoffs, study_tradeoffs
from hpo.queries.trial import TrialDetail, trial_detail
from hpo.records import StudyFinding
from hpo.reporting.failures import FailureGroup, group_failures
from hpo.reporting.figures.activations import with_histograms
from hpo.reporting.figures.points import StudyPicture, study_picture

EXAMPLES = 3
"""Trials named for each cause."""
MOST_EXAMPLES = 4
"""Failed trials whose layers are drawn: one for each of the most frequent causes."""


@dataclass(frozen=True)
class ReportData:
    """A study, its trials, and the conclusions from them."""

    overview: StudyOverview
    spec: StudySpec
    results: StudyResults
    """Of a study with stages those of the first, which draws from the whole space."""
    all_results: StudyResults
    """Of every stage but the test."""
    findings: tuple[StudyFinding, ...]
    answers: tuple[Answer, ...]
    stages: StagesStatus
    picture: StudyPicture
    tradeoffs: Tradeoffs | None
    checks: dict[str, dict[str, int]]
    best: TrialDetail | None
    """The winner of the confirmation, else the trial with the best value."""
    failures: tuple[FailureGroup, ...]
    """Trials with problems by cause, the most frequent first."""
    examples: dict[str, TrialDetail]
    """By cause, the first such trial with histograms of its activations."""

    @cached_property
    def trials(self) -> tuple[TrialSummary, ...]:
        """All trials but the evaluation on the test images."""
        return tuple(trial for trial in self.overview.trials if trial.stage != TEST)

    @property
    def done(self) -> int:
        """The number of ended trials."""
        return sum(trial.state in ("complete", "pruned", "failed") for trial in self.overview.trials)

    @property
    def total(self) -> int:
        """The number of ended, running and waiting trials: fewer than planned if stages ended early."""
        started = self.stages.stages
        last = not self.spec.has_test and len(started) == len(self.spec.stages)
        if started and (last or started[-1].stage == TEST or not started[-1].trials):
            return sum(each.trials for each in started)
        return max(self.spec.trials, len(self.overview.trials))

    @property
    def is_running(self) -> bool:
        """Whether trials are still running or waiting."""
        return self.done < self.total and self.overview.stopped_at is None

    @property
    def winner(self) -> ConfirmationResult | None:
        """The configuration that won a confirmation, if there was one."""
        return next((each for each in self.stages.confirmations if each.rank == 1), None)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the best trial's value, as far as its validation images tell.

        Of an accuracy Wilson's, of other metrics of counts by a bootstrap, otherwise None.
        """
        if self.best is not None and not self.spec.goal.counts_images:
            return bootstrap_interval(self.spec.objective, self.best.classes)
        images = self.results.val_images if self.spec.goal.counts_images else None
        if self.best is None or self.best.value is None or not images:
            return None
        return wilson_interval(self.best.value, images)


def read_report_data(engine: Engine, name: str) -> ReportData:
    """Read a study. Raises ``UnknownStudyError``."""
    overview = study_overview(engine, name)
    results = study_results(engine, name)
    stages = stages_status(engine, name)
    picture = study_picture(engine, overview)
    number = next((each.number for each in stages.confirmations if each.rank == 1), None)
    if number is None and picture.ranked:
        number = picture.ranked[0].number
    findings = tuple(study_findings(results))
    failures = tuple(group_failures(results, findings))
    return ReportData(
        overview=overview,
        spec=StudySpec.model_validate(overview.spec),
        results=results,
        all_results=results_of_all_stages(engine, name),
        findings=findings,
        answers=tuple(importance(results)),
        stages=stages,
        picture=picture,
        tradeoffs=study_tradeoffs(engine, name),
        checks=checks_by_severity(engine, name),
        best=None if number is None else trial_detail(engine, name, number),
        failures=failures,
        examples=_examples(engine, name, failures),
    )


def _examples(engine: Engine, study: str, failures: Sequence[FailureGroup]) -> dict[str, TrialDetail]:
    found: dict[str, TrialDetail] = {}
    for failure in failures:
        for number in failure.numbers[:EXAMPLES]:
            trial = trial_detail(engine, study, number)
            if with_histograms(trial.layers):
                found[failure.cause] = trial
                break
        if len(found) == MOST_EXAMPLES:
            break
    return found
