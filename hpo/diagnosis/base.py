"""What the checks of a whole study read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from hpo.checks.causes import BEYOND_LIMIT, OUTCOMES
from hpo.checks.chance import Chance, auc_limit, balanced_chance, constant_loss, largest_share
from hpo.config.objective import Objective
from hpo.config.study import StudySpec
from hpo.data.split import held_out_counts
from hpo.records import StudyFinding

ALPHA = 0.05 / 3
"""Significance level of a check, over all its tests, in a study whose outcomes do not depend on its
hyperparameters. Three checks run tests, so at most 5 % of such studies get a finding. With the outcomes of
the 60 trials of docs/checks.md permuted 1000 times, 0.5 % did."""


LEAST_GAIN = 0.01
"""A validation loss that is not lower by at least this share than that of the best constant answer counts as
guessing's: networks that learn nothing come as close by their random weights."""


_MEANS_OF_CLASSES = ("val_balanced_accuracy", "val_macro_f1")
"""Answers that do not depend on the input have at most 1 / C, the share of each class, in the mean."""


@dataclass(frozen=True)
class Suspicion:
    """What a trial noted about the data that all trials share."""

    check: str
    value: float
    message: str
    remedy: str


@dataclass(frozen=True)
class TrialResult:
    """A finished trial; ``values`` are the searched hyperparameters that had an effect in it.

    ``cause`` is a key of CAUSES or OUTCOMES; the outcome if there is no verdict. ``seconds`` is the time
    that workers spent on it.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    cause: str
    seconds: float
    values: Mapping[str, Any]
    suspicions: tuple[Suspicion, ...] = ()


@dataclass(frozen=True)
class StudyResults:
    """The finished trials of a study.

    ``classes`` and ``train_images`` (before any are held out) describe its data set, None if unknown
    or if it has none;
    ``class_counts`` are those of each class, empty if unknown.
    """

    spec: StudySpec
    trials: tuple[TrialResult, ...]
    classes: int | None
    train_images: int | None
    class_counts: tuple[int, ...] = ()
    val_class_counts: tuple[int, ...] = ()
    """Of the validation images, if ``val_fraction`` does not say it."""
    of_images: tuple[StudyFinding, ...] = ()
    """What was found out about the images before any trial."""

    @cached_property
    def val_images(self) -> int | None:
        """Number of validation images of a trial; None if unknown or different between trials."""
        if self.val_class_counts:
            return sum(self.val_class_counts)
        if self.train_images is None or "val_fraction" in self.spec.space:
            return None
        return round(self.train_images * self.spec.image_configuration({}).val_fraction)

    def chance(self, trial: TrialResult) -> Chance | None:
        """Return the best constant answer on the trial's validation images; None if they are unknown."""
        if not self.classes or not self.train_images:
            return None
        images = self._held_out_images(trial)
        return Chance(largest_share(self._held_out(trial), self.classes), images) if images else None

    @property
    def within_limit(self) -> StudyResults:
        """Without the trials beyond the study's limit: most were not trained, so they show nothing."""
        return replace(self, trials=tuple(each for each in self.trials if each.cause != BEYOND_LIMIT))

    @property
    def goal(self) -> Objective:
        """What the study optimizes."""
        return self.spec.goal

    def failed(self, trial: TrialResult) -> bool:
        """Whether the trial failed or did not learn: an error, stopped by a check, or finished at chance."""
        if trial.state == "complete":
            return trial.value is None or self._at_chance(trial, trial.value)
        return trial.state == "failed" or trial.cause not in OUTCOMES

    def _at_chance(self, trial: TrialResult, value: float) -> bool:
        """Whether guessing explains the value; never for a metric of which guessing's is unknown."""
        sigmas = self.spec.checks.chance_sigmas
        if self.goal.counts_images:
            chance = self.chance(trial)
            return chance is not None and chance.standing(value, sigmas) == "at_chance"
        if not self.classes:
            return False
        counts = self._held_out(trial)
        if self.goal.metric == "val_loss":
            return value >= (1 - LEAST_GAIN) * constant_loss(counts, self.classes)
        if self.goal.metric in _MEANS_OF_CLASSES:
            by_class = balanced_chance(counts, self.classes, self._held_out_images(trial))
            return by_class is not None and by_class.standing(value, sigmas) == "at_chance"
        limit = auc_limit(counts, sigmas) if self.goal.metric == "val_auc" else None
        return limit is not None and value <= limit

    def _val_fraction(self, trial: TrialResult) -> float:
        usual = self.spec.image_configuration({}).val_fraction
        return float(trial.values.get("val_fraction", usual))

    def _held_out_images(self, trial: TrialResult) -> int:
        """Return the number of a trial's validation images; 0 if unknown."""
        if self.val_class_counts:
            return sum(self.val_class_counts)
        return round((self.train_images or 0) * self._val_fraction(trial))

    def _held_out(self, trial: TrialResult) -> Sequence[int]:
        """Return how many of a trial's validation images each class has; empty if unknown."""
        if self.val_class_counts:
            return self.val_class_counts
        return _held_out(self.class_counts, self._val_fraction(trial)) if self.class_counts else ()

    @cached_property
    def ranked(self) -> list[TrialResult]:
        """The trials that learned, best first."""
        learned = [each for each in self.trials if each.state == "complete" and not self.failed(each)]
        return sorted(learned, key=self.rank_key)

    def rank_key(self, trial: TrialResult) -> tuple[float, int]:
        """Return the sort key of a trial that learned: the best first, of equals the earlier one."""
        assert trial.value is not None
        return -self.goal.score(trial.value), trial.number

    @property
    def top(self) -> list[TrialResult]:
        """The best tenth of all trials, at least three; fewer if fewer learned."""
        return self.ranked[: max(3, len(self.trials) // 10)]


@lru_cache(maxsize=1024)
def _held_out(class_counts: tuple[int, ...], val_fraction: float) -> list[int]:
    return held_out_counts(class_counts, val_fraction)
