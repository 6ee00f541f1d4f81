"""Does it not even know the training images?

Source: CS231n lecture 6: no gap and both accuracies low calls for a larger network or less regularization.
"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.rules.regularization import heavy_regularization
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_USUAL_WIDTH = 8
_HEAVY = 1.6
"""Where settings forbid more than is usual, more is asked of the accuracy."""


def underfitting(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Training and validation accuracy close to chance at the end of the training."""
    curve = seen.known_curve
    if not curve:
        return []
    best = max(curve, key=lambda epoch: epoch.train_accuracy)
    chance = 1 / seen.setup.classes
    share = (max(best.train_accuracy, best.val_accuracy) - chance) / (1 - chance)
    limit = limits.underfit_accuracy
    if heavy_regularization(seen, limits):
        limit *= _HEAVY
    if share >= limit:
        return []
    return [
        Finding(
            "underfitting",
            "warn",
            share,
            limit,
            f"training accuracy is only {best.train_accuracy:.3f}, and validation accuracy "
            f"{best.val_accuracy:.3f}",
            _remedy(seen),
            step=best.step,
            cause="underfitting",
            confidence=0.3,
        )
    ]


def _remedy(seen: Observations) -> Remedy:
    width = seen.setup.settings.get("width")
    if width is None:
        return Remedy("use a larger network, less regularization, another lr or more epochs")
    wider = max(_USUAL_WIDTH, 4 * width)
    return Remedy(f"use width: {wider}, less regularization, another lr or more epochs", {"width": wider})
