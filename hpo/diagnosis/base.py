"""What checks of a whole study read, and what they return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from hpo.checks.causes import HEALTHY
from hpo.checks.derived import chance_limit
from hpo.config.study import StudySpec

ALPHA = 0.05 / 3
"""The largest chance that a check finds anything, by all its tests together, in a study whose outcomes have
nothing to do with its hyperparameters. Three checks test something: at most 5 % of such studies get any.
On the 60 trials of docs/checks.md, dealt out anew 1000 times, 0.5 % did."""


@dataclass(frozen=True)
class TrialResult:
    """A finished trial; ``values`` are the searched hyperparameters that had an effect in it.

    ``cause`` is a key of CAUSES, or 'healthy'; its outcome if it has no verdict. ``seconds`` is how long
    workers were busy with it.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    cause: str
    seconds: float
    values: Mapping[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """A study's finished trials.

    ``classes`` and ``train_images`` (before any are held out) describe its data set; None where unknown.
    """

    spec: StudySpec
    trials: tuple[TrialResult, ...]
    classes: int | None
    train_images: int | None

    @cached_property
    def val_images(self) -> int | None:
        """Images that a trial is validated on; None if that is unknown or differs between trials."""
        if self.train_images is None or "val_fraction" in self.spec.space:
            return None
        return round(self.train_images * self.spec.configuration({}).val_fraction)

    @cached_property
    def chance_limit(self) -> float:
        """The accuracy that guessing stays below; 0 if the data are unknown, or too few to hold any out."""
        if not self.classes or not self.val_images:
            return 0.0
        return chance_limit(self.classes, self.val_images, self.spec.checks.chance_sigmas)

    def failed(self, trial: TrialResult) -> bool:
        """Whether it came to nothing: an error, stopped by a check, or finished at chance."""
        if trial.state == "complete":
            return trial.value is None or trial.value <= self.chance_limit
        return trial.state == "failed" or trial.cause != HEALTHY

    @cached_property
    def ranked(self) -> list[TrialResult]:
        """The trials that learned, best first."""
        learned = [each for each in self.trials if each.state == "complete" and not self.failed(each)]
        return sorted(learned, key=lambda each: (-(each.value or 0.0), each.number))

    @property
    def top(self) -> list[TrialResult]:
        """The best tenth of all trials, at least three; fewer if fewer learned."""
        return self.ranked[: max(3, len(self.trials) // 10)]


@dataclass(frozen=True)
class StudyFinding:
    """What a check found out about a study.

    ``evidence`` holds its numbers. ``change`` is the remedy as a JSON merge patch (RFC 7396) of the study
    file: ``{"space": {"lr": {"log": [1e-4, 0.12]}}}``; empty if none would make a valid file.
    """

    check: str
    severity: Literal["note", "warn"]
    message: str
    evidence: Mapping[str, Any]
    remedy: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
