"""Did the training learn anything? Compares its best validation accuracy with guessing."""

from __future__ import annotations

import math

from hpo.checks.base import passed, warn
from hpo.checks.derived import chance_limit
from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def learned(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the best validation accuracy in [0, 1] with guessing on the same number of images."""
    accuracies = [value for value in seen.accuracies() if math.isfinite(value)]
    if not accuracies or not seen.val_images:
        return []
    best, classes = max(accuracies), seen.setup.classes
    limit = chance_limit(classes, seen.val_images, limits.chance_sigmas)
    if best > limit:
        message = f"reached {best:.3f}; guessing gives {1 / classes:.3f}"
        return [passed("learned", best, limit, message, step=seen.steps)]
    message = (
        f"stayed at chance: the best validation accuracy is {best:.3f}, guessing gives {1 / classes:.3f}"
    )
    return [
        warn(
            "learned",
            best,
            limit,
            message,
            sound_start(seen),
            step=seen.steps,
            cause="not_learning",
            confidence=0.4,
        )
    ]
