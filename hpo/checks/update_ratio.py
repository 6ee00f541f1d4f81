"""How far does a step move the weights, relative to their size?

Source: CS231n lecture 6: the ratio of updates to weights should be somewhere around 1e-3.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import Finding, Remedy
from hpo.checks.observations import Observations, Snapshot
from hpo.checks.remedies import lower_lr, raise_lr, update_excess
from hpo.spec.thresholds import Thresholds


def update_ratio(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The median over layers in the first steps, where the learning rate shows best."""
    first = next((shot for shot in seen.snapshots if math.isfinite(median_ratio(shot))), None)
    if first is None:
        return []
    ratio = median_ratio(first)
    moved = f"step {first.step} changed the weights by {ratio:.2g} of their size; 1e-3 is usual"
    if ratio > limits.update_ratio_high:
        return [_note(ratio, limits.update_ratio_high, moved, lower_lr(seen), first.step, "lr_too_high")]
    if 0 < ratio < limits.update_ratio_low and (update_excess(seen) or 1.0) < 0.1:
        return [_note(ratio, limits.update_ratio_low, moved, raise_lr(seen), first.step, "lr_too_low")]
    return []


def _note(value: float, threshold: float, message: str, remedy: Remedy, step: int, cause: str) -> Finding:
    return Finding(
        "update_ratio", "note", value, threshold, message, remedy, step=step, cause=cause, confidence=0.65
    )


def median_ratio(shot: Snapshot) -> float:
    """The median update ratio over layers; NaN if unknown."""
    ratios = [layer.update_ratio for layer in shot.layers if math.isfinite(layer.update_ratio)]
    return float(np.median(ratios)) if ratios else math.nan
