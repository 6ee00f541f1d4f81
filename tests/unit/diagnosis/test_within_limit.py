"""Trials beyond the limit: no finding about a study and no importance counts them as trained."""

from __future__ import annotations

from dataclasses import replace

from hpo.checks.causes import BEYOND_LIMIT
from hpo.config.study import StudySpec
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.importance import importance

SPEC = StudySpec.model_validate(
    {"study": "s", "trials": 90, "limit": {"parameters": 9}, "space": {"lr": {"log": [1e-3, 1.0]}}}
)


def _trial(number: int, lr: float, value: float | None) -> TrialResult:
    state, cause = ("complete", "healthy") if value else ("pruned", "lr_too_high")
    return TrialResult(number, state, value, cause, 1.0, {"lr": lr})  # type: ignore[arg-type]


def test_findings_and_importance_are_those_without_them() -> None:
    lrs = [10 ** (-3 + 3 * number / 59) for number in range(60)]
    trials = [_trial(number, lr, 0.5 + lr if lr < 0.2 else None) for number, lr in enumerate(lrs)]
    beyond = [
        replace(_trial(number, lr, None), cause=BEYOND_LIMIT) for number, lr in enumerate(lrs[40:], start=60)
    ]
    sound = StudyResults(SPEC, tuple(trials), 10, 50_000)
    both = replace(sound, trials=(*trials, *beyond))
    assert study_findings(sound) and importance(sound)
    assert study_findings(both) == study_findings(sound)
    assert importance(both) == importance(sound)
