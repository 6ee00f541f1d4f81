"""Does it fail to fit even the training images?

Source: CS231n lecture 6: no gap and two low accuracies call for a larger network or less regularization.
"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.derived import excessive_setting, share_above_chance, trend
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_USUAL_WIDTH = 8
_LARGEST_WIDTH = 1024
"""The limit of the configuration."""
_SHORT, _LONGER = 2, 3
"""Epochs that show little of a network, and how many times as long shows it."""
_SLOPE_ERRORS = 2.0
_FEWEST = 20
_HEAVY = 1.6
"""Where settings regularize more than is usual, more accuracy is required."""


def underfitting(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report training and validation accuracy close to chance at the end of the training."""
    curve = seen.known_curve
    if not curve:
        return []
    best = max(curve, key=lambda epoch: share_above_chance(seen, epoch))
    share = share_above_chance(seen, best)
    limit = limits.underfit_accuracy
    if excessive_setting(seen) is not None:
        limit *= _HEAVY
    if share >= limit:
        return []
    return [
        warn(
            "underfitting",
            share,
            limit,
            f"training accuracy is only {best.train_accuracy:.3f} and validation accuracy "
            f"{best.val_accuracy:.3f}",
            _remedy(seen),
            step=best.step,
            cause="underfitting",
            confidence=0.3,
        )
    ]


def _remedy(seen: Observations) -> Remedy:
    epochs = seen.setup.settings.get("epochs")
    if epochs is not None and epochs <= _SHORT and _still_falls(seen):
        change = {"epochs": _LONGER * epochs}
        return Remedy(f"use epochs: {change['epochs']}: the loss was still falling; or another lr", change)
    width = seen.setup.settings.get("width")
    if width is None or width >= _LARGEST_WIDTH:
        return Remedy("use a larger network, less regularization, another lr or more epochs")
    wider = min(max(_USUAL_WIDTH, 4 * width), _LARGEST_WIDTH)
    return Remedy(f"use width: {wider}, less regularization, another lr or more epochs", {"width": wider})


def _still_falls(seen: Observations) -> bool:
    """Whether the second half of the losses clearly falls."""
    late = seen.losses[len(seen.losses) // 2 :]
    if len(late) < _FEWEST:
        return False
    _, slope, error = trend(late)
    return slope + _SLOPE_ERRORS * error < 0
