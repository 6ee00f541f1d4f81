"""Do training and validation disagree beyond what overfitting explains?"""

from __future__ import annotations

from hpo.checks.base import Finding
from hpo.checks.input_scale import LOOKS_DIFFERENT
from hpo.checks.learned import chance_limit
from hpo.checks.observations import EpochFacts, Observations
from hpo.checks.remedies import fix
from hpo.spec.thresholds import Thresholds

_GAP = 0.15
_LOSSES = 1.5
_NOT_BY_HEART = 0.8
"""Training accuracy up to which a gap is too early for overfitting."""


def split_gap(seen: Observations, limits: Thresholds) -> list[Finding]:
    """A validation accuracy below chance, or far behind training while that has not learned by heart."""
    curve = seen.known_curve
    if len(curve) < 2:
        return []
    last = curve[-1]
    best = max(epoch.val_accuracy for epoch in curve)
    guessing = chance_limit(seen.setup.classes, seen.val_images or 1, limits.chance_sigmas)
    if best < guessing and last.train_accuracy > guessing + _GAP:
        message = (
            f"validation accuracy is {best:.3f}, no better than guessing, at a training accuracy of "
            f"{last.train_accuracy:.3f}"
        )
        return [_warn(best, guessing, message, last.step, 0.75)]
    different = seen.preflight is not None and abs(seen.preflight.split_t) > LOOKS_DIFFERENT
    if different and last.train_accuracy - last.val_accuracy > _GAP:
        gap = last.train_accuracy - last.val_accuracy
        message = (
            f"training accuracy ({last.train_accuracy:.3f}) is far above validation accuracy "
            f"({last.val_accuracy:.3f}), and their images look different"
        )
        return [_warn(gap, _GAP, message, last.step, 0.75)]
    if all(_apart(epoch) for epoch in curve[:2]) and _apart(last):
        gap = min(epoch.train_accuracy - epoch.val_accuracy for epoch in (*curve[:2], last))
        message = (
            f"from the first epoch on, training accuracy ({last.train_accuracy:.3f}) is far above validation "
            f"accuracy ({last.val_accuracy:.3f})"
        )
        return [_warn(gap, _GAP, message, last.step, 0.6)]
    return []


def _apart(epoch: EpochFacts) -> bool:
    gap = epoch.train_accuracy - epoch.val_accuracy
    return (
        gap > _GAP and epoch.train_accuracy < _NOT_BY_HEART
    ) and epoch.val_loss > _LOSSES * epoch.train_loss


def _warn(value: float, threshold: float, message: str, step: int, sure: float) -> Finding:
    return Finding(
        "split_gap",
        "warn",
        value,
        threshold,
        message,
        fix("same_normalization", "prepare validation images and labels exactly as those of training"),
        step=step,
        cause="train_val_mismatch",
        confidence=sure,
    )
