"""Does it fit the training images much better than validation images?

Source: CS231n lecture 6: a large gap between training and validation accuracy is overfitting.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from hpo.checks.base import note, warn
from hpo.checks.derived import fallen_share, tells_classes, val_chance
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix, use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_SEVERE_GAP = 0.4
"""Above this gap it is a warning: most of what was learned does not generalize."""
_TURNED = 1.1
"""A last validation loss above this many times the smallest has turned."""

_RISEN = 1.3
_LEAST_EPOCHS = 5
_FALLS = 0.1
"""Share of the first training losses by which the last ones are lower, beyond the noise of batches."""
_DEPENDENT = 6.0
"""Standard deviations above independence, beyond which training labels depend on their inputs."""
_STILL_BEST = 0.02
"""Accuracy that may be lost while the loss of a few confident mistakes rises."""


def overfitting(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report training accuracy far above validation accuracy while the validation loss rises."""
    curve = seen.known_curve
    if not curve:
        return []
    last, smallest = curve[-1], min(epoch.val_loss for epoch in curve)
    gap = last.train_accuracy - last.val_accuracy
    if not (gap > limits.overfit_gap and last.val_loss > _TURNED * smallest):
        return []
    message = (
        f"training accuracy {last.train_accuracy:.3f} against {last.val_accuracy:.3f} in validation, where "
        f"the loss rose from {smallest:.2f} to {last.val_loss:.2f}"
    )
    remedy = use(
        seen,
        "add weight_decay, dropout or augmentation: flip_crop; or stop earlier",
        {"augmentation": "flip_crop"},
        "add weight_decay or dropout; or stop earlier",
    )
    return [
        (warn if gap > _SEVERE_GAP else note)(
            "overfitting",
            gap,
            limits.overfit_gap,
            message,
            remedy,
            step=last.step,
            cause="overfitting",
            confidence=0.6,
        )
    ]


def rising_validation_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a validation loss that has turned long ago, where accuracies are not all known."""
    losses = [(epoch.epoch, epoch.val_loss) for epoch in seen.curve if math.isfinite(epoch.val_loss)]
    if len(losses) < _LEAST_EPOCHS or seen.known_curve:
        return []
    number, smallest = min(losses, key=lambda each: each[1])
    last, final = losses[-1]
    if smallest <= 0 or final <= _RISEN * smallest or number > last / 2:
        return []
    accuracies = [each for each in seen.accuracies() if math.isfinite(each)]
    if accuracies and accuracies[-1] >= max(accuracies) - _STILL_BEST:
        return []
    message = f"the validation loss rose from {smallest:.3g} in epoch {number} to {final:.3g} at the end"
    remedy, cause = Remedy("stop earlier, or add weight_decay, dropout or augmentation"), "overfitting"
    if _ends_at_chance(seen, accuracies, limits) and fallen_share(seen) > _FALLS:
        message += ", where the accuracy ends at that of guessing: nothing that was learned holds there"
        remedy = fix("fix_labels", "inspect training inputs with their labels, then those of validation")
        cause = "labels_do_not_match"
        if seen.data is not None and seen.data.dependence.inputs > _DEPENDENT:
            remedy = fix("same_normalization", "prepare validation inputs and labels like those of training")
            cause = "train_val_mismatch"
    return [
        warn(
            "rising_validation_loss",
            final / smallest,
            _RISEN,
            message,
            remedy,
            step=seen.steps,
            cause=cause,
            confidence=0.6,
        )
    ]


def _ends_at_chance(seen: Observations, accuracies: Sequence[float], limits: Thresholds) -> bool:
    """Whether guessing explains the last validation accuracies; overfitting leaves what was learned."""
    chance = val_chance(seen) if accuracies and seen.classes > 1 else None
    late = statistics.fmean(accuracies[-max(1, len(accuracies) // 4) :]) if accuracies else math.nan
    at_chance = chance is not None and chance.standing(late, limits.chance_sigmas) == "at_chance"
    return at_chance and not tells_classes(seen, limits)
