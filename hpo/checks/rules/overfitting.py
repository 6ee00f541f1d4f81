"""Does it fit the training images much better than validation images?

Source: CS231n lecture 6: a large gap between training and validation accuracy is overfitting.
"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_SEVERE_GAP = 0.4
"""Above this gap it is a warning: most of what was learned does not generalize."""
_TURNED = 1.1
"""A last validation loss above this many times the smallest has turned."""


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
