"""Does the loss fall too slowly? A straight, shallow line with small updates: the learning rate is too low.

Source: CS231n lecture 6: "loss barely changing: learning rate is probably too low".
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.observations import Observations
from hpo.checks.remedies import raise_lr, update_excess
from hpo.checks.rules.not_learning import trend
from hpo.checks.rules.update_ratio import median_ratio
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LITTLE = 0.25
"""Share of ln C that a training should at least have come down."""
_BARELY = 0.15
"""The same where the very first step was far smaller than usual, whatever the line."""
_STRAIGHT = 0.35
"""In a straight line the second half falls by at least so much of the first's share."""
_SMALL = 3e-4
"""Update ratio below a third of the lecture's 1e-3."""


def too_slow(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judged on the finished curve: little came down, steadily, in small steps."""
    if not seen.ended or seen.steps < 40 or not np.isfinite(seen.losses).all():
        return []
    half = seen.steps // 2
    start = float(seen.losses[: max(10, seen.steps // 20)].mean())
    middle, _, _ = trend(seen.losses[:half])
    end, _, _ = trend(seen.losses[half:])
    fallen = (start - end) / math.log(seen.setup.classes)
    ratios = [median_ratio(shot) for shot in seen.snapshots]
    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    if not known or fallen > _LITTLE or fallen < 0:
        return []
    straight = (middle - end) >= _STRAIGHT * (start - middle)
    typical = float(np.median(known))
    timid = (update_excess(seen) or 1.0) < 1 / limits.update_factor
    if not (straight and typical < _SMALL) and not (timid and fallen < _BARELY):
        return []
    message = (
        f"the loss fell only from {start:.3f} to {end:.3f}; weights moved by {typical:.1e} of "
        "their size a step"
    )
    return [
        Finding(
            "too_slow",
            "warn",
            fallen,
            _LITTLE,
            message,
            raise_lr(seen),
            step=seen.steps,
            cause="lr_too_low",
            confidence=0.75,
        )
    ]
