"""Objective: the metric that a study optimizes, its direction, and how its values compare and print."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hpo.records import EpochResult

Direction: TypeAlias = Literal["maximize", "minimize"]

METRIC_PATTERN = re.compile(r"^[A-Za-z_][A-Za-z0-9_./@-]{0,99}(:[A-Za-z_][A-Za-z0-9_.]{0,99})?$")
"""Valid names of an objective: they appear in SQL, file names and pictures."""
SHORT_NAMES = {
    "accuracy": "val_accuracy",
    "balanced_accuracy": "val_balanced_accuracy",
    "macro_f1": "val_macro_f1",
    "auc": "val_auc",
    "log_loss": "val_loss",
}
"""What a study file may call the metrics of the built-in training of images, and their names."""
BUILT_IN = tuple(SHORT_NAMES.values())
"""Metrics of the built-in training of images that a study can optimize."""
WORST_SCORE = -sys.float_info.max
"""The score of a trial that ranks behind every other. Finite: JSON has no infinity."""

_HIGHER = frozenset(
    {"accuracy", "acc", "auc", "auroc", "bleu", "dice", "f1", "iou", "precision", "r2", "recall", "reward"}
    | {"score"}
)
_LOWER = frozenset({"error", "loss", "mae", "mape", "mse", "nll", "perplexity", "rmse", "wer"})
_ACCURACIES = frozenset({"accuracy", "acc"})
_SHARES = frozenset({"val_macro_f1", "val_auc"})
_WORDS = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Objective:
    """A metric and its direction. A *score* is a value whose order is that of merit: higher is better."""

    metric: str = "val_accuracy"
    direction: Direction = "maximize"

    @property
    def sign(self) -> int:
        """1 if higher values are better, else -1."""
        return 1 if self.direction == "maximize" else -1

    @property
    def is_accuracy(self) -> bool:
        """Whether its values are accuracies, or alike numbers between 0 and 1, by its name."""
        return _last_word(self.metric) in _ACCURACIES or self.metric in _SHARES

    @property
    def is_users(self) -> bool:
        """Whether it is a function of the user's, ``module:function``, of the predicted probabilities."""
        return ":" in self.metric

    @property
    def counts_images(self) -> bool:
        """Whether a value is the share of validation images that are named correctly, as built-in trials
        measure it: intervals and comparisons with guessing follow from their number."""
        return self.metric == "val_accuracy"

    @property
    def label(self) -> str:
        """The metric in words, such as ``validation accuracy``; any other metric by its own name."""
        return _LABELS.get(self.metric, self.metric)

    @property
    def test_label(self) -> str:
        """What the metric is called on the test images, such as ``test accuracy``."""
        return f"test {self.label.removeprefix('validation ')}"

    def of(self, epoch: EpochResult) -> float:
        """Return the metric's value in an epoch; NaN if it was not reported."""
        return epoch.metric(self.metric)

    def score(self, value: float) -> float:
        """Return the score of a value; the worst one for a value that is not finite."""
        if not math.isfinite(value):
            return WORST_SCORE
        return self.sign * value

    def value(self, score: float) -> float | None:
        """Return the value of a score; None for that of a trial without a value."""
        if score <= WORST_SCORE:
            return None
        return self.sign * score

    def better(self, value: float, other: float) -> bool:
        """Return whether a value is better than the other; every finite one is better than NaN."""
        return self.score(value) > self.score(other)

    def gain(self, value: float, other: float) -> float:
        """Return how much better a value is than the other; negative if it is worse."""
        return self.sign * (value - other)

    def best(self, values: Iterable[float]) -> float | None:
        """Return the best finite value; None if there is none."""
        finite = [value for value in values if math.isfinite(value)]
        return max(finite, key=self.score, default=None)

    def best_epoch(self, curve: Iterable[EpochResult]) -> EpochResult | None:
        """Return the best epoch, of equals the first; None if the metric was never finite."""
        finite = [epoch for epoch in curve if math.isfinite(self.of(epoch))]
        return max(finite, key=lambda epoch: self.score(self.of(epoch)), default=None)

    def text(self, value: float | None) -> str:
        """Format a value: accuracies with four decimals, other metrics with four significant digits."""
        if value is None:
            return "–"
        if self.is_accuracy:
            return f"{value:.4f}"
        return f"{value:#.4g}".removesuffix(".")


ACCURACY = Objective()
"""The objective of a study that names none."""


def natural_direction(metric: str) -> Direction | None:
    """Return the direction that a metric's name tells, such as that of ``val_loss``; None if it does not."""
    word = _last_word(metric)
    if word in _LOWER:
        return "minimize"
    return "maximize" if word in _HIGHER else None


def _last_word(metric: str) -> str:
    words = _WORDS.findall(metric.replace("_", " "))
    return words[-1].lower() if words else ""


_LABELS = {
    "val_accuracy": "validation accuracy",
    "val_balanced_accuracy": "validation balanced accuracy",
    "val_macro_f1": "validation macro F1",
    "val_auc": "validation AUC",
    "val_loss": "validation loss",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
}
