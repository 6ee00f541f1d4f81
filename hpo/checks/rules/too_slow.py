"""Does the loss fall too slowly? A straight, shallow line with small updates: the learning rate is low.

Source: CS231n lecture 6: "loss barely changing: learning rate is probably too low".
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import warn
from hpo.checks.derived import median_ratio, trend, update_excess
from hpo.checks.observations import Observations
from hpo.checks.remedies import raise_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LITTLE = 0.25
"""Share of ln C by which the loss of a training should at least fall."""
_BARELY = 0.15
"""The same where the first step was far smaller than usual, whatever the shape of the curve."""
_STRAIGHT = 0.35
"""In a straight line the second half falls by at least this share of the first half's fall."""
_SMALL = 3e-4
"""Update ratio: a third of the lecture's 1e-3."""


def too_slow(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the finished curve: the loss fell little, steadily, in small steps."""
    if not seen.ended or seen.steps < 40 or not np.isfinite(seen.losses).all():
        return []
    half = seen.steps // 2
    start = float(seen.losses[: max(10, seen.steps // 20)].mean())
    middle, _, _ = trend(seen.losses[:half])
    end, _, _ = trend(seen.losses[half:])
    fallen = (start - end) / math.log(seen.classes)
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
        f"the loss fell only from {start:.3f} to {end:.3f}; weights changed by {typical:.1e} of "
        "their size per step"
    )
    return [
        warn(
            "too_slow",
            fallen,
            _LITTLE,
            message,
            raise_lr(seen),
            step=seen.steps,
            cause="lr_too_low",
            confidence=0.75,
        )
    ]
