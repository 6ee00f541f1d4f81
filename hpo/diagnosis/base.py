"""What the checks of a whole study read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from hpo.checks.causes import HEALTHY
from hpo.checks.derived import chance_limit
from hpo.config.study import StudySpec

ALPHA = 0.05 / 3
"""Significance level of a check, over all its tests, in a study whose outcomes do not depend on its
hyperparameters. Three checks run tests, so at most 5 % of such studies get a finding. With the outcomes of
the 60 trials of docs/checks.md permuted 1000 times, 0.5 % did."""


@dataclass(frozen=True)
class TrialResult:
    """A finished trial; ``values`` are the searched hyperparameters that had an effect in it.

    ``cause`` is a key of CAUSES or 'healthy'; the outcome if there is no verdict. ``seconds`` is the time
    that workers spent on it.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    cause: str
    seconds: float
    values: Mapping[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """The finished trials of a study.

    ``classes`` and ``train_images`` (before any are held out) describe its data set; None if unknown.
    """

    spec: StudySpec
    trials: tuple[TrialResult, ...]
    classes: int | None
    train_images: int | None

    @cached_property
    def val_images(self) -> int | None:
        """Number of validation images of a trial; None if unknown or different between trials."""
        if self.train_images is None or "val_fraction" in self.spec.space:
            return None
        return round(self.train_images * self.spec.configuration({}).val_fraction)

    @cached_property
    def chance_limit(self) -> float:
        """The accuracy that guessing stays below; 0 if the data set is unknown or has no held-out images."""
        if not self.classes or not self.val_images:
            return 0.0
        return chance_limit(self.classes, self.val_images, self.spec.checks.chance_sigmas)

    def failed(self, trial: TrialResult) -> bool:
        """Whether the trial failed or did not learn: an error, stopped by a check, or finished at chance."""
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
