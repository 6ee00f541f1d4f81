"""Does the training loss swing from step to step? Caused by large steps or small batches."""

from __future__ import annotations

import numpy as np

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_SWING = 0.35
"""Standard deviation around the trend over the level; 0.05 to 0.2 in healthy trainings with batches of 64."""


def oscillation(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the scatter of the second half of the losses around their moving mean, once, at the end."""
    losses = seen.losses[len(seen.losses) // 2 :]
    if not seen.ended or len(losses) < 40 or not np.isfinite(losses).all():
        return []
    differences = np.diff(losses)
    swing = float(np.sqrt((differences**2).mean() / 2)) / max(float(losses.mean()), 0.1)
    if swing <= _SWING:
        return []
    message = f"the loss swings by {swing:.0%} from step to step"
    return [note("oscillation", swing, _SWING, message, lower_lr(seen), step=seen.steps)]
