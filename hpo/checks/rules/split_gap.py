"""Do training and validation differ more than overfitting explains?"""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.derived import balanced_share, constant_accuracy, tells_classes, val_chance
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_GAP = 0.15
_DIFFERENT = 3.5
"""Student's t above which the inputs of the two splits differ if their accuracies do too; 1 in 2,000 pairs of
random halves exceeds it."""
_CARRIES = 0.4
"""Measured on the programs of benchmarks/diagnosis.py: 0.52 and more in 643 epochs of sound trainings below
`_NOT_MEMORIZED`, 0.45 and less with wrong validation images or labels."""
_NOT_MEMORIZED = 0.8
"""Training accuracy up to which a gap is too early for overfitting."""


def split_gap(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a validation accuracy at chance, or far behind training before images can be memorized."""
    curve = seen.known_curve
    if len(curve) < 2:
        return []
    last = curve[-1]
    best = max(epoch.val_accuracy for epoch in curve)
    different = seen.preflight is not None and abs(seen.preflight.split_t) > _DIFFERENT
    if different and last.train_accuracy - last.val_accuracy > _GAP:
        gap = last.train_accuracy - last.val_accuracy
        message = (
            f"training accuracy ({last.train_accuracy:.3f}) is far above validation accuracy "
            f"({last.val_accuracy:.3f}), and the inputs of the two splits differ"
        )
        return [_warn(gap, _GAP, message, last.step, 0.75)]
    shares = [share for share in (balanced_share(seen, each) for each in curve) if math.isfinite(share)]
    carried = _carried_over(seen, last.train_accuracy, best, max(shares, default=0.0))
    chance = val_chance(seen)
    guessing = chance is not None and chance.standing(best, limits.chance_sigmas) == "at_chance"
    guessing = guessing and not tells_classes(seen, limits)
    if carried < _CARRIES and (guessing or last.train_accuracy < _NOT_MEMORIZED):
        share = f"{carried:.0%} of the gain over guessing in training"
        message = (
            f"validation accuracy is {best:.3f} at best, {'no better than guessing' if guessing else share}, "
            f"at a training accuracy of {last.train_accuracy:.3f}"
        )
        return [_warn(carried, _CARRIES, message, last.step, 0.75 if guessing else 0.6)]
    return []


def _carried_over(seen: Observations, train: float, val: float, balanced: float) -> float:
    """Return the gain of validation over guessing as a share of training's; 1 if training has little.

    ``balanced`` is the gain of the mean recall, as a share of what is possible.
    """
    constant = constant_accuracy(seen, "training")
    learned = train - constant
    if learned <= _GAP:
        return 1.0
    by_class = balanced * (1 - constant) if not _is_even(seen) else 0.0
    return max(val - constant_accuracy(seen, "validation"), by_class) / learned


def _is_even(seen: Observations) -> bool:
    counts = seen.setup.val_class_counts
    return not counts or max(counts) - min(counts) <= 1


def _warn(value: float, threshold: float, message: str, step: int, confidence: float) -> Finding:
    return warn(
        "split_gap",
        value,
        threshold,
        message,
        fix("same_normalization", "prepare validation inputs and labels exactly like those of training"),
        step=step,
        cause="train_val_mismatch",
        confidence=confidence,
    )
