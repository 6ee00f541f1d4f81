"""Did the trial learn anything? Its best validation accuracy against guessing."""

from __future__ import annotations

import math

from hpo.checks.base import Finding

SIGMAS = 4.0
"""A network that guesses exceeds chance by four standard errors in 1 of 30,000 epochs."""


def chance_limit(classes: int, images: int) -> float:
    """The accuracy that guessing stays below: 1/C plus four binomial standard errors over ``images``."""
    chance = 1 / classes
    return chance + SIGMAS * math.sqrt(chance * (1 - chance) / images)


def learned(accuracy: float, classes: int, images: int, lr: float) -> Finding:
    """Compare the best validation accuracy in [0, 1] with what guessing gives on ``images`` images."""
    limit = chance_limit(classes, images)
    if accuracy > limit:
        return Finding(
            "learned", "pass", accuracy, limit, f"reached {accuracy:.3f}; guessing gives {1 / classes:.3f}"
        )
    return Finding(
        "learned",
        "warn",
        accuracy,
        limit,
        f"stayed at chance: the best validation accuracy is {accuracy:.3f}, guessing gives {1 / classes:.3f}",
        f"change lr (it was {lr:.3g}), or use batch_norm: before, activation: relu and initializer: he",
    )
