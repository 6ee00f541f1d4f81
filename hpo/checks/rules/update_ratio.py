"""How far does a step move the weights, relative to their size?

Source: CS231n lecture 6: the ratio of updates to weights should be somewhere around 1e-3.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.observations import Observations, Snapshot
from hpo.checks.remedies import lower_lr, raise_lr, update_excess
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def update_ratio(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The first step's, where the learning rate shows best, against what is usual for the optimizer."""
    excess = update_excess(seen)
    if excess is None or 1 / limits.update_factor <= excess <= limits.update_factor:
        return []
    high = excess > 1
    ratio = median_ratio(seen.snapshots[0])
    return [
        Finding(
            "update_ratio",
            "note",
            excess,
            limits.update_factor if high else 1 / limits.update_factor,
            f"the first step changed the weights by {ratio:.1e} of their size, {excess:.2g} x what is usual",
            lower_lr(seen) if high else raise_lr(seen),
            cause="lr_too_high" if high else "lr_too_low",
            confidence=0.7,
        )
    ]


def median_ratio(shot: Snapshot) -> float:
    """The median update ratio over layers; NaN if unknown."""
    ratios = [layer.update_ratio for layer in shot.layers if math.isfinite(layer.update_ratio)]
    return float(np.median(ratios)) if ratios else math.nan
