"""Did the training learn anything? Its best validation accuracy against guessing."""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def chance_limit(classes: int, images: int, sigmas: float) -> float:
    """The accuracy that guessing stays below: 1/C plus so many binomial standard errors over ``images``."""
    chance = 1 / classes
    return chance + sigmas * math.sqrt(chance * (1 - chance) / images)


def learned(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the best validation accuracy in [0, 1] with what guessing gives on as many images."""
    accuracies = [value for value in seen.accuracies() if math.isfinite(value)]
    if not accuracies or not seen.val_images:
        return []
    best, classes = max(accuracies), seen.setup.classes
    limit = chance_limit(classes, seen.val_images, limits.chance_sigmas)
    if best > limit:
        message = f"reached {best:.3f}; guessing gives {1 / classes:.3f}"
        return [Finding("learned", "pass", best, limit, message, step=seen.steps)]
    message = (
        f"stayed at chance: the best validation accuracy is {best:.3f}, guessing gives {1 / classes:.3f}"
    )
    return [
        Finding(
            "learned",
            "warn",
            best,
            limit,
            message,
            sound_start(seen),
            step=seen.steps,
            cause="not_learning",
            confidence=0.4,
        )
    ]
