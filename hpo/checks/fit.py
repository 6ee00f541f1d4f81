"""How well does it fit, and did it have the time to? Read off the finished curve.

Source: CS231n lecture 6: a big gap between training and validation accuracy is overfitting; no gap and both low
calls for a larger network or less regularization.
"""

from __future__ import annotations

import math

from hpo.checks.base import Finding
from hpo.checks.observations import EpochFacts, Observations
from hpo.spec.thresholds import Thresholds

_TURNED = 1.1
"""A last validation loss of so many times the smallest has turned."""
_STILL = 0.01
"""Accuracy that the last epoch must have gained to say that more would follow."""
_EARLY = 0.5
_LEAST_EPOCHS = 4


def overfitting(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Training accuracy far above validation accuracy, while the validation loss has turned."""
    curve = _known(seen)
    if not curve:
        return []
    last = curve[-1]
    gap = last.train_accuracy - last.val_accuracy
    smallest = min(epoch.val_loss for epoch in curve)
    if not (gap > limits.overfit_gap and last.val_loss > _TURNED * smallest):
        return []
    message = (
        f"training accuracy {last.train_accuracy:.3f} against {last.val_accuracy:.3f} on validation images, whose loss "
        f"rose from {smallest:.2f} to {last.val_loss:.2f}"
    )
    return [
        Finding(
            "overfitting",
            "note",
            gap,
            limits.overfit_gap,
            message,
            "add weight_decay, dropout or augmentation: flip_crop, or stop earlier",
            step=last.step,
            cause="overfitting",
            confidence=0.6,
            change={"augmentation": "flip_crop"},
        )
    ]


def underfitting(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Both accuracies low at the end of the training."""
    curve = _known(seen)
    if not curve:
        return []
    best = max(curve, key=lambda epoch: epoch.train_accuracy)
    chance = 1 / seen.setup.classes
    share = (max(best.train_accuracy, best.val_accuracy) - chance) / (1 - chance)
    if share >= limits.underfit_accuracy:
        return []
    return [
        Finding(
            "underfitting",
            "warn",
            share,
            limits.underfit_accuracy,
            f"training accuracy is only {best.train_accuracy:.3f}, and validation accuracy {best.val_accuracy:.3f}",
            "use a larger width, less regularization, another lr or more epochs",
            step=best.step,
            cause="underfitting",
            confidence=0.3,
        )
    ]


def unfinished(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Still improving at the last epoch: more would help."""
    curve = _known(seen)
    if len(curve) < _LEAST_EPOCHS:
        return []
    gain = curve[-1].val_accuracy - max(epoch.val_accuracy for epoch in curve[:-1])
    if gain <= _STILL:
        return []
    message = f"the last epoch still gained {gain:.3f} validation accuracy: more epochs would help"
    return [Finding("unfinished", "note", gain, _STILL, message, "raise epochs", step=curve[-1].step)]


def early_best(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The best epoch came long before the end."""
    curve = _known(seen)
    if len(curve) < _LEAST_EPOCHS:
        return []
    best = max(curve, key=lambda epoch: epoch.val_accuracy)
    share = best.epoch / curve[-1].epoch
    if share > _EARLY:
        return []
    message = f"epoch {best.epoch} of {curve[-1].epoch} was the best; what came after did not help"
    return [Finding("early_best", "note", share, _EARLY, message, "lower epochs or lr", step=curve[-1].step)]


def _known(seen: Observations) -> list[EpochFacts]:
    return [
        epoch
        for epoch in seen.curve
        if all(map(math.isfinite, (epoch.train_accuracy, epoch.val_accuracy, epoch.val_loss)))
    ]
